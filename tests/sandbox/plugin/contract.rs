//! What a plugin exports and imports is what the contract has, in a version that the host speaks.

use soloist_core::grants::Grants;
use soloist_sandbox::{Plugin, PluginProblem, PluginSettings};

use super::{lines_of_a_term, refusal};
use crate::guests::{File, engine, printing, text};

#[test]
fn a_module_without_the_exports_is_refused_by_their_name() {
    for (wat, missing) in [
        ("(module)", "on_elected"),
        (r#"(module (func (export "on_elected")))"#, "on_demoted"),
        ("(component)", "on-elected"),
    ] {
        let (problem, told) = refusal("wat", wat.as_bytes());
        assert!(
            matches!(problem, PluginProblem::MissingExport { export } if export == missing),
            "{told}"
        );
        assert!(
            told.contains(&format!("does not export `{missing}`")),
            "{told}"
        );
    }
}

/// A component whose functions have the given types, which must be lowered to nothing.
pub(super) fn component(on_elected: &str, on_demoted: &str) -> String {
    format!(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $elected {on_elected} (canon lift (core func $i "f")))
            (func $demoted {on_demoted} (canon lift (core func $i "f")))
            (export "on-elected" (func $elected))
            (export "on-demoted" (func $demoted)))"#
    )
}

#[test]
fn exports_of_the_wrong_type_are_refused_with_what_was_expected_and_found() {
    for (wat, at, expected, found) in [
        (
            r#"(module (func (export "on_elected") (param i32) (result i64) unreachable) (func (export "on_demoted")))"#
                .to_owned(),
            "on_elected",
            "(func), (func (param i64)) or (func (param i64 i64))",
            "(func (param i32) (result i64))",
        ),
        (
            r#"(module (func (export "on_elected")) (func (export "on_demoted") (param i64 i64)))"#.to_owned(),
            "on_demoted",
            "(func) or (func (param i64))",
            "(func (param i64 i64))",
        ),
        (
            r#"(module (func (export "on_elected")) (memory (export "on_demoted") 1))"#.to_owned(),
            "on_demoted",
            "(func)",
            "a memory",
        ),
        (
            r#"(component
                (core module $m (func (export "elected")) (func (export "demoted") (param i32)))
                (core instance $i (instantiate $m))
                (func $elected async (canon lift (core func $i "elected")))
                (type $cases (enum "resigned" "bored"))
                (export $reason "reason" (type $cases))
                (func $demoted async (param "reason" $reason) (canon lift (core func $i "demoted")))
                (export "on-elected" (func $elected))
                (export "on-demoted" (func $demoted)))"#
                .to_owned(),
            "on-demoted",
            "func(reason: demotion), async or not",
            "async func(reason: enum { resigned, bored })",
        ),
    ] {
        let (problem, told) = refusal("wat", wat.as_bytes());
        assert!(matches!(problem, PluginProblem::WrongExport { export, .. } if export == at), "{told}");
        assert!(told.contains(expected) && told.contains(&format!("found {found}")), "{told}");
    }
    for (elected, demoted) in [("async", "async"), ("", ""), ("", "async"), ("async", "")] {
        lines_of_a_term(text(&component(elected, demoted)));
    }
}

