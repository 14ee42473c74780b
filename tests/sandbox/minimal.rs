//! Plugins that have nothing `async`: components of the world `minimal`, and bare modules.

use std::sync::Arc;
use std::time::Duration;

use crate::guests::{config, engine, guest, text};
use soloist_core::clock;
use soloist_core::permit::SharedDeadline;
use soloist_core::restart::RestartPolicy;
use soloist_core::state::StateError;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{Memory, PATIENCE, Tested};
use soloist_runtime::activation::ActivationSettings;
use soloist_sandbox::{Plugin, PluginSettings};

/// The guest `synchronous`, told what to do.
fn synchronous(what: &str) -> Arc<Plugin> {
    let settings = config(&[("do", what)]);
    let plugin = Plugin::load(&engine(), &guest("synchronous"), settings);
    Arc::new(plugin.unwrap_or_else(|error| panic!("{error:?}")))
}

/// Nothing here is stopped for want of time, and nothing is run again.
fn patient() -> ActivationSettings {
    ActivationSettings {
        demote_timeout: PATIENCE,
        restart: RestartPolicy {
            max_restarts: 0,
            ..RestartPolicy::default()
        },
        ..ActivationSettings::default()
    }
}

/// Demotes what stops by itself, and gives what the plugin said.
fn demoted(mut tested: Tested) -> Vec<String> {
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped(), "{:#?}", tested.events());
    tested.lines()
}

const ELECTED: &str = r#"elected for (7, 1007, "task-"#;
const FAREWELL: &str = "demoted: Demotion::Shutdown, slept: true, asked: true";

