//! The time to start, and the share of a processor.

use std::time::{Duration, Instant};

use soloist_core::clock;
use soloist_core::limits::{Limit, Limits};
use soloist_core::permit::SharedDeadline;
use soloist_core::restart::RestartPolicy;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};

use super::case::{bare, reached};
use crate::guests::{limited, limited_text};
use crate::terms::without_restart;

#[test]
fn the_time_to_start() {
    let limits = Limits {
        start_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let computes = bare(r#"(func $spin (loop br 0)) (func (export "on_elected") (call $spin))"#);
    let failed = reached(
        limited_text(&computes, limits.clone()).unwrap(),
        Limit::StartTimeout,
        "200ms",
    );
    assert!(
        failed["backtrace"].as_str().unwrap().contains("spin"),
        "{failed:#}"
    );
    let starts = bare(r#"(func $spin (loop br 0)) (start $spin) (func (export "on_elected"))"#);
    reached(
        limited_text(&starts, limits.clone()).unwrap(),
        Limit::StartTimeout,
        "200ms",
    );
    // However busy the machine.
    let limits = Limits {
        start_timeout: Duration::from_secs(1),
        ..limits
    };
    // These plugins start in time, each in its way: they call the host, wait, or return. All of them last longer than the
    // time to start.
    for what in ["wait", "thread-sleep", "loop", "idle", "complete"] {
        let restart = RestartPolicy {
            healthy_after: 3 * limits.start_timeout,
            ..without_restart().restart
        };
        let settings = ActivationSettings {
            demote_timeout: Duration::ZERO,
            restart,
            ..without_restart()
        };
        let mut tested = Tested::start(limited(what, limits.clone()), settings);
        let mut notice = tested.any_notice();
        if notice == Notice::Completed {
            notice = tested.any_notice();
        }
        assert_eq!(notice, Notice::Healthy, "{what}: {:#?}", tested.events());
        tested.activation().demote(Demotion::Resigned);
        tested.stopped();
    }
}

/// Whatever else the machine does, it only takes time away from the plugin.
#[test]
fn a_share_of_the_processor() {
    let limits = Limits {
        cpu: 10,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("count", limits), without_restart());
    tested.wait_for("plugin-log", "entered", 1);
    let (begun, before) = (Instant::now(), tested.processor_time());
    tested.wait_for("plugin-log", "counted", 1);
    let (used, of) = (
        tested.processor_time().saturating_sub(before),
        begun.elapsed(),
    );
    println!("a plugin with 10 % has used {used:?} of {of:?}");
    assert!(used < of / 3, "{used:?} of {of:?}");
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

/// A plugin that rests for a long time because it has used up its share is gone at once when its permit ends.
#[test]
fn a_plugin_that_rests_does_not_outlive_its_permit() {
    let deadline = SharedDeadline::default();
    deadline.set(clock::now() + 100 * PATIENCE);
    let limits = Limits {
        cpu: 1,
        ..Limits::default()
    };
    let mut tested =
        Tested::start_with(limited("loop", limits), without_restart(), deadline, |_| ());
    tested.wait_for("plugin-log", "entered", 1);
    let begun = Instant::now();
    tested.activation().revoke();
    assert!(tested.stopped());
    println!("gone {:?} after revocation", begun.elapsed());
}
