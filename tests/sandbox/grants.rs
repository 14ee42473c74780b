//! What a task grants its plugin, as real guests see it, and what they cannot reach all the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::apart::apart;
use crate::guests::{compiler, engine, guest, text};
use soloist_core::grants::{Access, Directory, Grants};
use soloist_core::limits::Limits;
use soloist_core::restart::RestartPolicy;
use soloist_core::secret::Secret;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::{Plugin, PluginEngine, PluginProblem, PluginSettings};

const SECRET: &str = "a-very-secret-word";

fn settings() -> ActivationSettings {
    let restart = RestartPolicy {
        max_restarts: 0,
        ..RestartPolicy::default()
    };
    ActivationSettings {
        demote_timeout: PATIENCE,
        restart,
        ..ActivationSettings::default()
    }
}

/// The guest `granted`, told what to do.
fn start(config: &[(&str, &str)], grants: Grants) -> Tested {
    Tested::start(load(config, grants, Limits::default()), settings())
}

fn load(config: &[(&str, &str)], grants: Grants, limits: Limits) -> Arc<Plugin> {
    let config = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let secrets = BTreeMap::from([("SECRET".to_owned(), Secret::new(SECRET.to_owned()))]);
    let settings = PluginSettings {
        config,
        grants,
        secrets,
        limits,
        ..PluginSettings::default()
    };
    Arc::new(Plugin::load(&engine(), &guest("granted"), settings).expect("the guest loads"))
}

/// The guest, with a directory to read and as many files as it likes unless `limits` says otherwise.
fn reader(what: &str, host: &Path, limits: Limits) -> Arc<Plugin> {
    let dirs = vec![dir(host, "/data", Access::Read)];
    load(
        &[("do", what)],
        Grants {
            dirs,
            ..Grants::default()
        },
        limits,
    )
}

fn demote(mut tested: Tested) -> Vec<String> {
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    tested.lines()
}

/// What comes of steps in these directories.
fn files(dirs: Vec<Directory>, steps: &[&str]) -> BTreeMap<String, String> {
    let tested = start(
        &[("do", "files"), ("steps", &steps.join("\n"))],
        Grants {
            dirs,
            ..Grants::default()
        },
    );
    tested.wait_for("plugin-completed", "", 1);
    let split = |line: String| {
        line.split_once(": ")
            .map(|(step, outcome)| (step.to_owned(), outcome.to_owned()))
    };
    demote(tested).into_iter().filter_map(split).collect()
}

fn dir(host: &Path, guest: &str, access: Access) -> Directory {
    Directory {
        host: host.to_owned(),
        guest: guest.to_owned(),
        access,
    }
}

