//! When `on_demoted` is called, row by row of the tables in the contract (`guest-sdk/wit/plugin.wit`).

use std::sync::Arc;
use std::time::Duration;

use soloist_core::limits::Limits;
use soloist_core::permit::SharedDeadline;
use soloist_core::restart::{OnComplete, RestartPolicy};
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::Plugin;

use crate::guests::{limited, misbehave, text};
use crate::terms::with_late_restart;

fn completing(on_complete: OnComplete) -> ActivationSettings {
    ActivationSettings {
        on_complete,
        ..with_late_restart()
    }
}

/// A bare module that could ask whether it should stop. It says `elected` and then does `elected`, and says `demoted` when it is.
fn bare(elected: &str) -> Arc<Plugin> {
    starting("", elected)
}

/// As `bare`, and before anything is called it does `start`.
fn starting(start: &str, elected: &str) -> Arc<Plugin> {
    text(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "soloist" "should_stop" (func (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\08\00\00\00\18\00\00\00\08\00\00\00elected\0ademoted\0a")
            (func $say (param i32)
                (drop (call $fd_write (i32.const 1) (local.get 0) (i32.const 1) (i32.const 64))))
            (func $compute (param $rounds i64)
                (loop (br_if 0 (i64.ne (local.tee $rounds (i64.sub (local.get $rounds) (i64.const 1))) (i64.const 0)))))
            (func $start {start})
            (start $start)
            (func (export "on_elected") (call $say (i32.const 0)) {elected})
            (func (export "on_demoted") (call $say (i32.const 8))))"#
    ))
}

/// For a moment, in which a test can do something.
const COMPUTE: &str = "(call $compute (i64.const 300000000))";

/// Demotes what stops by itself, and gives what the plugin said.
fn demoted(tested: &mut Tested, reason: Demotion) -> Vec<String> {
    tested.activation().demote(reason);
    assert!(!tested.stopped(), "{:#?}", tested.events());
    tested.lines()
}

fn told(reason: Demotion) -> String {
    format!("demoted: Demotion::{reason:?}")
}

fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(text)).count()
}

#[test]
fn whatever_the_reason_a_plugin_that_waits_is_told_of_it() {
    let plugin = misbehave("wait");
    for reason in Demotion::ALL {
        let mut tested = Tested::start(plugin.clone(), with_late_restart());
        tested.wait_for("plugin-log", "entered", 1);
        assert_eq!(
            demoted(&mut tested, reason),
            ["entered", "on_elected was dropped", &told(reason)]
        );
        assert_eq!(tested.wait_for("draining", "", 1)["reason"], reason.name());
    }
}

#[test]
fn a_plugin_that_has_returned_is_told_if_it_stays() {
    for on_complete in [OnComplete::Hold, OnComplete::Resign] {
        for plugin in [misbehave("complete"), bare("")] {
            let mut tested = Tested::start(plugin, completing(on_complete));
            tested.wait_for("plugin-completed", "", 1);
            let lines = demoted(&mut tested, Demotion::Resigned);
            assert_eq!(count(&lines, "demoted"), 1, "{lines:?}");
        }
    }
}

#[test]
fn a_plugin_that_is_to_be_run_again_is_gone_and_told_nothing() {
    for plugin in [misbehave("complete"), bare("")] {
        let mut tested = Tested::start(plugin, completing(OnComplete::Restart));
        assert!(!tested.wait_for("plugin-completed", "", 1)["restart_in"].is_null());
        let lines = demoted(&mut tested, Demotion::Shutdown);
        assert_eq!(count(&lines, "demoted"), 0, "{lines:?}");
        assert_eq!(
            tested.story(),
            ["activated", "plugin-completed", "draining", "demoted"]
        );
    }
}

#[test]
fn a_plugin_that_has_failed_is_gone_and_told_nothing_however_it_failed() {
    let small = Limits {
        memory: 4 << 20,
        ..Limits::default()
    };
    let failing = || {
        [
            ("error", misbehave("error")),
            ("panic", misbehave("panic")),
            ("exit", misbehave("exit")),
            ("out-of-memory", limited("memory", small.clone())),
            (
                "trap",
                bare("(drop (i64.div_s (i64.const 1) (i64.const 0)))"),
            ),
            ("exit", bare("(call $exit (i32.const 0))")),
        ]
    };
    let once = RestartPolicy {
        max_restarts: 0,
        ..with_late_restart().restart
    };
    for settings in [
        with_late_restart(),
        ActivationSettings {
            restart: once,
            ..with_late_restart()
        },
    ] {
        for (cause, plugin) in failing() {
            let mut tested = Tested::start(plugin, settings);
            let failed = tested.wait_for("plugin-failed", "", 1);
            assert_eq!(failed["cause"], cause, "{failed:#}");
            // It waits to be run again, or for its host to resign.
            assert_eq!(
                failed["restart_in"].is_null(),
                settings.restart == once,
                "{failed:#}"
            );
            let lines = demoted(&mut tested, Demotion::Resigned);
            assert_eq!(count(&lines, "demoted"), 0, "{cause}: {lines:?}");
        }
    }
}

