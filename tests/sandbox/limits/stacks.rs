//! The stack of a plugin, and the stacks of its calls that wait.

use std::time::Duration;

use soloist_core::limits::{Limit, Limits};
use soloist_core::restart::RestartPolicy;
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::{Excess, MAX_LIFTING, PluginProblem};

use super::case::{bare, reached};
use crate::guests::{limited, limited_text};
use crate::terms::without_restart;

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
    let mut tested = Tested::start(load(32 << 20), without_restart());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
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
        ..without_restart().restart
    };
    let settings = ActivationSettings {
        demote_timeout: Duration::ZERO,
        restart,
        ..without_restart()
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
