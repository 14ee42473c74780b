//! Memories, tables and instances.

use soloist_core::limits::{Limit, Limits};
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_sandbox::PluginProblem;

use super::case::{bare, reached};
use crate::guests::{limited, limited_text};
use crate::terms::without_restart;

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
    // A table that has reached its own maximum does not grow, and the plugin goes on, as WebAssembly has it.
    let bounded = bare(
        r#"(table $t 1 2 funcref)
           (func (export "on_elected")
             (if (i32.ne (table.grow $t (ref.null func) (i32.const 5)) (i32.const -1)) (then unreachable)))"#,
    );
    let mut tested = Tested::start(
        limited_text(&bounded, Limits::default()).unwrap(),
        without_restart(),
    );
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
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
    let exact = limited_text(component, enough).map(drop);
    assert!(exact.is_ok(), "{exact:?}");
}
