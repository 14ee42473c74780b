//! Terms that end by force: the plugin does not stop in time, or is not asked to.

use std::time::{Duration, Instant};

use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::ActivationSettings;

use crate::guests::{misbehave, printing, text};
use crate::terms::patient;

/// Long enough to tell a plugin that is stopped at its limit from one that is stopped at once.
const DEMOTE_TIMEOUT: Duration = Duration::from_millis(300);

/// Whoever does not stop is stopped soon.
fn impatient() -> ActivationSettings {
    ActivationSettings {
        demote_timeout: DEMOTE_TIMEOUT,
        ..ActivationSettings::default()
    }
}

/// Demotes a plugin that does not stop, and returns how long after that it was gone.
fn stop_by_force(what: &str) -> Duration {
    let mut tested = Tested::start(misbehave(what), impatient());
    tested.wait_for("plugin-log", "entered", 1);
    let begun = Instant::now();
    tested.activation().demote(Demotion::Shutdown);
    assert!(tested.stopped(), "{what} stops by itself");
    let took = begun.elapsed();
    assert_eq!(tested.story(), ["activated", "draining", "revoked"]);
    assert_eq!(tested.wait_for("revoked", "", 1)["reason"], "shutdown");
    assert!(
        took >= DEMOTE_TIMEOUT,
        "{what} was stopped before its time: {took:?}"
    );
    took
}

#[test]
fn a_plugin_that_does_not_stop_is_stopped_by_force_whatever_it_does() {
    for what in ["loop", "thread-sleep", "linger", "linger-loop"] {
        let took = stop_by_force(what);
        println!(
            "{what}: gone {:?} after its limit",
            took.checked_sub(DEMOTE_TIMEOUT).unwrap()
        );
        assert!(took < DEMOTE_TIMEOUT + PATIENCE, "{what} took {took:?}");
    }
}

#[test]
fn a_bare_module_that_never_returns_is_stopped_by_force() {
    let endless = printing("entered\n", "(loop br 0)");
    let mut tested = Tested::start(text(&endless), impatient());
    tested.wait_for("plugin-log", "entered", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(tested.stopped());
}

#[test]
fn a_revoked_plugin_is_gone_at_once_and_is_told_nothing() {
    for what in ["wait", "loop", "thread-sleep", "work"] {
        let mut tested = Tested::start(misbehave(what), patient());
        tested.wait_for("plugin-log", "entered", 1);
        let begun = Instant::now();
        tested.activation().revoke();
        assert!(tested.stopped());
        println!("{what}: gone {:?} after revocation", begun.elapsed());
        assert_eq!(tested.story(), ["activated", "revoked"]);
        assert_eq!(tested.lines(), ["entered"]);
    }
}

#[test]
fn an_activation_that_is_dropped_is_revoked() {
    let mut tested = Tested::start(misbehave("loop"), patient());
    tested.wait_for("plugin-log", "entered", 1);
    drop(tested.activation.take());
    assert!(tested.stopped());
}