/// A directory with a file in it, beside one with another that no plugin may see.
fn places() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for name in ["inside", "outside"] {
        fs::create_dir(place.path().join(name)).unwrap();
        fs::write(place.path().join(name).join("file"), format!("from {name}")).unwrap();
    }
    place
}

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
            Grants {
                dirs: vec![dir(&inside, "/data", access)],
                ..Grants::default()
            },
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
fn no_write_is_left_to_another_thread() {
    apart("true", || {
        let place = places();
        let dirs = vec![dir(&place.path().join("inside"), "/data", Access::Write)];
        let steps = "write /data/new one\nappend /data/new two\nfill /data/large";
        let tested = start(
            &[("do", "files"), ("steps", steps)],
            Grants {
                dirs,
                ..Grants::default()
            },
        );
        tested.wait_for("plugin-completed", "", 1);
        // A thread that has done such work waits for more, for some seconds.
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
        let mut tested = start(
            &[("do", "write-on")],
            Grants {
                dirs,
                ..Grants::default()
            },
        );
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

#[test]
fn no_path_and_no_link_leads_out_of_a_granted_directory() {
    let place = places();
    let (inside, outside) = (place.path().join("inside"), place.path().join("outside"));
    symlink("../outside", inside.join("relative")).unwrap();
    symlink(&outside, inside.join("absolute")).unwrap();
    symlink("../outside/file", inside.join("to-file")).unwrap();
    symlink("/etc/hostname", inside.join("hostname")).unwrap();
    symlink("../outside/new", inside.join("dangling")).unwrap();
    let refused = [
        "read /data/../outside/file",
        "read /data/sub/../../outside/file",
        "read /data/relative/file",
        "read /data/absolute/file",
        "read /data/to-file",
        "read /data/hostname",
        "write /data/dangling x",
        "write /data/relative/new x",
        "append /data/to-file x",
        "list /data/absolute",
        "list /data/..",
        "list /",
        "read /etc/hostname",
        "read /proc/self/environ",
        "rename /data/file /data/../outside/moved",
        "link /data/../outside/file /data/stolen",
        "remove /data/relative/file",
    ];
    let outcomes = files(vec![dir(&inside, "/data", Access::Write)], &refused);
    for step in refused {
        assert_eq!(outcomes[step], "refused", "{step}");
    }
    assert_eq!(
        fs::read_to_string(outside.join("file")).unwrap(),
        "from outside"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
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
    let tested = Tested::start(reader("list3", &inside, Limits::default()), settings());
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
    let tested = Tested::start(reader("read3", &inside, Limits::default()), settings());
    tested.wait_for("plugin-completed", "", 1);
    let told = format!(
        "200000 bytes, {sum} together, at most 65536 at once, Ok(()), Err(ErrorCode::IsDirectory)"
    );
    assert_eq!(demote(tested), [told]);
}

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
        let tested = Tested::start(reader(what, &inside, limits.clone()), settings());
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
        settings(),
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
            let tested = Tested::start(plugin, settings());
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
        let tested = Tested::start(reader("open", &inside, limits()), settings());
        tested.wait_for("plugin-log", "files, then QuotaExceeded", 1);
        let told = tested.wait_for("plugin-log", "file descriptors", 1);
        assert!(
            told["message"].as_str().unwrap().contains("LimitNOFILE"),
            "{told:#}"
        );
        let other = tested.beside(reader("list-many3", &inside, limits()), settings());
        other.wait_for("plugin-log", "listings, then Err(ErrorCode::Quota)", 1);
        // A quarter is the host's own.
        let own: Vec<_> = (0..60).map(|_| File::open("/dev/null")).collect();
        assert!(own.iter().all(Result::is_ok), "{:?}", own.last());
        demote(other);
        demote(tested);
    });
}

#[test]
fn a_directory_that_holds_what_is_the_hosts_is_not_granted_to_write() {
    let place = places();
    let (cache, inside) = (place.path().join("cache"), place.path().join("inside"));
    let engine = Arc::new(PluginEngine::with_cache(compiler(), Some(&cache)).unwrap());
    let load = |host: &Path, access| {
        let grants = Grants {
            dirs: vec![dir(host, "/data", access)],
            ..Grants::default()
        };
        let configuration = Some(inside.join("file"));
        let settings = PluginSettings {
            grants,
            configuration,
            ..PluginSettings::default()
        };
        Plugin::load(&engine, &guest("hello"), settings)
    };
    for (host, what) in [
        (place.path(), "compiled plugins are kept"),
        (&cache.join("code"), "compiled plugins are kept"),
        (&inside, "the configuration of this host"),
        (Path::new("/proc/self"), "by /proc the machine"),
    ] {
        let refused = load(host, Access::Write).unwrap_err();
        let PluginProblem::Dangerous { danger, .. } = &refused.problem else {
            panic!("{refused:?}")
        };
        assert!(danger.to_string().contains(what), "{danger}");
        let warnings = load(host, Access::Read).unwrap().warnings().concat();
        assert_eq!(
            warnings.contains("/proc"),
            host.starts_with("/proc"),
            "{warnings}"
        );
    }
    assert!(
        load(&place.path().join("outside"), Access::Write)
            .unwrap()
            .warnings()
            .is_empty()
    );
}

#[test]
fn a_link_in_the_place_of_a_granted_directory_leads_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let (outer, inner, target) = (
        place.path().join("n"),
        place.path().join("n/sub"),
        place.path().join("target"),
    );
    for (directory, file) in [(&inner, "mine"), (&target, "secret")] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(file), file).unwrap();
    }
    // As two hosts of a machine may be told; one host refuses it.
    let steps = ["list /s", "read /s/mine", "read /s/secret", "make /s/new"];
    let grants = |host, guest| Grants {
        dirs: vec![dir(host, guest, Access::Write)],
        ..Grants::default()
    };
    let config = [("do", "files"), ("steps", &steps.join("\n"))];
    let plugin = load(&config, grants(&inner, "/s"), Limits::default());
    let swap = ["rename /d/sub /d/old", "symlink ../target /d/sub"];
    let outcomes = files(grants(&outer, "/d").dirs, &swap);
    assert_eq!(
        (&*outcomes[swap[0]], &*outcomes[swap[1]]),
        ("renamed", "linked")
    );
    assert!(inner.join("secret").exists(), "the link is in place");
    let tested = Tested::start(plugin, settings());
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(
        demote(tested),
        [
            "list /s: mine",
            "read /s/mine: mine",
            "read /s/secret: refused",
            "make /s/new: made"
        ]
    );
    assert!(outer.join("old/new").is_dir() && !target.join("new").exists());
    // A host that starts now, and knows of both, does not take it for a grant of what the link leads to.
    let settings = |grants, all_dirs| PluginSettings {
        grants,
        all_dirs,
        ..PluginSettings::default()
    };
    let both = [grants(&outer, "/d").dirs, grants(&inner, "/s").dirs].concat();
    let own = Grants {
        dirs: both.clone(),
        ..Grants::default()
    };
    for settings in [
        settings(own, Vec::new()),
        settings(grants(&inner, "/s"), both),
    ] {
        let refused = Plugin::load(&engine(), &guest("granted"), settings)
            .unwrap_err()
            .problem;
        assert!(
            matches!(&refused, PluginProblem::Nested { .. }),
            "{refused:?}"
        );
        let named = format!("{} leads through {},", inner.display(), outer.display());
        assert!(refused.to_string().contains(&named), "{refused}");
    }
}

