//! Plugins that are run again within their term, after a failure or after they have completed.

use std::time::Duration;

use soloist_core::cause::Cause;
use soloist_core::restart::{OnComplete, RestartPolicy};
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};

use crate::guests::misbehave;
use crate::terms::{patient, with_late_restart};

/// A failed plugin is restarted so often, at first after 20 ms.
pub(super) fn restarting(max_restarts: u32, healthy_after: Duration) -> ActivationSettings {
    let initial = Duration::from_millis(20);
    let restart = RestartPolicy {
        initial,
        max: 4 * initial,
        healthy_after,
        max_restarts,
    };
    ActivationSettings {
        restart,
        ..patient()
    }
}

#[test]
fn a_plugin_that_fails_is_restarted_with_longer_and_longer_waits_and_then_the_host_resigns() {
    let settings = restarting(3, PATIENCE);
    let mut tested = Tested::start(misbehave("error"), settings);
    let Notice::Failed(failed) = tested.notice() else {
        panic!("{:#?}", tested.events())
    };
    assert!(
        failed.cause == Cause::Returned("this went wrong".into()),
        "{failed:?}"
    );
    assert_eq!(failed.restarts, 3);
    let waits: Vec<_> = (1..=4)
        .map(|times| {
            tested
                .wait_for("plugin-failed", "", times)
                .get("restart_in")
                .cloned()
        })
        .collect();
    assert_eq!(
        waits,
        [
            Some(0.02.into()),
            Some(0.04.into()),
            Some(0.08.into()),
            None
        ]
    );
    assert_eq!(
        tested
            .lines()
            .iter()
            .filter(|line| *line == "entered")
            .count(),
        4
    );
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
    assert_eq!(
        tested
            .story()
            .iter()
            .filter(|event| *event == "activated")
            .count(),
        1
    );
}

#[test]
fn a_plugin_that_was_healthy_before_it_failed_is_always_restarted() {
    let mut tested = Tested::start(misbehave("error"), restarting(1, Duration::ZERO));
    let failed = tested.wait_for("plugin-failed", "", 5);
    assert_eq!(failed["restart_in"], 0.02);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

#[test]
fn a_plugin_that_completes_can_be_run_again_and_again() {
    let settings = ActivationSettings {
        on_complete: OnComplete::Restart,
        ..restarting(0, PATIENCE)
    };
    let mut tested = Tested::start(misbehave("complete"), settings);
    let pauses = [1, 2, 3, 4]
        .map(|times| tested.wait_for("plugin-completed", "", times)["restart_in"].clone());
    assert_eq!(pauses, [0.02, 0.04, 0.08, 0.08]);
    assert_eq!(tested.any_notice(), Notice::Completed);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let story = tested.story();
    assert_eq!(
        story.iter().filter(|event| *event == "activated").count(),
        1,
        "{story:?}"
    );
    assert!(!story.contains(&"plugin-failed".to_owned()), "{story:?}");
    assert!(
        tested
            .lines()
            .iter()
            .filter(|line| *line == "entered")
            .count()
            >= 4
    );
}

#[test]
fn a_completion_is_told_and_so_is_a_run_that_is_long_enough() {
    let mut tested = Tested::start(misbehave("complete"), patient());
    assert_eq!(tested.any_notice(), Notice::Completed);
    let mut tested = Tested::start(misbehave("wait"), restarting(0, Duration::from_millis(20)));
    assert_eq!(tested.any_notice(), Notice::Healthy);
    tested.activation().demote(Demotion::Shutdown);
    assert_eq!(
        tested.any_notice(),
        Notice::Stopped { by_force: false },
        "it is told once"
    );
}

#[test]
fn demotion_does_not_wait_for_a_restart() {
    let mut tested = Tested::start(misbehave("error"), with_late_restart());
    tested.wait_for("plugin-failed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(
        tested.story(),
        ["activated", "plugin-failed", "draining", "demoted"]
    );
}
