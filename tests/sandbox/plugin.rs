//! Loading: every form that a plugin may have, and everything that can be wrong with one.

mod cache;
mod compiler;
mod contract;
mod toolchains;

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;

use soloist_core::digest::Digest;
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_sandbox::{LoadError, Plugin, PluginProblem, PluginSettings};

use crate::apart::apart;
use crate::guests::{File, config, engine, guest, module_with_metadata, printing, text};
use crate::terms::patient;

fn load(path: &Path) -> Result<Plugin, LoadError> {
    Plugin::load(&engine(), path, PluginSettings::default())
}

/// Loads what cannot be loaded, and returns what is wrong and how it is told.
fn refusal(extension: &str, content: &[u8]) -> (PluginProblem, String) {
    let file = File::new(extension, content);
    let error = load(&file.0).expect_err("this is no plugin");
    let told = told(&error);
    assert!(told.contains(file.0.to_str().unwrap()), "{told}");
    (error.problem, told)
}

fn told(error: &LoadError) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told.push_str(": ");
        told.push_str(&error.to_string());
        source = error.source();
    }
    told
}

/// Lives a whole term, with a completed `on_elected`, and returns the lines that it wrote.
fn lines_of_a_term(plugin: Arc<Plugin>) -> Vec<String> {
    let mut tested = Tested::start(plugin, patient());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(
        tested.story(),
        ["activated", "plugin-completed", "draining", "demoted"]
    );
    tested.lines()
}

#[test]
fn a_component_of_the_sdk_runs() {
    let lines = lines_of_a_term(Arc::new(load(&guest("hello")).unwrap()));
    assert!(
        lines[0].starts_with("hello from tested, leader of task-"),
        "{lines:?}"
    );
}

#[test]
fn heartbeat_says_at_its_interval_who_leads() {
    let load = |interval| {
        Plugin::load(
            &engine(),
            &guest("heartbeat"),
            config(&[("interval", interval)]),
        )
        .unwrap()
    };
    let mut tested = Tested::start(Arc::new(load("10ms")), patient());
    let third = tested.wait_for("plugin-log", "tested leads task-", 3);
    assert_eq!(third["fields"]["beat"], "3");
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert!(tested.lines().last().unwrap().starts_with("stops after "));

    let mut tested = Tested::start(Arc::new(load("often")), patient());
    let failed = tested.wait_for("plugin-failed", "", 1);
    assert_eq!(failed["cause"], "error");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .contains("config `interval`: "),
        "{failed:#}"
    );
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

#[test]
fn a_bare_module_may_take_the_number_of_the_term() {
    lines_of_a_term(text(
        r#"(module
            (func (export "on_elected") (param i64) (if (i64.eqz (local.get 0)) (then unreachable)))
            (func (export "on_demoted")))"#,
    ));
}

#[test]
fn a_bare_module_may_take_the_number_and_the_token_of_the_term() {
    lines_of_a_term(text(
        r#"(module
            (func (export "on_elected") (param i64 i64)
                (if (i64.ne (local.get 0) (i64.const 7)) (then unreachable))
                (if (i64.ne (local.get 1) (i64.const 1007)) (then unreachable)))
            (func (export "on_demoted")))"#,
    ));
}

#[test]
fn a_bare_module_may_use_wasi_preview_1_as_text_and_as_binary() {
    let wat = printing("it prints", "");
    assert_eq!(lines_of_a_term(text(&wat)), ["it prints"]);
    let binary = File::new("wasm", &wat::parse_str(&wat).unwrap());
    assert_eq!(
        lines_of_a_term(Arc::new(load(&binary.0).unwrap())),
        ["it prints"]
    );
}

#[test]
fn a_core_module_with_the_types_of_the_contract_runs() {
    let file = File::new("wasm", &module_with_metadata());
    assert!(lines_of_a_term(Arc::new(load(&file.0).unwrap())).is_empty());
}