#[test]
fn who_can_open_files_and_has_no_directory_is_told_of() {
    let warnings = |name| {
        let plugin = Plugin::load(&engine(), &guest(name), PluginSettings::default()).unwrap();
        plugin.warnings().concat()
    };
    let told = warnings("granted");
    for part in ["wasi:filesystem/types@", "dirs = [", "--allow-dir"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
    // What only languages' libraries bring along is none of anybody's business.
    for plain in ["hello", "heartbeat"] {
        assert_eq!(warnings(plain), "");
    }
    let place = places();
    assert!(
        reader("open", place.path(), Limits::default())
            .warnings()
            .is_empty()
    );
    let grants = Grants {
        dirs_said: true,
        ..Grants::default()
    };
    assert!(
        self::load(&[], grants, Limits::default())
            .warnings()
            .is_empty()
    );
}

#[test]
fn a_granted_directory_that_is_not_there_is_named() {
    let place = places();
    let dirs = vec![dir(&place.path().join("gone"), "/data", Access::Read)];
    let settings = PluginSettings {
        grants: Grants {
            dirs,
            ..Grants::default()
        },
        ..PluginSettings::default()
    };
    let refused = Plugin::load(&engine(), &guest("granted"), settings.clone()).unwrap_err();
    assert!(
        matches!(refused.problem, PluginProblem::Directory { .. }),
        "{refused:?}"
    );
    // It may also go later, and then one that takes its place is another one.
    fs::create_dir(place.path().join("gone")).unwrap();
    let plugin = Plugin::load(&engine(), &guest("granted"), settings).unwrap();
    fs::remove_dir(place.path().join("gone")).unwrap();
    fs::create_dir(place.path().join("gone")).unwrap();
    let tested = Tested::start(Arc::new(plugin), self::settings());
    let failed = tested.wait_for("plugin-failed", "", 1);
    let message = failed["message"].as_str().unwrap();
    assert!(
        message.contains(place.path().to_str().unwrap()),
        "{message}"
    );
}

#[test]
fn a_plugin_sees_the_variables_it_is_given_and_no_others() {
    let env = BTreeMap::from([("NAME".to_owned(), "some value".to_owned())]);
    let tested = start(
        &[("do", "variables")],
        Grants {
            env,
            ..Grants::default()
        },
    );
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(demote(tested), ["NAME=some value SECRET=***"]);
}

#[test]
fn a_secret_reaches_the_plugin_and_no_event() {
    let tested = start(&[("do", "tell")], Grants::default());
    tested.wait_for("plugin-completed", "", 1);
    tested.wait_for("plugin-log", "the secret is ***, and that is it", 1);
    tested.wait_for("plugin-log", "x***x", 1);
    for way in ["tell-by-error", "tell-by-panic", "tell-by-abort"] {
        let tested = start(&[("do", way)], Grants::default());
        let failed = tested.wait_for("plugin-failed", "***", 1);
        assert!(!failed.to_string().contains(SECRET), "{failed:#}");
        assert!(
            tested
                .events()
                .iter()
                .all(|event| !event.to_string().contains(SECRET)),
            "{:#?}",
            tested.events()
        );
    }
    assert!(
        tested
            .events()
            .iter()
            .all(|event| !event.to_string().contains(SECRET)),
        "{:#?}",
        tested.events()
    );
}

#[test]
fn a_secret_does_not_get_into_the_reason_of_a_resignation() {
    let mut tested = start(&[("do", "tell-and-resign")], Grants::default());
    let Notice::ResignRequested { reason, .. } = tested.notice() else {
        panic!("{:#?}", tested.events())
    };
    assert_eq!(reason, "***");
    demote(tested);
}

#[test]
fn an_import_that_no_grant_covers_is_refused_with_the_line_that_grants_it() {
    let refused =
        Plugin::load(&engine(), &guest("counter"), PluginSettings::default()).unwrap_err();
    let PluginProblem::NotGranted(missing) = &refused.problem else {
        panic!("{refused:?}")
    };
    let message = missing.to_string();
    for part in [
        "soloist:plugin/state@",
        "[task.allow]",
        "state = true",
        "--allow-state",
    ] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    let grants = Grants {
        state: true,
        ..Grants::default()
    };
    Plugin::load(
        &engine(),
        &guest("counter"),
        PluginSettings {
            grants,
            ..PluginSettings::default()
        },
    )
    .unwrap();
    // What uses none of it needs no grant, whatever its language's library brings along.
    for plain in ["hello", "heartbeat"] {
        Plugin::load(&engine(), &guest(plain), PluginSettings::default()).unwrap();
    }
    drop(text(
        r#"(module (func (export "on_elected")) (func (export "on_demoted")))"#,
    ));
}