#[test]
fn a_plugin_that_asks_is_woken_at_demotion_and_then_told() {
    let tested = Tested::start(synchronous("asks"), patient());
    tested.wait_for("plugin-log", "sleeps", 1);
    let lines = demoted(tested);
    assert!(
        lines[0].starts_with(ELECTED) && lines[0].ends_with(r#"", "tested")"#),
        "{lines:?}"
    );
    assert_eq!(lines[1..], ["sleeps", "has slept", FAREWELL]);
}

#[test]
fn a_plugin_that_sleeps_by_the_contract_is_woken_at_demotion_and_then_told() {
    let tested = Tested::start(synchronous("sleeps"), patient());
    tested.wait_for("plugin-log", "sleeps", 1);
    assert_eq!(demoted(tested)[1..], ["sleeps", FAREWELL]);
}

#[test]
fn a_plugin_that_computes_and_asks_is_told() {
    let tested = Tested::start(synchronous("computes"), patient());
    tested.wait_for("plugin-log", "computes", 1);
    assert_eq!(demoted(tested)[1..], ["computes", FAREWELL]);
}

/// It may take a sleep that ends for one that is over: so none of its sleeps is cut.
#[test]
fn a_plugin_that_has_not_asked_sleeps_until_it_is_stopped() {
    let short = ActivationSettings {
        demote_timeout: Duration::from_millis(100),
        ..patient()
    };
    let mut tested = Tested::start(synchronous("asks-late"), short);
    tested.wait_for("plugin-log", "sleeps", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(tested.stopped());
    assert_eq!(tested.lines()[1..], ["sleeps"]);
    let revoked = tested.wait_for("revoked", "", 1);
    let message = revoked["message"].as_str().unwrap();
    assert!(message.contains("did not stop in time"), "{message}");
}

#[test]
fn state_is_read_and_written_as_by_other_plugins() {
    let tested = Tested::start(synchronous("state"), patient());
    tested.wait_for("plugin-completed", "", 1);
    tested.wait_for("plugin-log", r#"all is well with ["more", "name"]"#, 1);
    assert_eq!(tested.state.get("name").unwrap(), b"Grace");
    assert_eq!(tested.state.get("more"), None);
    demoted(tested);
}

#[test]
fn an_error_is_reported_as_any_other() {
    let tested = Tested::start(synchronous("error"), patient());
    let failed = tested.wait_for("plugin-failed", "this went wrong", 1);
    assert_eq!(failed["cause"], "error");
}

/// The runtime has one worker, which the other plugin has meanwhile.
#[test]
fn a_call_of_the_state_holds_the_plugin_and_nothing_else() {
    let (state, deadline) = (Arc::<Memory>::default(), SharedDeadline::default());
    state.held.send_replace(true);
    deadline.set(clock::now() + 100 * PATIENCE);
    let tested = Tested::start_in(
        state,
        synchronous("waits-for-state"),
        patient(),
        deadline,
        |_| (),
    );
    tested.wait_for("plugin-log", "elected", 1);
    let beside = tested.beside(synchronous("state"), patient());
    beside.wait_for("plugin-log", "all is well", 1);
    demoted(beside);
    assert_eq!(tested.lines().len(), 1);
    tested.state.held.send_replace(false);
    tested.wait_for("plugin-log", "read Ok(None)", 1);
    demoted(tested);
}

/// The lease ends while the state is asked: nothing waits for the answer.
#[test]
fn a_plugin_in_a_call_of_the_state_is_stopped_with_its_lease() {
    let (state, deadline) = (Arc::<Memory>::default(), SharedDeadline::default());
    state.held.send_replace(true);
    deadline.set(clock::now() + 100 * PATIENCE);
    let mut tested = Tested::start_in(
        state,
        synchronous("waits-for-state"),
        patient(),
        deadline,
        |_| (),
    );
    tested.wait_for("plugin-log", "elected", 1);
    tested.deadline.end();
    assert!(tested.stopped());
}

#[test]
fn a_plugin_of_a_term_that_is_over_writes_nothing() {
    let (state, deadline) = (Arc::<Memory>::default(), SharedDeadline::default());
    state.refuse(StateError::Fenced);
    deadline.set(clock::now() + 100 * PATIENCE);
    let mut tested = Tested::start_in(state, synchronous("state"), patient(), deadline, |_| ());
    assert!(tested.stopped());
    assert_eq!(tested.state.writes(), 0);
    assert_eq!(tested.lines().len(), 1);
}

#[test]
fn the_state_needs_its_grant() {
    let settings = PluginSettings::default();
    let error = Plugin::load(&engine(), &guest("synchronous"), settings).unwrap_err();
    let told = format!("{:#}", anyhow::Error::from(error));
    assert!(
        told.contains("soloist:plugin/blocking-state@0.1.0") && told.contains("state = true"),
        "{told}"
    );
}

/// A bare module that imports this of `soloist`, does `elected`, and says `demoted` when it is.
fn bare(imports: &str, elected: &str) -> String {
    format!(
        r#"(module
            (import "soloist" "log" (func $log (param i32 i32 i32 i32 i32)))
            {imports}
            ;; The adapter of preview 1 asks for a page.
            (memory (export "memory") 4)
            (global $free (mut i32) (i32.const 4096))
            (data (i32.const 0) "elected")
            (data (i32.const 16) "demoted")
            (data (i32.const 32) "key")
            (data (i32.const 48) "value")
            (data (i32.const 64) "other")
            ;; A clock, relative, of an hour.
            (data (i32.const 128) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\a0\b8\30\46\03\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
            (func $say (param i32 i32)
                (call $log (i32.const 2) (local.get 0) (local.get 1) (i32.const 0) (i32.const 0)))
            (func $check (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $free)
                (global.set $free
                    (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 15)) (i32.const -16))))
            (func (export "on_elected") (call $say (i32.const 0) (i32.const 7)) {elected})
            (func (export "on_demoted") (call $say (i32.const 16) (i32.const 7))))"#
    )
}

const SHOULD_STOP: &str = r#"(import "soloist" "should_stop" (func $should_stop (result i32)))"#;
const POLL: &str = r#"(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;
/// Sleeps for an hour.
const SLEEP: &str = "(call $check (i32.eqz (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 512))))";

#[test]
fn a_bare_module_that_asks_is_woken_at_demotion_and_then_told() {
    let imports = format!("{SHOULD_STOP}{POLL}");
    let elected = format!("(block (loop (br_if 1 (call $should_stop)) {SLEEP} (br 0)))");
    let wat = bare(&imports, &elected);
    let tested = Tested::start(text(&wat), patient());
    tested.wait_for("plugin-log", "elected", 1);
    assert_eq!(demoted(tested), ["elected", "demoted"]);
}

/// How they are laid out is what C has in `guest-sdk/c/soloist.h`.
#[test]
fn a_bare_module_has_its_term_its_configuration_and_its_state() {
    let imports = r#"
        (import "soloist" "current_term" (func $current_term (param i32)))
        (import "soloist" "remaining" (func $remaining (result i64)))
        (import "soloist" "config_get" (func $config_get (param i32 i32 i32)))
        (import "soloist" "state_get" (func $state_get (param i32 i32 i32)))
        (import "soloist" "state_set" (func $state_set (param i32 i32 i32 i32 i32)))
        (import "soloist" "state_delete" (func $state_delete (param i32 i32 i32)))"#;
    let elected = r"
        (call $current_term (i32.const 1024))
        (call $check (i64.eq (i64.load (i32.const 1024)) (i64.const 7)))
        (call $check (i64.eq (i64.load (i32.const 1032)) (i64.const 1007)))
        (call $say (i32.load (i32.const 1040)) (i32.load (i32.const 1044)))
        (call $say (i32.load (i32.const 1048)) (i32.load (i32.const 1052)))
        (call $check (i64.gt_u (call $remaining) (i64.const 0)))
        ;; No error, and something.
        (call $config_get (i32.const 32) (i32.const 3) (i32.const 1024))
        (call $check (i32.eqz (i32.load8_u (i32.const 1024))))
        (call $check (i32.load8_u (i32.const 1028)))
        (call $say (i32.load (i32.const 1032)) (i32.load (i32.const 1036)))
        ;; No error, and nothing.
        (call $config_get (i32.const 64) (i32.const 5) (i32.const 1024))
        (call $check (i32.eqz (i32.load8_u (i32.const 1024))))
        (call $check (i32.eqz (i32.load8_u (i32.const 1028))))
        (call $state_set (i32.const 32) (i32.const 3) (i32.const 48) (i32.const 5) (i32.const 1024))
        (call $check (i32.eqz (i32.load8_u (i32.const 1024))))
        (call $state_get (i32.const 32) (i32.const 3) (i32.const 1024))
        (call $check (i32.eqz (i32.load8_u (i32.const 1024))))
        (call $check (i32.load8_u (i32.const 1032)))
        (call $say (i32.load (i32.const 1040)) (i32.load (i32.const 1044)))
        (call $state_delete (i32.const 32) (i32.const 3) (i32.const 1024))
        (call $check (i32.eqz (i32.load8_u (i32.const 1024))))
        (call $state_set (i32.const 64) (i32.const 5) (i32.const 48) (i32.const 5) (i32.const 1024))";
    let file = crate::guests::File::new("wat", bare(imports, elected).as_bytes());
    let plugin = Plugin::load(&engine(), &file.0, config(&[("key", "configured")])).unwrap();
    let tested = Tested::start(Arc::new(plugin), patient());
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(tested.state.get("key"), None);
    assert_eq!(tested.state.get("other").unwrap(), b"value");
    let lines = demoted(tested);
    assert!(lines[1].starts_with("task-"), "{lines:?}");
    assert_eq!(
        lines[2..],
        ["tested", "configured", "value", "demoted"],
        "{lines:?}"
    );
}

#[test]
fn a_plugin_that_cannot_hear_is_stopped_at_once_which_is_said_once() {
    for (imports, busy) in [("", "(loop (br 0))"), (POLL, SLEEP)] {
        let plugin = text(&bare(imports, busy));
        for said in [1, 0] {
            let mut tested = Tested::start(plugin.clone(), patient());
            tested.wait_for("plugin-log", "elected", 1);
            tested.activation().demote(Demotion::Shutdown);
            assert!(tested.stopped());
            assert_eq!(tested.lines(), ["elected"]);
            let events = tested.events();
            let times = events
                .iter()
                .filter(|event| event["event"] == "plugin-unreachable")
                .count();
            assert_eq!(times, said, "{events:#?}");
            let revoked = tested.wait_for("revoked", "leadership has ended", 1);
            assert_eq!(revoked["reason"], "shutdown");
        }
    }
}

#[test]
fn what_soloist_does_not_have_is_refused_by_its_name_or_type() {
    for (import, told) in [
        (r#"(import "soloist" "fly" (func))"#, "`soloist.fly`"),
        (
            r#"(import "soloist" "should_stop" (func (result i64)))"#,
            "should-stop",
        ),
        (
            r#"(import "soloist" "should_stop" (global i32))"#,
            "should-stop",
        ),
    ] {
        let wat = format!(
            r#"(module {import} (func (export "on_elected")) (func (export "on_demoted")))"#
        );
        let file = crate::guests::File::new("wat", wat.as_bytes());
        let error = Plugin::load(&engine(), &file.0, PluginSettings::default()).unwrap_err();
        let error = format!("{:#}", anyhow::Error::from(error));
        assert!(error.contains(told), "{error}");
    }
}
