//! Every limit of a plugin, reached by a real one: the plugin is ended, and the report names the limit, its value and its
//! setting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::guests::{limited, limited_text};
use serde_json::Value;
use soloist_core::clock;
use soloist_core::limits::{Limit, Limits};
use soloist_core::permit::SharedDeadline;
use soloist_core::restart::RestartPolicy;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::{Excess, MAX_LIFTING, Plugin, PluginProblem};

fn settings() -> ActivationSettings {
    let restart = RestartPolicy {
        max_restarts: 0,
        ..RestartPolicy::default()
    };
    ActivationSettings {
        demote_timeout: PATIENCE,
        restart,
        ..ActivationSettings::default()
    }
}

/// Runs a plugin that reaches a limit, and returns the report, which must name the limit and its value.
fn reached(plugin: Arc<Plugin>, limit: Limit, value: &str) -> Value {
    let mut tested = Tested::start(plugin, settings());
    let failed = tested.wait_for("plugin-failed", "", 1);
    let message = failed["message"].as_str().unwrap();
    assert_eq!(failed["cause"], limit.cause(), "{failed:#}");
    assert!(
        message.contains(limit.setting()) && message.contains(value),
        "{message}"
    );
    let Notice::Failed(told) = tested.notice() else {
        panic!("{:#?}", tested.events())
    };
    assert_eq!(told.cause.name(), limit.cause());
    assert!(message.contains(&told.cause.to_string()), "{message}");
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
    failed
}

