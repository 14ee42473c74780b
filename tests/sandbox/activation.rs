//! One term of a plugin, from activation to its end, in every way that it can end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::guests::{misbehave, printing, text};
use soloist_core::cause::Cause;
use soloist_core::clock;
use soloist_core::limits::Limits;
use soloist_core::permit::{Permit, SharedDeadline};
use soloist_core::restart::PluginFailed;
use soloist_core::restart::{OnComplete, RestartPolicy};
use soloist_core::term::Demotion;
use soloist_dev::testbed::{Memory, PATIENCE, Tested, runtime, term};
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::{AfterCompletion, Leadership, Plugin};
use tokio::sync::{mpsc, watch};

/// Long enough to tell a plugin that is stopped at its limit from one that is stopped at once.
const DEMOTE_TIMEOUT: Duration = Duration::from_millis(300);

fn settings() -> ActivationSettings {
    ActivationSettings {
        demote_timeout: DEMOTE_TIMEOUT,
        ..ActivationSettings::default()
    }
}

/// As `settings`, but patient: what stops here stops by itself.
fn patient() -> ActivationSettings {
    ActivationSettings {
        demote_timeout: PATIENCE,
        ..ActivationSettings::default()
    }
}

fn restarting(max_restarts: u32, healthy_after: Duration) -> ActivationSettings {
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
    let mut tested = Tested::start(text(include_str!("../../plugins/minimal.wat")), patient());
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

/// Demotes a plugin that does not stop, and returns how long after that it was gone.
fn stop_by_force(what: &str) -> Duration {
    let mut tested = Tested::start(misbehave(what), settings());
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
    let mut tested = Tested::start(text(&endless), settings());
    tested.wait_for("plugin-log", "entered", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(tested.stopped());
}

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

/// Runs a plugin that fails, and returns the report.
fn failure(what: &str) -> serde_json::Value {
    failure_of(misbehave(what))
}

/// Runs a plugin that fails, and returns the report.
fn failure_of(plugin: Arc<Plugin>) -> serde_json::Value {
    let mut tested = Tested::start(plugin, restarting(0, PATIENCE));
    let failed = tested.wait_for("plugin-failed", "", 1);
    let Notice::Failed(PluginFailed { cause, restarts: 0 }) = tested.notice() else {
        panic!("{failed:#}")
    };
    assert_eq!(failed["cause"], cause.name());
    assert_eq!(failed["message"], format!("the plugin failed: {cause}"));
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
    assert_eq!(
        tested.story(),
        ["activated", "plugin-failed", "draining", "demoted"]
    );
    assert_eq!(failed.get("restart_in"), None);
    failed
}

fn backtrace(failed: &serde_json::Value) -> &str {
    failed["backtrace"]
        .as_str()
        .unwrap_or_else(|| panic!("no backtrace: {failed:#}"))
}

#[test]
fn a_panic_is_reported_with_its_message_and_where_it_was() {
    let failed = failure("panic");
    assert_eq!(failed["cause"], "panic");
    let message = failed["message"].as_str().unwrap();
    assert!(
        message.contains("this is the reason") && message.contains("src/lib.rs:"),
        "{message}"
    );
    assert!(
        backtrace(&failed).contains("misbehave::innermost"),
        "{failed:#}"
    );
}

#[test]
fn an_abort_is_reported_with_the_last_words() {
    let failed = failure("abort");
    assert_eq!(failed["cause"], "abort");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("these are my last words"),
        "{failed:#}"
    );
}

#[test]
fn a_plugin_that_wants_too_much_memory_is_told_apart_from_one_that_panics() {
    let failed = failure("memory");
    assert_eq!(failed["cause"], "out-of-memory");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("268435456 bytes"),
        "{failed:#}"
    );
    assert!(backtrace(&failed).contains("misbehave"), "{failed:#}");
}

#[test]
fn a_recursion_without_end_overflows_the_stack_of_the_plugin_alone() {
    let failed = failure("stack");
    assert_eq!(failed["cause"], "stack-overflow");
    let frames = backtrace(&failed).lines().count();
    assert!((2..=32).contains(&frames), "{frames} frames");
    assert!(
        backtrace(&failed).contains("misbehave::recurse"),
        "{failed:#}"
    );
}

