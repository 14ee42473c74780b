//! Plugins that fail: what the host says of the cause.

use std::sync::Arc;

use soloist_core::restart::PluginFailed;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::Notice;
use soloist_sandbox::Plugin;

use super::restart::restarting;
use crate::guests::{misbehave, text};
use crate::terms::patient;

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
    begins_in(&failed, "misbehave::innermost");
}

/// The backtrace begins in a function of the author's.
fn begins_in(failed: &serde_json::Value, function: &str) {
    let first = backtrace(failed).lines().next().unwrap();
    assert!(
        first.starts_with("0: ") && first.contains(&format!("!{function}"))
            || first.contains(&format!("!<{function}")),
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

/// What it keeps while it calls itself lies in its memory, where its own stack is full first.
#[test]
fn a_recursion_without_end_overflows_the_stack_in_memory_as_well() {
    let failed = failure("stack-in-memory");
    assert_eq!(failed["cause"], "stack-overflow");
    begins_in(&failed, "misbehave::recurse_with_much");
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
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .ends_with("it called exit(3)"),
        "{failed:#}"
    );
    begins_in(&failed, "misbehave::");
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
