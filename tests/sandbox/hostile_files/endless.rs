//! What nobody waits for: the end of a file, of a compilation and of a start.

use std::time::Duration;

use soloist_core::limits::Limits;
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_runtime::activation::ActivationSettings;
use soloist_sandbox::{MAX_FILE_BYTES, Plugin, PluginProblem, PluginSettings};

use super::bounded;
use crate::guests::{File, engine, guest, text};

/// The file has no content on the disk, so it costs nothing to make.
#[test]
fn a_file_larger_than_any_plugin() {
    bounded(|| {
        let file = File::new("wasm", b"\0asm\x01\0\0\0");
        std::fs::OpenOptions::new()
            .write(true)
            .open(&file.0)
            .unwrap()
            .set_len(MAX_FILE_BYTES + 1)
            .unwrap();
        let problem = Plugin::load(&engine(), &file.0, PluginSettings::default())
            .unwrap_err()
            .problem;
        assert!(matches!(problem, PluginProblem::TooLarge), "{problem:?}");
        std::fs::OpenOptions::new()
            .write(true)
            .open(&file.0)
            .unwrap()
            .set_len(MAX_FILE_BYTES)
            .unwrap();
        let problem = Plugin::load(&engine(), &file.0, PluginSettings::default())
            .unwrap_err()
            .problem;
        assert!(
            matches!(problem, PluginProblem::Malformed(_)),
            "{problem:?}"
        );
    });
}

#[test]
fn what_takes_too_long_is_given_up() {
    bounded(|| {
        let limits = Limits {
            compile_timeout: Duration::from_millis(1),
            ..Limits::default()
        };
        let settings = PluginSettings {
            limits,
            ..PluginSettings::default()
        };
        let error = Plugin::load(&engine(), &guest("heartbeat"), settings).unwrap_err();
        assert!(
            matches!(error.problem, PluginProblem::TooSlow { .. }),
            "{error:?}"
        );
        assert!(
            error
                .problem
                .to_string()
                .contains("`limits.compile_timeout`"),
            "{error:?}"
        );
    });
}

/// An instance that never comes to be is stopped like any other plugin that does not listen.
#[test]
fn a_start_function_that_never_ends() {
    bounded(|| {
        let settings = ActivationSettings {
            demote_timeout: Duration::from_millis(100),
            ..ActivationSettings::default()
        };
        let endless = r#"(module (func $f (loop (br 0))) (start $f) (func (export "on_elected")) (func (export "on_demoted")))"#;
        let mut tested = Tested::start(text(endless), settings);
        tested.wait_for("activated", "", 1);
        tested.activation().demote(Demotion::Shutdown);
        assert!(tested.stopped());
    });
}
