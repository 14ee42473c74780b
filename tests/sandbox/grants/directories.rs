//! What a plugin can do in a directory that is granted to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use soloist_core::grants::Access;
use soloist_core::limits::Limits;
use soloist_dev::testbed::Tested;

use super::case::{dir, files, granting, places, reader, start};
use crate::apart::apart;
use crate::terms::{demote, without_restart};

#[test]
fn a_directory_to_read_can_be_read_and_nothing_else() {
    let place = places();
    let inside = place.path().join("inside");
    let dirs = vec![dir(&inside, "/data", Access::Read)];
    let changes = [
        "write /data/new x",
        "write /data/file x",
        "append /data/file x",
        "remove /data/file",
        "make /data/sub",
    ];
    let moves = [
        "rename /data/file /data/other",
        "link /data/file /data/other",
    ];
    let steps = [&["read /data/file", "list /data"][..], &changes, &moves].concat();
    let outcomes = files(dirs, &steps);
    assert_eq!(outcomes["read /data/file"], "from inside");
    assert_eq!(outcomes["list /data"], "file");
    for change in changes.iter().chain(&moves) {
        assert_eq!(outcomes[*change], "refused", "{change}");
    }
    assert_eq!(
        fs::read_to_string(inside.join("file")).unwrap(),
        "from inside"
    );
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
}

#[test]
fn a_directory_to_write_can_be_changed() {
    let place = places();
    let inside = place.path().join("inside");
    let steps = [
        "write /data/new one",
        "append /data/new two",
        "read /data/new",
        "make /data/sub",
        "remove /data/file",
    ];
    let outcomes = files(vec![dir(&inside, "/data", Access::Write)], &steps);
    assert_eq!(outcomes["read /data/new"], "onetwo");
    assert_eq!(fs::read_to_string(inside.join("new")).unwrap(), "onetwo");
    assert!(inside.join("sub").is_dir() && !inside.join("file").exists());
}

#[test]
fn the_streams_of_wasi_0_3_write_where_they_may() {
    let place = places();
    let inside = place.path().join("inside");
    let said = |what, access| {
        let tested = start(
            &[("do", what)],
            granting(vec![dir(&inside, "/data", access)]),
        );
        tested.wait_for("plugin-completed", "", 1);
        demote(tested).concat()
    };
    assert_eq!(said("write3", Access::Write), "[Ok(()), Ok(()), Ok(())]");
    let expected = ["ab", &"a".repeat(200_000 - 2), "123"].concat();
    assert!(fs::read_to_string(inside.join("three")).unwrap() == expected);
    assert_eq!(
        said("refused3", Access::Read),
        "Err(ErrorCode::NotPermitted) Err(ErrorCode::BadDescriptor)"
    );
    assert_eq!(
        fs::read_to_string(inside.join("file")).unwrap(),
        "from inside"
    );
}

#[test]
fn a_listing_has_all_there_is_with_what_it_is() {
    let place = places();
    let inside = place.path().join("inside");
    fs::create_dir(inside.join("a-directory")).unwrap();
    symlink("file", inside.join("a-link")).unwrap();
    for number in 0..400 {
        fs::write(inside.join(format!("n{number:03}")), "").unwrap();
    }
    let tested = Tested::start(
        reader("list3", &inside, Limits::default()),
        without_restart(),
    );
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(
        demote(tested),
        [
            "at most 64 at once, Ok(()), a-directory DescriptorType::Directory, a-link DescriptorType::SymbolicLink, \
          file DescriptorType::RegularFile, n000 DescriptorType::RegularFile"
        ]
    );
    let listed = &files(vec![dir(&inside, "/data", Access::Read)], &["list /data"])["list /data"];
    assert!(
        listed.starts_with("a-directory,a-link,file,n000,n001,"),
        "{listed}"
    );
    assert_eq!(listed.split(',').count(), 403);
}

#[test]
fn a_file_is_read_a_piece_at_a_time() {
    let place = places();
    let inside = place.path().join("inside");
    let bytes: Vec<u8> = (0..=255).cycle().take(200_001).collect();
    let sum: u64 = bytes[1..].iter().map(|byte| u64::from(*byte)).sum();
    fs::write(inside.join("file"), bytes).unwrap();
    let tested = Tested::start(
        reader("read3", &inside, Limits::default()),
        without_restart(),
    );
    tested.wait_for("plugin-completed", "", 1);
    let told = format!(
        "200000 bytes, {sum} together, at most 65536 at once, Ok(()), Err(ErrorCode::IsDirectory)"
    );
    assert_eq!(demote(tested), [told]);
}

#[test]
fn no_write_is_left_to_another_thread() {
    apart("true", || {
        let place = places();
        let dirs = vec![dir(&place.path().join("inside"), "/data", Access::Write)];
        let steps = "write /data/new one\nappend /data/new two\nfill /data/large";
        let tested = start(&[("do", "files"), ("steps", steps)], granting(dirs));
        tested.wait_for("plugin-completed", "", 1);
        // A thread that has written for the runtime waits some seconds for more work, so it would be seen.
        let threads = fs::read_dir("/proc/self/task").unwrap().filter(|thread| {
            let name = fs::read_to_string(thread.as_ref().unwrap().path().join("comm"));
            name.unwrap_or_default().starts_with("tokio")
        });
        assert_eq!(threads.count(), 1, "the runtime has one thread of its own");
        assert_eq!(
            fs::read_to_string(place.path().join("inside/new")).unwrap(),
            "onetwo"
        );
        demote(tested);
    });
}

#[test]
fn a_plugin_that_is_stopped_while_it_writes_has_written_all_that_it_will() {
    for _ in 0..5 {
        let place = places();
        let inside = place.path().join("inside");
        let dirs = vec![dir(&inside, "/data", Access::Write)];
        let mut tested = start(&[("do", "write-on")], granting(dirs));
        tested.wait_for("plugin-log", "writes on", 1);
        tested.activation().revoke();
        assert!(tested.stopped());
        let written = fs::read(inside.join("file")).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            fs::read(inside.join("file")).unwrap() == written,
            "the file has changed after the end"
        );
    }
}