#[test]
fn an_error_that_on_elected_returns_and_an_exit_are_reported_as_such() {
    let failed = failure("error");
    assert_eq!(failed["cause"], "error");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .ends_with("this went wrong"),
        "{failed:#}"
    );
    let failed = failure("exit");
    assert_eq!(failed["cause"], "exit");
    // Rust's library says by WASI 0.2 only that it was no success.
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("it called exit(a code other than 0"),
        "{failed:#}"
    );
    for (code, told) in [(3, "exit(3)"), (0, "exit(0)"), (255, "exit(255)")] {
        let exits = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (func (export "on_elected") (call $exit (i32.const {code})))
                (func (export "on_demoted")))"#
        );
        let failed = failure_of(text(&exits));
        assert_eq!(failed["cause"], "exit");
        assert!(
            failed["message"].as_str().unwrap().ends_with(told),
            "{failed:#}"
        );
    }
}

#[test]
fn a_trap_in_a_bare_module_is_named() {
    let divides = r#"(module
        (func $divide (param i64) (drop (i64.div_s (local.get 0) (i64.const 0))))
        (func (export "on_elected") (param i64) (call $divide (local.get 0)))
        (func (export "on_demoted") (param i64)))"#;
    let failed = failure_of(text(divides));
    assert_eq!(failed["cause"], "trap");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("divide by zero"),
        "{failed:#}"
    );
    assert!(backtrace(&failed).contains("divide"), "{failed:#}");
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
    let restart = RestartPolicy {
        initial: 10 * PATIENCE,
        max: 10 * PATIENCE,
        ..RestartPolicy::default()
    };
    let mut tested = Tested::start(
        misbehave("error"),
        ActivationSettings {
            restart,
            ..patient()
        },
    );
    tested.wait_for("plugin-failed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(
        tested.story(),
        ["activated", "plugin-failed", "draining", "demoted"]
    );
}

#[test]
fn a_failure_during_demotion_is_reported_and_ends_the_term() {
    let mut tested = Tested::start(misbehave("linger-panic"), patient());
    tested.wait_for("plugin-log", "entered", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(
        tested.story(),
        ["activated", "draining", "plugin-failed", "demoted"]
    );
    assert_eq!(
        tested.wait_for("plugin-failed", "", 1).get("restart_in"),
        None
    );
}

#[test]
fn what_a_plugin_prints_becomes_its_log_line_by_line() {
    let mut tested = Tested::start(misbehave("print"), patient());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let printed = ["first", "second", "to stderr", "not ended"]
        .map(|line| tested.wait_for("plugin-log", line, 1));
    assert_eq!(
        printed
            .each_ref()
            .map(|event| event["stream"].as_str().unwrap()),
        ["stdout", "stdout", "stderr", "stdout"]
    );
    assert_eq!(
        printed
            .each_ref()
            .map(|event| event["level"].as_str().unwrap()),
        ["info", "info", "warn", "info"]
    );
    assert_eq!(
        tested.lines().last().unwrap(),
        "not ended",
        "a line that was not ended comes at the end"
    );
}

#[test]
fn a_log_line_has_its_level_and_its_fields() {
    let mut tested = Tested::start(misbehave("fields"), patient());
    let line = tested.wait_for("plugin-log", "with 2 fields", 1);
    assert_eq!(line["level"], "error");
    assert_eq!(
        line["fields"],
        serde_json::json!({ "answer": "42", "path": "a b" })
    );
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

#[test]
fn a_long_line_is_cut_and_a_flood_is_dropped_and_both_are_said() {
    let mut tested = Tested::start(misbehave("long-line"), patient());
    let line = tested.wait_for("plugin-log", "xxx", 1);
    let line = line["message"].as_str().unwrap();
    assert!(
        line.ends_with(&format!(
            "x [{} more bytes]",
            100_000 - Limits::default().log_line
        )),
        "{}",
        line.len()
    );
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());

    let mut tested = Tested::start(misbehave("flood"), patient());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let dropped = tested
        .events()
        .iter()
        .filter_map(|event| event["dropped"].as_u64())
        .sum::<u64>();
    let lines = tested
        .lines()
        .iter()
        .filter(|line| !line.contains("lines dropped"))
        .count() as u64;
    assert!(lines >= u64::from(Limits::default().log_burst));
    // 5000 lines, and three that tell of the life of on_elected.
    assert_eq!(lines + dropped, 5003);
    assert!(dropped > 0);
}

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
