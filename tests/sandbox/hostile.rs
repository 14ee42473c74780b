//! Plugins that mean harm, each beside a well-behaved one on the very thread that both run on: that one must not notice.

use std::sync::Arc;

use serde_json::Value;
use soloist_core::limits::Limits;
use soloist_core::restart::RestartPolicy;
use soloist_core::state::{KEYS_MAX, VALUE_MAX_BYTES};
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::Plugin;

use crate::guests::{config, engine, guest, limited, misbehave, text};
use crate::terms::without_restart;

/// How often the well-behaved plugin has to act while the other does its harm.
const BEATS: usize = 20;

/// A plugin that acts every few milliseconds.
fn well_behaved() -> Tested {
    let plugin = Plugin::load(
        &engine(),
        &guest("heartbeat"),
        config(&[("interval", "10ms")]),
    )
    .expect("it loads");
    let tested = Tested::start(Arc::new(plugin), without_restart());
    tested.wait_for("plugin-log", "leads", 1);
    tested
}

/// Waits until the well-behaved plugin has acted so many times more.
fn goes_on(tested: &Tested) {
    tested.wait_for("plugin-log", "leads", tested.lines().len() + BEATS);
}

/// Ends both terms: nothing has happened to the well-behaved plugin.
fn unharmed(mut tested: Tested) {
    goes_on(&tested);
    tested.activation().demote(Demotion::Shutdown);
    assert!(
        !tested.stopped(),
        "it was not told to stop, or could not: {:#?}",
        tested.story()
    );
    assert_eq!(tested.story(), ["activated", "draining", "demoted"]);
}

/// The harm ends in a failure of this kind.
fn fails(plugin: Arc<Plugin>, cause: &str) -> Value {
    let good = well_behaved();
    let mut bad = good.beside(plugin, without_restart());
    let failed = bad.wait_for("plugin-failed", "", 1);
    assert_eq!(failed["cause"], cause, "{failed:#}");
    bad.activation().demote(Demotion::Resigned);
    bad.stopped();
    unharmed(good);
    failed
}

/// The harm goes on until its term is ended by force.
fn is_stopped_by_force(
    plugin: Arc<Plugin>,
    settings: ActivationSettings,
    begun: impl FnOnce(&Tested),
) {
    let good = well_behaved();
    let mut bad = good.beside(plugin, settings);
    begun(&bad);
    goes_on(&good);
    bad.activation().revoke();
    assert!(bad.stopped());
    unharmed(good);
}

/// They share their code, and the engine that it runs in.
#[test]
fn a_neighbour_of_the_same_file_is_not_stopped_with_one_that_loops() {
    let good = Tested::start(misbehave("remaining"), without_restart());
    good.wait_for("plugin-log", "remaining", 1);
    let mut bad = good.beside(misbehave("loop"), without_restart());
    bad.wait_for("plugin-log", "entered", 1);
    let more = |good: &Tested| good.wait_for("plugin-log", "remaining", good.lines().len() + BEATS);
    more(&good);
    bad.activation().revoke();
    assert!(bad.stopped());
    more(&good);
    let mut good = good;
    good.activation().demote(Demotion::Shutdown);
    assert!(!good.stopped(), "{:#?}", good.story());
}

#[test]
fn a_neighbour_of_the_same_file_has_its_own_limit_of_memory() {
    let mut good = Tested::start(misbehave("wait"), without_restart());
    for memory in [32 << 20, 64 << 20] {
        let limits = Limits {
            memory,
            ..Limits::default()
        };
        let mut bad = good.beside(limited("memory", limits), without_restart());
        let failed = bad.wait_for("plugin-failed", &memory.to_string(), 1);
        assert_eq!(failed["cause"], "out-of-memory", "{failed:#}");
        bad.activation().demote(Demotion::Resigned);
        assert!(!bad.stopped());
    }
    good.activation().demote(Demotion::Shutdown);
    assert!(!good.stopped(), "{:#?}", good.story());
}

