use super::*;

fn of(text: &str) -> Result<Needs, Refused> {
    Needs::of(&wat::parse_str(text).unwrap())
}

/// A component in which each level makes `instances` twice, so many levels deep.
fn doubled(innermost: &str, levels: usize) -> String {
    (1..=levels).fold(format!("(component $c0 {innermost})"), |text, level| {
        let inner = level - 1;
        format!(
            "(component $c{level} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
        )
    })
}

#[test]
fn every_instance_of_a_component_is_counted_however_deep_it_is() {
    let text = "(component
        (core module $m (memory 1) (memory 1) (table 1 funcref))
        (core instance (instantiate $m))
        (component $inner
            (alias outer 1 $m (core module $again))
            (core instance (instantiate $again))
            (core instance (instantiate $again)))
        (instance (instantiate $inner))
        (instance (instantiate $inner)))";
    let needs = of(text).unwrap();
    assert_eq!(
        (
            needs.instances,
            needs.memories,
            needs.tables,
            needs.components
        ),
        (5, 10, 5, 3)
    );
}

#[test]
fn a_small_text_can_say_a_large_number() {
    for innermost in ["(core module $m) (core instance (instantiate $m))", ""] {
        assert!(of(&doubled(innermost, 8)).unwrap().components == 511);
        let refused = of(&doubled(innermost, 64));
        assert!(
            matches!(
                refused,
                Err(Refused::Excess(Excess::TooMany { max: MAX_PARTS, .. }))
            ),
            "{refused:?}"
        );
    }
    let exports: Vec<_> = (0..20_000)
        .map(|number| format!("(export \"e{number}\" (core module $m))"))
        .collect();
    let exports = exports.concat();
    let refused = of(&doubled(&format!("(core module $m) {exports}"), 7));
    assert!(
        matches!(
            refused,
            Err(Refused::Excess(Excess::TooMany {
                max: MAX_WRITTEN_OUT,
                ..
            }))
        ),
        "{refused:?}"
    );
}

#[test]
fn what_cannot_be_counted_is_refused() {
    // Each level instantiates twice what it is given, which is a level of the same kind.
    let level = |level: usize| {
        let inner = level - 1;
        format!(
            "(component $c{level} (instance (instantiate $twice (with \"x\" (component $c{inner})))))"
        )
    };
    let levels: Vec<_> = (1..=64).map(level).collect();
    let given = format!(
        "(component
            (component $c0 (core module $m) (core instance (instantiate $m)))
            (component $twice
                (import \"x\" (component $x))
                (instance (instantiate $x))
                (instance (instantiate $x)))
            {}
            (instance (instantiate $c64)))",
        levels.concat()
    );
    let taken = "(component
        (component $made (core module $m) (export \"m\" (core module $m)))
        (instance $i (instantiate $made))
        (core instance (instantiate (module $i \"m\"))))";
    for text in [&*given, taken] {
        let refused = of(text);
        assert!(
            matches!(refused, Err(Refused::Excess(Excess::Uncounted))),
            "{refused:?}"
        );
    }
}

#[test]
fn what_is_within_the_limits_is_let_through() {
    let needs = Needs {
        instances: 2,
        memories: 1,
        ..Needs::default()
    };
    let limits = Limits {
        instances: 2,
        memories: 1,
        tables: 0,
        ..Limits::default()
    };
    assert_eq!(needs.check(&limits), Ok(()));
    let limits = Limits {
        memories: 0,
        ..limits
    };
    assert_eq!(needs.check(&limits), Err(limits.reached(Limit::Memories)));
}
