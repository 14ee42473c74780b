//! What the tests of files have done, by WASI 0.3.

use wasi::filesystem::preopens::get_directories;
use wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

wit_bindgen::generate!({
    inline: "
        package test:granted;

        world files {
            import wasi:filesystem/types@0.3.0;
            import wasi:filesystem/preopens@0.3.0;
        }
    ",
    path: "wit/files.wit",
    world: "test:granted/files",
    generate_all,
});

/// More than one write takes.
const LARGE_BYTES: usize = 200_000;

async fn open(directory: &Descriptor, name: &str, create: OpenFlags, how: DescriptorFlags) -> Descriptor {
    directory.open_at(PathFlags::empty(), name.into(), create, how).await.expect("the test grants it")
}

/// Writes letters, and digits after them; then over the second letter.
pub async fn write() -> String {
    let directory = &get_directories()[0].0;
    let file = open(directory, "three", OpenFlags::CREATE, DescriptorFlags::WRITE).await;
    let mut outcomes = Vec::new();
    for (data, place) in [(vec![b'a'; LARGE_BYTES], None), (b"123".to_vec(), None), (b"b".to_vec(), Some(1))] {
        outcomes.push(stream(&file, data, place).await);
    }
    format!("{outcomes:?}")
}

/// Tries what may not be written.
pub async fn refused() -> String {
    let directory = &get_directories()[0].0;
    let file = open(directory, "file", OpenFlags::empty(), DescriptorFlags::READ).await;
    format!("{:?} {:?}", stream(&file, b"x".to_vec(), None).await, stream(directory, b"x".to_vec(), Some(0)).await)
}

async fn stream(file: &Descriptor, data: Vec<u8>, place: Option<u64>) -> Result<(), ErrorCode> {
    let (mut writer, reader) = wit_stream::new::<u8>();
    let end = match place {
        Some(place) => file.write_via_stream(reader, place),
        None => file.append_via_stream(reader),
    };
    writer.write_all(data).await;
    drop(writer);
    end.await
}
