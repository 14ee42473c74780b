//! A granted directory leads nowhere else, and is no place that matters to the host.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use soloist_core::grants::Access;
use soloist_core::limits::Limits;
use soloist_dev::testbed::Tested;
use soloist_sandbox::{Plugin, PluginEngine, PluginProblem, PluginSettings};

use super::case::{dir, files, granting, load, places};
use crate::guests::{compiler, engine, guest};
use crate::terms::{demote, without_restart};

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
    // Two hosts of one machine may be told of these directories; a single host refuses both.
    let steps = ["list /s", "read /s/mine", "read /s/secret", "make /s/new"];
    let grants = |host, guest| granting(vec![dir(host, guest, Access::Write)]);
    let config = [("do", "files"), ("steps", &steps.join("\n"))];
    let plugin = load(&config, grants(&inner, "/s"), Limits::default());
    let swap = ["rename /d/sub /d/old", "symlink ../target /d/sub"];
    let outcomes = files(grants(&outer, "/d").dirs, &swap);
    assert_eq!(
        (&*outcomes[swap[0]], &*outcomes[swap[1]]),
        ("renamed", "linked")
    );
    assert!(inner.join("secret").exists(), "the link is in place");
    let tested = Tested::start(plugin, without_restart());
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
    // A host that starts now, and knows of both grants, does not take the link for a grant of what it leads to.
    let settings = |grants, all_dirs: Vec<_>| PluginSettings {
        grants,
        all_dirs: all_dirs.into(),
        ..PluginSettings::default()
    };
    let both = [grants(&outer, "/d").dirs, grants(&inner, "/s").dirs].concat();
    let own = granting(both.clone());
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
fn a_directory_that_holds_what_is_the_hosts_is_not_granted_to_write() {
    let place = places();
    let (cache, inside) = (place.path().join("cache"), place.path().join("inside"));
    let engine = Arc::new(PluginEngine::with_cache(compiler(), Some(&cache)).unwrap());
    let load = |host: &Path, access| {
        let grants = granting(vec![dir(host, "/data", access)]);
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
fn a_granted_directory_that_is_not_there_is_named() {
    let place = places();
    let dirs = vec![dir(&place.path().join("gone"), "/data", Access::Read)];
    let settings = PluginSettings {
        grants: granting(dirs),
        ..PluginSettings::default()
    };
    let refused = Plugin::load(&engine(), &guest("granted"), settings.clone()).unwrap_err();
    assert!(
        matches!(refused.problem, PluginProblem::Directory { .. }),
        "{refused:?}"
    );
    // A directory may also go after the plugin was loaded. A new one in its place is another directory, and not granted.
    fs::create_dir(place.path().join("gone")).unwrap();
    let plugin = Plugin::load(&engine(), &guest("granted"), settings).unwrap();
    fs::remove_dir(place.path().join("gone")).unwrap();
    fs::create_dir(place.path().join("gone")).unwrap();
    let tested = Tested::start(Arc::new(plugin), without_restart());
    let failed = tested.wait_for("plugin-failed", "", 1);
    let message = failed["message"].as_str().unwrap();
    assert!(
        message.contains(place.path().to_str().unwrap()),
        "{message}"
    );
}
