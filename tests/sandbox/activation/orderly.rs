//! Terms that end in good order: the plugin hears of its demotion, and stops.

use std::time::{Duration, Instant};

use soloist_core::clock;
use soloist_core::permit::SharedDeadline;
use soloist_core::restart::OnComplete;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};

use crate::guests::{misbehave, text};
use crate::terms::patient;

#[test]
fn a_well_behaved_plugin_is_demoted_while_on_elected_waits() {
    let mut tested = Tested::start(misbehave("wait"), patient());
    let entered = tested.wait_for("plugin-log", "entered", 1);
    tested.activation().demote(Demotion::Shutdown);
    tested.activation().demote(Demotion::NodeLost);
    assert!(!tested.stopped());
    assert_eq!(tested.story(), ["activated", "draining", "demoted"]);
    assert_eq!(
        tested.lines(),
        [
            "entered",
            "on_elected was dropped",
            "demoted: Demotion::Shutdown"
        ]
    );
    for event in ["draining", "demoted"] {
        assert_eq!(tested.wait_for(event, "", 1)["reason"], "shutdown");
    }
    assert_eq!(entered["fields"]["term"], entered["term"].to_string());
    assert_eq!(
        entered["fields"]["token"],
        entered["fencing_token"].to_string()
    );
    assert_eq!(entered["fields"]["task"], entered["task"]);
    assert_eq!(entered["fields"]["host"], "tested");
}

#[test]
fn the_smallest_plugin_lives_a_whole_term() {
    let mut tested = Tested::start(
        text(include_str!("../../../plugins/minimal.wat")),
        patient(),
    );
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
    assert_eq!(
        tested.story(),
        ["activated", "plugin-completed", "draining", "demoted"]
    );
}

#[test]
fn a_plugin_that_has_completed_is_still_told_of_its_demotion() {
    let mut tested = Tested::start(misbehave("complete"), patient());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Replaced);
    assert!(!tested.stopped());
    assert_eq!(
        tested.lines().last().unwrap(),
        "demoted: Demotion::Replaced"
    );
}

#[test]
fn a_plugin_that_has_completed_can_make_its_host_resign() {
    let settings = ActivationSettings {
        on_complete: OnComplete::Resign,
        ..patient()
    };
    let mut tested = Tested::start(misbehave("complete"), settings);
    assert!(matches!(tested.notice(), Notice::ResignRequested { .. }));
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
}

#[test]
fn a_plugin_can_resign_once() {
    let mut tested = Tested::start(misbehave("resign"), patient());
    assert_eq!(
        tested.notice(),
        Notice::ResignRequested {
            reason: "enough".into()
        }
    );
    tested.activation().demote(Demotion::Resigned);
    assert_eq!(tested.notice(), Notice::Stopped { by_force: false });
}

#[test]
fn demotion_is_safe_at_any_moment_of_the_start() {
    let plugin = misbehave("wait");
    for step in 0..50 {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + PATIENCE);
        let mut tested = Tested::start_with(plugin.clone(), patient(), deadline, |activation| {
            let moment = Instant::now() + Duration::from_micros(10 * step);
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            activation.demote(Demotion::NodeLost);
        });
        assert!(!tested.stopped());
        let story = tested.story();
        let story: Vec<_> = story.iter().map(String::as_str).collect();
        assert!(
            story == ["draining", "demoted"]
                || story == ["activated", "draining", "demoted"]
                || story == ["draining", "activated", "demoted"],
            "{story:?}"
        );
    }
}
