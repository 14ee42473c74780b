//! Terms that end with their permit: whatever the plugin does, it has no effect after the deadline.

use std::sync::Arc;
use std::time::Duration;

use soloist_core::cause::Cause;
use soloist_core::clock;
use soloist_core::permit::{Permit, SharedDeadline};
use soloist_core::term::Demotion;
use soloist_dev::testbed::{Memory, PATIENCE, Tested, runtime, term};
use soloist_runtime::activation::ActivationSettings;
use soloist_sandbox::{AfterCompletion, Leadership};
use tokio::sync::{mpsc, watch};

use crate::guests::{misbehave, text};
use crate::terms::patient;

#[test]
fn a_lease_that_runs_out_ends_the_term_even_if_nobody_says_so() {
    for what in ["wait", "loop", "thread-sleep", "work"] {
        let deadline = SharedDeadline::default();
        let plugin = misbehave(what);
        let end = clock::now() + Duration::from_millis(500);
        deadline.set(end);
        let mut tested = Tested::start_with(plugin, patient(), deadline, |_| ());
        let by_force = tested.stopped();
        let late = clock::now().saturating_since(end);
        println!("{what}: gone {late:?} after its deadline");
        assert!(!late.is_zero(), "{what} was stopped before its time");
        // A machine that is busy enough may not have entered the plugin in time: then there was nothing to force.
        assert_eq!(
            by_force,
            tested.story().contains(&"activated".to_owned()),
            "{what}"
        );
        assert!(
            !tested
                .lines()
                .contains(&"on_elected was dropped".to_owned()),
            "{what} was told"
        );
        assert_eq!(tested.events().pop().unwrap()["reason"], "lease-expiring");
    }
}

#[test]
fn not_one_call_of_the_host_passes_after_the_deadline() {
    let plugin = misbehave("overstay");
    for _ in 0..20 {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + Duration::from_millis(20));
        let mut tested = Tested::start_with(plugin.clone(), patient(), deadline, |_| ());
        tested.stopped();
        assert!(!tested.lines().contains(&"acts after its time".to_owned()));
    }
}

#[test]
fn a_plugin_that_computes_without_end_sees_the_end_of_its_permit_by_itself() {
    let deadline = SharedDeadline::default();
    let permit = Permit::new(deadline.clone());
    let (_demand, drain) = watch::channel(None);
    let (resignations, _) = mpsc::unbounded_channel();
    let term = Arc::new(term("computes"));
    let state = Arc::<Memory>::default();
    let leadership = Leadership {
        term,
        permit,
        state,
        drain,
        resignations,
    };
    let runtime = runtime();
    let plugin =
        text(r#"(module (func (export "on_elected") (loop br 0)) (func (export "on_demoted")))"#);
    deadline.set(clock::now() + Duration::from_millis(100));
    let run = runtime.spawn(async move { plugin.run(leadership, |_| AfterCompletion::Stay).await });
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, run).await });
    let failure = ended.expect("it has ended").unwrap().unwrap_err();
    assert!(matches!(failure.cause, Cause::LeaseLost(_)), "{failure:?}");
}

#[test]
fn a_term_that_ends_before_the_plugin_is_entered_activates_nothing() {
    let mut expired = Tested::start_with(
        misbehave("wait"),
        patient(),
        SharedDeadline::default(),
        |_| (),
    );
    assert!(!expired.stopped());
    assert_eq!(expired.story(), ["demoted"]);
}

#[test]
fn a_plugin_knows_how_long_it_may_run() {
    let plugin = misbehave("remaining");
    let deadline = SharedDeadline::default();
    deadline.set(clock::now() + PATIENCE);
    let settings = ActivationSettings {
        demote_timeout: PATIENCE / 2,
        ..ActivationSettings::default()
    };
    let mut tested = Tested::start_with(plugin, settings, deadline.clone(), |_| ());
    let millis = |event: serde_json::Value, field: &str| {
        Duration::from_millis(event["fields"][field].as_str().unwrap().parse().unwrap())
    };
    let left = millis(tested.wait_for("plugin-log", "remaining", 1), "millis");
    assert!(left <= PATIENCE, "{left:?}");
    deadline.set(clock::now() + 10 * PATIENCE);
    // The second line from now was certainly written after the extension.
    let lines = tested
        .lines()
        .iter()
        .filter(|line| *line == "remaining")
        .count();
    let left = millis(
        tested.wait_for("plugin-log", "remaining", lines + 2),
        "millis",
    );
    assert!(left > PATIENCE, "{left:?}");
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let left = millis(tested.wait_for("plugin-log", "demoted", 1), "left");
    assert!(left <= PATIENCE / 2, "{left:?}");
}
