//! What a plugin imports, and what is said of an import without its grant.

use soloist_core::grants::Grants;
use soloist_core::limits::Limits;
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_sandbox::{Plugin, PluginProblem, PluginSettings};

use super::case::{places, reader};
use crate::guests::{engine, guest, misbehave, text};
use crate::terms::patient;

#[test]
fn a_plugin_is_given_nothing_of_the_host() {
    let mut tested = Tested::start(misbehave("sandbox"), patient());
    let line = tested.wait_for("plugin-log", "variables", 1);
    assert_eq!(
        line["message"],
        "variables 0, arguments 0, root false, stdin 0, tcp false, listen false, udp false, names false"
    );
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
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
    // An import that only a language's library brings along is not worth a warning.
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
        super::case::load(&[], grants, Limits::default())
            .warnings()
            .is_empty()
    );
}