#[test]
fn imports_that_nobody_offers_are_refused_by_their_name() {
    let (problem, told) = refusal(
        "wat",
        br#"(module (import "env" "launch" (func)) (func (export "on_elected")) (func (export "on_demoted")))"#,
    );
    assert!(
        matches!(problem, PluginProblem::UnknownImport { ref import } if import == "env.launch"),
        "{told}"
    );
    assert!(told.contains("`env.launch`"), "{told}");
    // A name may be long, and longer still where it is quoted.
    for name in ["x".repeat(70_000), "\\01".repeat(12_000)] {
        let (problem, told) = refusal(
            "wat",
            format!(r#"(module (import "env" "{name}" (func)))"#).as_bytes(),
        );
        assert!(
            matches!(problem, PluginProblem::UnknownImport { .. }) && told.len() < 1000,
            "{told}"
        );
    }
    let wat = format!(
        r#"(module (func (export "on_elected") (param {})))"#,
        "i32 ".repeat(1000)
    );
    let (problem, told) = refusal("wat", wat.as_bytes());
    assert!(
        matches!(problem, PluginProblem::WrongExport { .. }) && told.len() < 1000,
        "{told}"
    );

    let wat = component("async", "async").replacen(
        "(component",
        r#"(component (import "moon:base/door@1.0.0" (instance (export "open" (func))))"#,
        1,
    );
    let (problem, told) = refusal("wat", wat.as_bytes());
    assert!(matches!(problem, PluginProblem::Link(_)), "{told}");
    assert!(told.contains("moon:base/door@1.0.0"), "{told}");

    let (problem, told) = refusal(
        "wat",
        printing("x", "").replace("fd_write", "fd_fly").as_bytes(),
    );
    assert!(matches!(problem, PluginProblem::Encode(_)), "{told}");
    assert!(told.contains("fd_fly"), "{told}");
}

/// A component that imports this function of the log, of the contract in some version.
fn logging(version: &str, function: &str) -> String {
    let import = format!(
        r#"(component (import "soloist:plugin/log@{version}" (instance (export "{function}" (func (param "message" string)))))"#
    );
    component("async", "async").replacen("(component", &import, 1)
}

#[test]
fn a_plugin_for_a_compatible_version_of_the_contract_is_loaded_if_the_host_has_what_it_imports() {
    for version in ["0.1.0", "0.1.17"] {
        lines_of_a_term(text(&logging(version, "panicked")));
        let (problem, told) = refusal("wat", logging(version, "sung").as_bytes());
        assert!(matches!(problem, PluginProblem::Link(_)), "{told}");
        assert!(
            told.contains("sung") && told.contains(&format!("soloist:plugin/log@{version}")),
            "{told}"
        );
    }
}

#[test]
fn a_plugin_for_another_version_of_the_contract_is_refused_with_those_that_the_host_speaks() {
    for version in ["0.9.0", "0.0.1", "1.0.0", "1.0.0-rc.1"] {
        let (problem, told) = refusal("wat", logging(version, "panicked").as_bytes());
        let import = format!("soloist:plugin/log@{version}");
        assert!(
            matches!(problem, PluginProblem::Contract { import: ref found } if *found == import),
            "{told}"
        );
        let says = format!("`{import}` says: this host speaks soloist:plugin@0.1.");
        assert!(told.contains(&says), "{told}");
    }
}

/// Before the first release of 0.1.0, `list` took no prefix.
#[test]
fn a_plugin_for_a_draft_of_the_contract_is_refused_with_what_has_changed() {
    for (interface, form, told_form) in [
        ("state", "func async", "async func() -> "),
        ("blocking-state", "func", "func() -> "),
    ] {
        let import = format!(
            r#"(component (import "soloist:plugin/{interface}@0.1.0" (instance
                (type $reason (variant
                    (case "bad-key" string) (case "too-large") (case "too-many")
                    (case "changed" (option u64)) (case "unavailable" string)))
                (export "error" (type $error (eq $reason)))
                (export "list" ({form} (result (result (list string) (error $error))))))) "#
        );
        let old = component("async", "async").replacen("(component", &import, 1);
        let file = File::new("wat", old.as_bytes());
        let grants = Grants {
            state: true,
            ..Grants::default()
        };
        let settings = PluginSettings {
            grants,
            ..PluginSettings::default()
        };
        let loaded = Plugin::load(&engine(), &file.0, settings).unwrap_err();
        let inspected = soloist_sandbox::inspect(&engine(), &file.0).unwrap_err();
        for refused in [loaded, inspected] {
            let told = refused.problem.to_string();
            assert!(
                matches!(refused.problem, PluginProblem::Draft { .. }),
                "{told}"
            );
            for part in [
                "made for a draft of the contract",
                "`list`",
                &*format!("`soloist:plugin/{interface}@0.1.0`"),
                told_form,
                "soloist:plugin@0.1",
                "Build it with an SDK of this host's version",
            ] {
                assert!(told.contains(part), "{part} is missing in: {told}");
            }
        }
    }
}
