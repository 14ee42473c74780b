//! What the tests of files have done, by WASI 0.3.

use wit_bindgen::StreamResult;

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

async fn open(
    directory: &Descriptor,
    name: &str,
    create: OpenFlags,
    how: DescriptorFlags,
) -> Descriptor {
    directory
        .open_at(PathFlags::empty(), name.into(), create, how)
        .await
        .expect("the test grants it")
}

/// Writes letters, and digits after them; then over the second letter.
pub async fn write() -> String {
    let directory = &get_directories()[0].0;
    let file = open(
        directory,
        "three",
        OpenFlags::CREATE,
        DescriptorFlags::WRITE,
    )
    .await;
    let mut outcomes = Vec::new();
    for (data, place) in [
        (vec![b'a'; LARGE_BYTES], None),
        (b"123".to_vec(), None),
        (b"b".to_vec(), Some(1)),
    ] {
        outcomes.push(stream(&file, data, place).await);
    }
    format!("{outcomes:?}")
}

/// Tries what may not be written.
pub async fn refused() -> String {
    let directory = &get_directories()[0].0;
    let file = open(directory, "file", OpenFlags::empty(), DescriptorFlags::READ).await;
    format!(
        "{:?} {:?}",
        stream(&file, b"x".to_vec(), None).await,
        stream(directory, b"x".to_vec(), Some(0)).await
    )
}

/// Reads a file with room for far more than there is in it, and then what is none.
pub async fn read() -> String {
    let directory = &get_directories()[0].0;
    let file = open(directory, "file", OpenFlags::empty(), DescriptorFlags::READ).await;
    let (mut data, end) = file.read_via_stream(1);
    let (mut read, mut most) = (Vec::new(), 0);
    loop {
        let (outcome, some) = data.read(Vec::with_capacity(1_000_000)).await;
        most = most.max(some.len());
        read.extend(some);
        if !matches!(outcome, StreamResult::Complete(_)) {
            break;
        }
    }
    let sum: u64 = read.iter().map(|byte| u64::from(*byte)).sum();
    let none = directory.read_via_stream(0).1.await;
    format!(
        "{} bytes, {sum} together, at most {most} at once, {:?}, {none:?}",
        read.len(),
        end.await
    )
}

/// Reads a directory with room for far more than there is in it.
pub async fn list() -> String {
    let (mut entries, end) = get_directories()[0].0.read_directory();
    let (mut names, mut most) = (Vec::new(), 0);
    loop {
        let (outcome, some) = entries.read(Vec::with_capacity(1_000_000)).await;
        most = most.max(some.len());
        names.extend(
            some.into_iter()
                .map(|entry| format!("{} {:?}", entry.name, entry.type_)),
        );
        if !matches!(outcome, StreamResult::Complete(_)) {
            break;
        }
    }
    names.sort();
    names.truncate(4);
    format!(
        "at most {most} at once, {:?}, {}",
        end.await,
        names.join(", ")
    )
}

/// Opens one file again and again, and keeps a stream of each instead of the file itself.
pub async fn open_many() -> String {
    let directory = &get_directories()[0].0;
    let mut held = Vec::new();
    loop {
        let opened = directory
            .open_at(
                PathFlags::empty(),
                "file".into(),
                OpenFlags::empty(),
                DescriptorFlags::READ,
            )
            .await;
        match opened {
            Ok(file) => held.push(file.read_via_stream(0)),
            Err(error) => break format!("{} files, then {error:?}", held.len()),
        }
    }
}

/// Begins to read a directory again and again.
pub async fn list_many() -> String {
    let directory = &get_directories()[0].0;
    let mut held = Vec::new();
    loop {
        let (mut entries, end) = directory.read_directory();
        match entries.read(Vec::with_capacity(1)).await {
            (StreamResult::Complete(_), _) => held.push((entries, end)),
            _ => break format!("{} listings, then {:?}", held.len(), end.await),
        }
    }
}

/// Tries everything with the directory that stands for what is not granted; `/data` is granted to write.
pub async fn ungranted() -> String {
    let directories = get_directories();
    let [(data, _), (nowhere, name)] = &directories[..] else {
        return format!("{} directories", directories.len());
    };
    let none = PathFlags::empty();
    let file = || String::from("file");
    let open = |path: &str, create, how| nowhere.open_at(none, path.into(), create, how);
    let codes = [
        open("file", OpenFlags::empty(), DescriptorFlags::READ)
            .await
            .err(),
        open("file", OpenFlags::CREATE, DescriptorFlags::WRITE)
            .await
            .err(),
        open(".", OpenFlags::DIRECTORY, DescriptorFlags::READ)
            .await
            .err(),
        open("../..", OpenFlags::DIRECTORY, DescriptorFlags::READ)
            .await
            .err(),
        nowhere.stat_at(none, file()).await.err(),
        nowhere.create_directory_at(file()).await.err(),
        nowhere.remove_directory_at(file()).await.err(),
        nowhere.unlink_file_at(file()).await.err(),
        nowhere.readlink_at(file()).await.err(),
    ];
    let others = [
        nowhere.symlink_at("/etc".into(), file()).await,
        nowhere.rename_at(file(), data, "moved".into()).await,
        data.rename_at(file(), nowhere, file()).await,
        nowhere.link_at(none, file(), data, "moved".into()).await,
        data.link_at(none, file(), nowhere, file()).await,
        stream(nowhere, b"x".to_vec(), Some(0)).await,
        stream(nowhere, b"x".to_vec(), None).await,
        nowhere.read_directory().1.await,
        nowhere.read_via_stream(0).1.await,
    ];
    let denied = |code: &Option<ErrorCode>| matches!(code, Some(ErrorCode::Access));
    format!(
        "{name}: {} denied, {} failed",
        codes.iter().filter(|code| denied(code)).count(),
        others.iter().filter(|other| other.is_err()).count()
    )
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