fn bare(on_elected: &str) -> String {
    format!(r#"(module {on_elected} (func (export "on_demoted")))"#)
}

#[test]
fn memory() {
    let limits = Limits {
        memory: 64 << 20,
        ..Limits::default()
    };
    reached(limited("memory", limits.clone()), Limit::Memory, "67108864");
    let large = bare(r#"(memory (export "memory") 2000) (func (export "on_elected"))"#);
    reached(
        limited_text(&large, limits).unwrap(),
        Limit::Memory,
        "67108864",
    );
}

#[test]
fn table_elements() {
    let grows = bare(
        r#"(table $t 1 funcref)
           (func $grow (drop (table.grow $t (ref.null func) (i32.const 60000))))
           (func (export "on_elected") (loop $again (call $grow) (br $again)))"#,
    );
    let failed = reached(
        limited_text(&grows, Limits::default()).unwrap(),
        Limit::TableElements,
        "200000",
    );
    assert!(
        failed["backtrace"].as_str().unwrap().contains("grow"),
        "{failed:#}"
    );
    let large = bare(r#"(table 900000 funcref) (func (export "on_elected"))"#);
    reached(
        limited_text(&large, Limits::default()).unwrap(),
        Limit::TableElements,
        "200000",
    );
    // What a table may not have by its own maximum is refused, as WebAssembly has it.
    let bounded = bare(
        r#"(table $t 1 2 funcref)
           (func (export "on_elected")
             (if (i32.ne (table.grow $t (ref.null func) (i32.const 5)) (i32.const -1)) (then unreachable)))"#,
    );
    let mut tested = Tested::start(
        limited_text(&bounded, Limits::default()).unwrap(),
        settings(),
    );
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
}

#[test]
fn the_stack() {
    for stack in [Limits::default().stack, 128 << 10, 8 << 20] {
        let recurses = bare(
            r#"(func $deep (param i64) (result i64) (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
               (func (export "on_elected") (drop (call $deep (i64.const 0))))"#,
        );
        let plugin = limited_text(
            &recurses,
            Limits {
                stack,
                ..Limits::default()
            },
        )
        .unwrap();
        assert_eq!(plugin.limits().stack, stack);
        reached(plugin, Limit::Stack, &stack.to_string());
    }
}

#[test]
fn a_larger_stack_is_a_larger_stack() {
    let deep = bare(
        r#"(func $deep (param i32) (result i32)
             (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
               (else (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))))
           (func (export "on_elected") (drop (call $deep (i32.const 100000))))"#,
    );
    let load = |stack| {
        limited_text(
            &deep,
            Limits {
                stack,
                ..Limits::default()
            },
        )
        .unwrap()
    };
    reached(load(Limits::default().stack), Limit::Stack, "524288");
    let mut tested = Tested::start(load(32 << 20), settings());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
}

#[test]
fn what_passes_to_the_host_in_one_call() {
    let limits = Limits {
        call_bytes: 1 << 20,
        log_line: 100,
        ..Limits::default()
    };
    let failed = reached(
        limited("huge-log", limits.clone()),
        Limit::CallBytes,
        "1048576",
    );
    assert!(
        failed["backtrace"].as_str().unwrap().contains("misbehave"),
        "{failed:#}"
    );
    let mut tested = Tested::start(
        limited(
            "huge-log",
            Limits {
                call_bytes: 16 << 20,
                ..limits
            },
        ),
        settings(),
    );
    let line = tested.wait_for("plugin-log", "yyy", 1);
    assert!(
        line["message"].as_str().unwrap().len() < 200,
        "a line is cut at its own limit"
    );
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
}

#[test]
fn a_giant_error_is_not_taken_either() {
    let limits = Limits {
        call_bytes: 1 << 20,
        ..Limits::default()
    };
    reached(limited("giant-error", limits), Limit::CallBytes, "1048576");
}

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
    // These have, each in its way: they call the host, wait, or return. All of them last longer than the time to start.
    for what in ["wait", "thread-sleep", "loop", "idle", "complete"] {
        let restart = RestartPolicy {
            healthy_after: 3 * limits.start_timeout,
            ..settings().restart
        };
        let settings = ActivationSettings {
            demote_timeout: Duration::ZERO,
            restart,
            ..settings()
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

#[test]
fn instances_memories_and_tables_are_counted_before_anything_is_compiled() {
    let component = r#"(component
        (core module $m (memory 1) (table 1 funcref) (func (export "f")))
        (core instance $a (instantiate $m))
        (core instance $b (instantiate $m))
        (core instance $c (instantiate $m))
        (alias core export $a "f" (core func $f))
        (func $g (canon lift (core func $f)))
        (export "on-elected" (func $g)) (export "on-demoted" (func $g)))"#;
    let enough = Limits {
        instances: 3,
        memories: 3,
        tables: 3,
        ..Limits::default()
    };
    let load = |limits| match limited_text(component, limits) {
        Err(error) => match error.problem {
            PluginProblem::Limit(reached) => Some(reached),
            other => panic!("{other:?}"),
        },
        Ok(_) => panic!("loaded"),
    };
    for (limits, limit) in [
        (
            Limits {
                instances: 2,
                ..enough.clone()
            },
            Limit::Instances,
        ),
        (
            Limits {
                memories: 2,
                ..enough.clone()
            },
            Limit::Memories,
        ),
        (
            Limits {
                tables: 2,
                ..enough.clone()
            },
            Limit::Tables,
        ),
    ] {
        let reached = load(limits).unwrap();
        assert_eq!((reached.limit, reached.allowed), (limit, 2));
    }
    // It has no async exports, which is what is wrong with it then.
    let error = limited_text(component, enough).unwrap_err();
    assert!(
        matches!(error.problem, PluginProblem::WrongExport { .. }),
        "{error:?}"
    );
}

#[test]
fn log_lines_have_a_rate_a_burst_and_a_length() {
    let limits = Limits {
        log_rate: 1,
        log_burst: 10,
        log_line: 5,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("flood", limits), settings());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let lines = tested.lines();
    let said = lines
        .iter()
        .filter(|line| !line.contains("lines dropped"))
        .count();
    assert!((10..100).contains(&said), "{said} lines of 5003");
    assert!(
        lines.iter().any(|line| line.contains("`limits.log_rate`")),
        "{lines:?}"
    );
    assert!(lines[0] == "enter [2 more bytes]", "{lines:?}");
}

#[test]
fn the_state_has_limits_of_its_own() {
    let limits = Limits {
        state_value: 100,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("state-large", limits), settings());
    tested.wait_for("plugin-log", "too large", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

/// Whatever else the machine does, it only takes time away from the plugin.
#[test]
fn a_share_of_the_processor() {
    let limits = Limits {
        cpu: 10,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("count", limits), settings());
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
    let mut tested = Tested::start_with(limited("loop", limits), settings(), deadline, |_| ());
    tested.wait_for("plugin-log", "entered", 1);
    let begun = Instant::now();
    tested.activation().revoke();
    assert!(tested.stopped());
    println!("gone {:?} after revocation", begun.elapsed());
}

/// A plugin whose call goes through so many components, each of which waits for the next one, and the last one for a clock.
fn chain(links: usize) -> String {
    let instances = (1..=links).map(|number| {
        let before = number - 1;
        format!(
            r#"(instance $i{number} (instantiate $link (with "f" (func $f{before}))))
               (alias export $i{number} "f" (func $f{number}))"#
        )
    });
    format!(
        r#"(component
            (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
                (export "wait-for" (func async (param "how-long" u64)))))
            (alias export $clock "wait-for" (func $f0))
            (component $link
                (import "f" (func $f async (param "how-long" u64)))
                (core func $lowered (canon lower (func $f)))
                (func $lifted async (param "how-long" u64) (canon lift (core func $lowered)))
                (export "f" (func $lifted)))
            {}
            (component $first
                (import "f" (func $f async (param "how-long" u64)))
                (core func $wait (canon lower (func $f)))
                (core module $m
                    (import "" "wait" (func $wait (param i64)))
                    (func (export "on-elected") (call $wait (i64.const 3600000000000)))
                    (func (export "on-demoted")))
                (core instance $m (instantiate $m (with "" (instance (export "wait" (func $wait))))))
                (func $elected async (canon lift (core func $m "on-elected")))
                (func $demoted async (canon lift (core func $m "on-demoted")))
                (export "on-elected" (func $elected))
                (export "on-demoted" (func $demoted)))
            (instance $first (instantiate $first (with "f" (func $f{links}))))
            (export "on-elected" (func $first "on-elected"))
            (export "on-demoted" (func $first "on-demoted")))"#,
        instances.collect::<String>()
    )
}

/// Each call that waits for another component holds a stack. No plugin can hold those of another, nor more than it may.
#[test]
fn stacks_of_calls_that_wait() {
    let problem = limited_text(&chain(950), Limits::default())
        .map(drop)
        .unwrap_err()
        .problem;
    assert!(
        matches!(
            problem,
            PluginProblem::Excess(Excess::TooMany {
                max: MAX_LIFTING,
                ..
            })
        ),
        "{problem:?}"
    );
    let restart = RestartPolicy {
        healthy_after: Duration::from_millis(300),
        ..settings().restart
    };
    let settings = ActivationSettings {
        demote_timeout: Duration::ZERO,
        restart,
        ..settings()
    };
    let most = limited_text(
        &chain(usize::try_from(MAX_LIFTING).unwrap() - 1),
        Limits::default(),
    )
    .unwrap();
    let mut holding = Tested::start(most, settings);
    assert_eq!(
        holding.any_notice(),
        Notice::Healthy,
        "{:#?}",
        holding.events()
    );
    let mut another = holding.beside(limited("wait", Limits::default()), settings);
    assert_eq!(
        another.any_notice(),
        Notice::Healthy,
        "{:#?}",
        another.events()
    );
    for tested in [&mut holding, &mut another] {
        tested.activation().demote(Demotion::Resigned);
        tested.stopped();
    }
}
