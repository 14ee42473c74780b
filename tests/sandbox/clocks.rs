//! The time that plugins live by, when it is put ahead: those who try a plugin do that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use soloist_core::clock::TaskClock;
use soloist_core::restart::RestartPolicy;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::{Plugin, PluginSettings};

use crate::guests::{config, engine, guest, misbehave};

/// As long as the guest waits.
const FOREVER: Duration = Duration::from_secs(1_000_000);

/// Between two looks at what has been reported.
const POLL: Duration = Duration::from_millis(20);

/// Puts the time ahead, by so much at least, until an event has come so many times. What is to wait may not have begun to.
fn advance_until(tested: &Tested, clock: &TaskClock, by: Duration, (event, times): (&str, usize)) {
    let end = Instant::now() + PATIENCE;
    while tested.story().iter().filter(|told| *told == event).count() < times {
        assert!(Instant::now() < end, "no {event}: {:#?}", tested.events());
        clock.advance(by);
        std::thread::sleep(POLL);
    }
}

#[test]
fn a_wait_of_days_is_over_when_the_time_is_put_ahead_and_the_lease_does_not_notice() {
    for what in ["wait", "thread-sleep"] {
        let plugin = misbehave(what);
        let clock = plugin.clock().clone();
        let mut tested = Tested::start(plugin, ActivationSettings::default());
        tested.wait_for("plugin-log", "entered", 1);
        advance_until(&tested, &clock, FOREVER, ("plugin-completed", 1));
        assert!(tested.permit.check().is_ok(), "{what}");
        tested.activation().demote(Demotion::Shutdown);
        assert!(!tested.stopped(), "{what}");
    }
}

#[test]
fn a_plugin_that_rests_after_a_failure_is_run_again_when_the_time_is_put_ahead() {
    let clock = TaskClock::system();
    let settings = PluginSettings {
        clock: clock.clone(),
        ..config(&[("do", "error")])
    };
    let plugin = Plugin::load(&engine(), &guest("misbehave"), settings).expect("the guest loads");
    let pause = 10 * PATIENCE;
    let restart = RestartPolicy {
        initial: pause,
        max: pause,
        max_restarts: 1,
        ..RestartPolicy::default()
    };
    let settings = ActivationSettings {
        restart,
        ..ActivationSettings::default()
    };
    let mut tested = Tested::start(Arc::new(plugin), settings);
    tested.wait_for("plugin-failed", "", 1);
    advance_until(&tested, &clock, pause, ("plugin-failed", 2));
    assert!(matches!(tested.notice(), Notice::Failed(_)));
}