#[test]
fn a_file_that_is_not_there_or_is_no_file_is_refused() {
    let missing = load(Path::new("no/such/plugin.wasm")).unwrap_err();
    assert!(
        matches!(&missing.problem, PluginProblem::Read(error) if error.kind() == std::io::ErrorKind::NotFound)
    );
    assert!(
        told(&missing).contains("no/such/plugin.wasm"),
        "{}",
        told(&missing)
    );
    let directory = load(&std::env::temp_dir()).unwrap_err();
    assert!(matches!(directory.problem, PluginProblem::NotAFile));
}

#[test]
fn a_pinned_file_is_loaded_only_as_it_was_pinned() {
    let file = File::new(
        "wat",
        br#"(module (func (export "on_elected")) (func (export "on_demoted")))"#,
    );
    let pinned = |digest| PluginSettings {
        sha256: Some(digest),
        ..PluginSettings::default()
    };
    let digest = Digest::of(&std::fs::read(&file.0).unwrap());
    let plugin = Plugin::load(&engine(), &file.0, pinned(digest)).unwrap();
    assert_eq!(plugin.digest(), digest);
    // Nothing of another file is looked at, not even whether it is WebAssembly.
    std::fs::write(&file.0, "something else").unwrap();
    let error = Plugin::load(&engine(), &file.0, pinned(digest)).unwrap_err();
    let other = Digest::of(b"something else");
    let PluginProblem::WrongDigest { expected, found } = error.problem else {
        panic!("{error:?}")
    };
    assert_eq!((expected, found), (digest, other));
    assert!(
        told(&error).contains(&digest.to_string()) && told(&error).contains(&other.to_string())
    );
}

#[test]
fn what_is_no_webassembly_is_refused() {
    for content in [
        &b""[..],
        b"#!/bin/sh\n",
        b"\x7fELF\x02\x01\x01",
        b"\0as",
        &[0xff; 100],
    ] {
        assert!(
            matches!(refusal("wasm", content).0, PluginProblem::NotWasm),
            "{content:?}"
        );
    }
}

#[test]
fn broken_webassembly_is_refused() {
    let component = std::fs::read(guest("hello")).unwrap();
    for size in [9, 100, component.len() / 2, component.len() - 1] {
        let (problem, told) = refusal("wasm", &component[..size]);
        assert!(
            matches!(problem, PluginProblem::Malformed(_)),
            "{size}: {told}"
        );
    }
    let module = module_with_metadata();
    for size in [9, 20, module.len() - 1] {
        let (problem, told) = refusal("wasm", &module[..size]);
        assert!(
            matches!(problem, PluginProblem::Malformed(_)),
            "{size}: {told}"
        );
    }
    let (problem, told) = refusal("wasm", b"\0asm\x07\0\0\0");
    assert!(matches!(problem, PluginProblem::Malformed(_)), "{told}");
}

#[test]
fn text_with_a_mistake_is_refused_with_its_line() {
    let (problem, told) = refusal(
        "wat",
        b"(module\n  (func (export \"on_elected\")\n  (fnuc))\n",
    );
    assert!(matches!(problem, PluginProblem::Text(_)), "{told}");
    assert!(told.contains("3:4"), "{told}");
}

#[test]
fn what_the_engine_cannot_compile_is_refused() {
    let wat = r#"(module (table 2000000 funcref) (func (export "on_elected")) (func (export "on_demoted")))"#;
    let (problem, told) = refusal("wat", wat.as_bytes());
    assert!(
        matches!(problem, PluginProblem::Excess(_)) && told.contains("1000000 elements of tables"),
        "{told}"
    );
    let wat = r#"(module (memory 1 (pagesize 1)) (func (export "on_elected")) (func (export "on_demoted")))"#;
    let (problem, told) = refusal("wat", wat.as_bytes());
    assert!(
        matches!(problem, PluginProblem::Malformed(_)) && told.contains("custom page sizes"),
        "{told}"
    );
}

#[test]
fn a_machine_with_little_address_space_runs_plugins_all_the_same() {
    apart("ulimit -v 4000000", || {
        lines_of_a_term(text(include_str!("../../plugins/minimal.wat")));
    });
}