#[test]
fn a_plugin_that_resigns_is_told_whether_it_waits_or_returns() {
    for (what, on_complete) in [
        ("resign", OnComplete::Hold),
        ("resign-complete", OnComplete::Hold),
        ("resign-complete", OnComplete::Resign),
        ("resign-complete", OnComplete::Restart),
    ] {
        let mut tested = Tested::start(misbehave(what), completing(on_complete));
        assert_eq!(
            tested.notice(),
            Notice::ResignRequested {
                reason: "enough".into()
            }
        );
        if what == "resign-complete" {
            assert_eq!(
                tested.wait_for("plugin-completed", "", 1).get("restart_in"),
                None
            );
        }
        let lines = demoted(&mut tested, Demotion::Resigned);
        assert_eq!(
            lines.last(),
            Some(&told(Demotion::Resigned)),
            "{what} {on_complete:?}: {lines:?}"
        );
    }
}

#[test]
fn a_plugin_that_resigns_and_fails_is_gone_and_told_nothing() {
    let mut tested = Tested::start(misbehave("resign-error"), with_late_restart());
    assert_eq!(
        tested.notice(),
        Notice::ResignRequested {
            reason: "enough".into()
        }
    );
    tested.wait_for("plugin-failed", "", 1);
    assert_eq!(
        demoted(&mut tested, Demotion::Resigned),
        ["entered", "on_elected was dropped"]
    );
}

#[test]
fn a_plugin_that_computes_is_told_when_it_waits_or_returns() {
    for plugin in [misbehave("compute"), bare(COMPUTE)] {
        let mut tested = Tested::start(plugin, with_late_restart());
        tested.wait_for("plugin-log", "e", 1);
        let lines = demoted(&mut tested, Demotion::NodeLost);
        assert_eq!(count(&lines, "demoted"), 1, "{lines:?}");
        assert!(lines.last().unwrap().starts_with("demoted"), "{lines:?}");
    }
}

#[test]
fn a_plugin_that_computes_for_too_long_is_stopped_and_told_nothing() {
    let short = ActivationSettings {
        demote_timeout: Duration::from_millis(100),
        ..with_late_restart()
    };
    for plugin in [
        misbehave("loop"),
        misbehave("thread-sleep"),
        bare("(loop (br 0))"),
    ] {
        let mut tested = Tested::start(plugin, short);
        tested.wait_for("plugin-log", "e", 1);
        tested.activation().demote(Demotion::Shutdown);
        assert!(tested.stopped());
        assert_eq!(tested.lines().len(), 1, "{:?}", tested.lines());
    }
}

/// Whenever demotion begins, on the way to `on_elected` or after that: whoever was not elected is not demoted either.
#[test]
fn a_plugin_that_is_being_started_is_told_of_both_or_of_neither() {
    let plugin = starting(COMPUTE, "");
    let of_neither = (0..10).any(|_| {
        let mut tested = Tested::start(plugin.clone(), with_late_restart());
        tested.wait_for("activated", "", 1);
        let lines = demoted(&mut tested, Demotion::Shutdown);
        assert_eq!(
            count(&lines, "elected"),
            count(&lines, "demoted"),
            "{lines:?}"
        );
        assert_eq!(tested.wait_for("demoted", "", 1)["reason"], "shutdown");
        lines.is_empty()
    });
    assert!(
        of_neither,
        "it was always started before it could be demoted"
    );
}

#[test]
fn a_plugin_that_is_demoted_twice_is_told_once() {
    let short = ActivationSettings {
        demote_timeout: Duration::from_millis(300),
        ..with_late_restart()
    };
    let mut tested = Tested::start(misbehave("linger"), short);
    tested.wait_for("plugin-log", "entered", 1);
    tested.activation().demote(Demotion::Resigned);
    tested.wait_for("plugin-log", "demoted", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(tested.stopped());
    assert_eq!(
        tested.lines(),
        [
            "entered",
            "on_elected was dropped",
            &told(Demotion::Resigned)
        ]
    );
    assert_eq!(tested.wait_for("revoked", "", 1)["reason"], "resigned");
}

#[test]
fn a_plugin_that_fails_while_it_is_demoted_is_reported_and_gone() {
    let mut tested = Tested::start(misbehave("linger-panic"), with_late_restart());
    tested.wait_for("plugin-log", "entered", 1);
    let lines = demoted(&mut tested, Demotion::Shutdown);
    assert_eq!(count(&lines, "demoted"), 1, "{lines:?}");
    assert_eq!(
        tested.story(),
        ["activated", "draining", "plugin-failed", "demoted"]
    );
}

/// The session has ended, the lease is over, or both.
#[test]
fn a_plugin_whose_lease_is_over_is_gone_and_told_nothing() {
    for (what, ends) in [
        ("wait", true),
        ("wait", false),
        ("work", true),
        ("work", false),
    ] {
        let deadline = SharedDeadline::default();
        deadline.set(soloist_core::clock::now() + 10 * PATIENCE);
        let mut tested = Tested::start_with(
            misbehave(what),
            with_late_restart(),
            deadline.clone(),
            |_| (),
        );
        tested.wait_for("plugin-log", "entered", 1);
        deadline.end();
        // What a contender does when its session ends; where it does nothing the lease alone ends the term.
        if ends {
            tested.activation().demote(Demotion::LeaseExpiring);
            tested.activation().revoke();
        }
        assert!(tested.stopped());
        assert_eq!(tested.lines(), ["entered"]);
        assert_eq!(tested.events().pop().unwrap()["reason"], "lease-expiring");
    }
}