#[test]
fn a_loop_without_end() {
    is_stopped_by_force(misbehave("loop"), without_restart(), |bad| {
        bad.wait_for("plugin-log", "entered", 1);
    });
}

#[test]
fn a_loop_without_end_in_on_demoted() {
    is_stopped_by_force(misbehave("linger-loop"), without_restart(), |bad| {
        bad.wait_for("plugin-log", "entered", 1);
        bad.activation().demote(Demotion::Shutdown);
        bad.wait_for("plugin-log", "demoted", 1);
    });
}

#[test]
fn a_start_function_without_end() {
    let plugin = text(
        "(module (func $forever (loop $again (br $again))) (start $forever) \
         (func (export \"on_elected\")) (func (export \"on_demoted\")))",
    );
    is_stopped_by_force(plugin, without_restart(), |_| ());
}

#[test]
fn a_memory_bomb() {
    fails(
        limited(
            "memory",
            Limits {
                memory: 64 << 20,
                ..Limits::default()
            },
        ),
        "out-of-memory",
    );
}

#[test]
fn a_table_bomb() {
    let plugin = text(
        "(module (table $table 1 funcref) (func (export \"on_elected\") (loop $again \
         (drop (table.grow $table (ref.null func) (i32.const 10000))) (br $again))) (func (export \"on_demoted\")))",
    );
    fails(plugin, "table-limit");
}

#[test]
fn a_recursion_without_end() {
    fails(misbehave("stack"), "stack-overflow");
}

#[test]
fn a_million_calls_of_the_host() {
    let good = well_behaved();
    let bad = good.beside(misbehave("calls"), without_restart());
    bad.wait_for("plugin-log", "entered", 1);
    goes_on(&good);
    bad.wait_for("plugin-log", "a million calls were made", 1);
    unharmed(good);
}

#[test]
fn a_line_of_a_hundred_megabytes() {
    let good = well_behaved();
    let bad = good.beside(misbehave("huge-line"), without_restart());
    let line = bad.wait_for("plugin-log", "more bytes]", 1);
    let line = line["message"].as_str().unwrap();
    assert!(
        line.len() < 10_000 && line.ends_with(&format!("[{} more bytes]", 100 * (1 << 20) - 8192)),
        "{line}"
    );
    unharmed(good);
}

#[test]
fn a_flood_of_lines() {
    let good = well_behaved();
    let bad = good.beside(misbehave("flood"), without_restart());
    bad.wait_for("plugin-completed", "", 1);
    assert!(bad.lines().len() < 5000);
    unharmed(good);
}

#[test]
fn a_flood_of_state() {
    let good = well_behaved();
    let limits = Limits {
        state_rate: 1 << 30,
        ..Limits::default()
    };
    let bad = good.beside(limited("state-flood", limits), without_restart());
    bad.wait_for("plugin-log", "was refused", 1);
    bad.wait_for("plugin-completed", "", 1);
    assert!(
        bad.state.writes() <= KEYS_MAX as u64 && bad.state.bytes() <= KEYS_MAX * VALUE_MAX_BYTES
    );
    unharmed(good);
}

#[test]
fn giant_values() {
    let small = || Limits {
        call_bytes: 1 << 20,
        ..Limits::default()
    };
    fails(limited("huge-log", small()), "call-too-large");
    fails(limited("giant-error", small()), "call-too-large");
}

#[test]
fn a_plugin_that_fails_again_and_again() {
    let good = well_behaved();
    let restart = RestartPolicy {
        initial: std::time::Duration::from_millis(1),
        max: std::time::Duration::from_millis(1),
        max_restarts: 50,
        ..RestartPolicy::default()
    };
    let mut bad = good.beside(
        misbehave("panic"),
        ActivationSettings {
            restart,
            ..without_restart()
        },
    );
    assert!(
        matches!(bad.notice(), Notice::Failed(_)),
        "{:#?}",
        bad.story()
    );
    unharmed(good);
}
