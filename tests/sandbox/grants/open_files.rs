//! How many files and listings a plugin may have open, and what they cost its host.

use std::fs::{self, File};

use soloist_core::limits::Limits;
use soloist_dev::testbed::Tested;

use super::case::{places, reader};
use crate::apart::apart;
use crate::terms::{demote, without_restart};

#[test]
fn so_many_files_and_listings_are_open_at_once_and_no_more() {
    let place = places();
    let inside = place.path().join("inside");
    let limits = Limits {
        files: 20,
        ..Limits::default()
    };
    // A directory that is listed by the library is open as well.
    for (what, first) in [
        ("open", "20 files, then QuotaExceeded"),
        ("open3", "20 files, then ErrorCode::Quota"),
        ("list", "10 listings, then Err"),
        ("list-many3", "20 listings, then Err(ErrorCode::Quota)"),
    ] {
        let tested = Tested::start(reader(what, &inside, limits.clone()), without_restart());
        tested.wait_for("plugin-log", first, 1);
        let told = tested.wait_for("plugin-log", "`limits.files`", 1);
        assert_eq!(
            (&told["import"], &told["level"]),
            (&"files".into(), &"warn".into()),
            "{told:#}"
        );
        if what == "open" {
            tested.wait_for("plugin-log", "then one more", 1);
        }
        demote(tested);
    }
}

#[test]
fn the_resource_too_many_ends_the_plugin_and_is_called_by_its_limit() {
    let place = places();
    let limits = Limits {
        files: 10_000,
        resources: 200,
        ..Limits::default()
    };
    let tested = Tested::start(
        reader("open", &place.path().join("inside"), limits),
        without_restart(),
    );
    let failed = tested.wait_for("plugin-failed", "", 1);
    assert_eq!(failed["cause"], "resource-limit", "{failed:#}");
    let message = failed["message"].as_str().unwrap();
    assert!(
        message.contains("200") && message.contains("`limits.resources`"),
        "{message}"
    );
    demote(tested);
}

#[test]
fn many_listings_of_a_large_directory_take_little_memory() {
    apart("true", || {
        let place = tempfile::tempdir().unwrap();
        for number in 0..5000 {
            File::create(place.path().join(format!("{number:0250}"))).unwrap();
        }
        let limits = Limits {
            files: 800,
            ..Limits::default()
        };
        for (what, last) in [("list", "400 listings"), ("list-many3", "800 listings")] {
            let plugin = reader(what, place.path(), limits.clone());
            let before = peak_kib();
            let tested = Tested::start(plugin, without_restart());
            tested.wait_for("plugin-log", last, 1);
            demote(tested);
            let more = peak_kib() - before;
            println!("{what}: {more} KiB more");
            assert!(more < 100_000, "{what}: {more} KiB");
        }
    });
}

/// The most memory that this process has had.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    peak.unwrap()
}

#[test]
fn plugins_leave_file_descriptors_for_their_host() {
    apart("ulimit -n 256", || {
        let place = places();
        let inside = place.path().join("inside");
        let limits = || Limits {
            files: 10_000,
            resources: 10_000,
            ..Limits::default()
        };
        let tested = Tested::start(reader("open", &inside, limits()), without_restart());
        tested.wait_for("plugin-log", "files, then QuotaExceeded", 1);
        let told = tested.wait_for("plugin-log", "file descriptors", 1);
        assert!(
            told["message"].as_str().unwrap().contains("LimitNOFILE"),
            "{told:#}"
        );
        let other = tested.beside(reader("list-many3", &inside, limits()), without_restart());
        other.wait_for("plugin-log", "listings, then Err(ErrorCode::Quota)", 1);
        // A quarter is the host's own.
        let own: Vec<_> = (0..60).map(|_| File::open("/dev/null")).collect();
        assert!(own.iter().all(Result::is_ok), "{:?}", own.last());
        demote(other);
        demote(tested);
    });
}
