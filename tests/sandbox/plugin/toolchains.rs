//! Plugins as different toolchains make them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use soloist_sandbox::PluginProblem;

use super::{lines_of_a_term, load, refusal};
use crate::guests::{File, text};

/// Builds the plugin `hello` in another way, beside the usual one.
fn hello(target: &str, linker: &[&str]) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.ancestors().nth(3).unwrap().join("toolchains");
    let built = Command::new(env!("CARGO"))
        .args([
            "rustc",
            "--quiet",
            "--release",
            "--package",
            "hello",
            "--target",
            target,
            "--target-dir",
        ])
        .arg(&directory)
        .args(["--crate-type", "cdylib", "--"])
        .args(linker)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .status()
        .unwrap();
    assert!(built.success(), "hello does not build for {target}");
    directory.join(target).join("release/hello.wasm")
}

/// A core module whose types lie in a custom section, which is what linkers make that know nothing of components.
#[test]
fn core_modules_of_rust_run() {
    for (target, linker) in [
        ("wasm32-unknown-unknown", &[][..]),
        ("wasm32-wasip2", &["-C", "link-arg=--skip-wit-component"]),
    ] {
        let module = hello(target, linker);
        assert!(
            wasmparser::Parser::is_core_wasm(&std::fs::read(&module).unwrap()),
            "{target}"
        );
        let lines = lines_of_a_term(Arc::new(load(&module).unwrap()));
        assert!(
            lines[0].starts_with("hello from tested, leader of task-"),
            "{target}: {lines:?}"
        );
    }
}

/// A reactor as the C compilers of WASI preview 1 make it: `_initialize` sets up the library and comes first.
#[test]
fn a_reactor_of_wasi_preview_1_is_initialized_and_has_clocks_random_numbers_and_output() {
    let lines = lines_of_a_term(text(
        r#"(module
            (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $name (param i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\05\00\00\00")
            (data (i32.const 16) "fine\0a")
            (data (i32.const 32) "data/x")
            (global $initialized (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $initialized (i32.const 1)))
            (func $check (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
            (func (export "on_elected")
                (call $check (global.get $initialized))
                (call $check (i32.eqz (call $clock (i32.const 0) (i64.const 1000) (i32.const 64))))
                (call $check (i64.ne (i64.load (i32.const 64)) (i64.const 0)))
                (call $check (i32.eqz (call $random (i32.const 72) (i32.const 16))))
                (call $check (i64.ne (i64.load (i32.const 72)) (i64.load (i32.const 80))))
                ;; No arguments, no variables, and no directory but one that denies (2) all that it is asked for.
                (call $check (i32.eqz (call $args (i32.const 96) (i32.const 100))))
                (call $check (i32.eqz (i32.load (i32.const 96))))
                (call $check (i32.eqz (call $environ (i32.const 96) (i32.const 100))))
                (call $check (i32.eqz (i32.load (i32.const 96))))
                (call $check (i32.eqz (call $prestat (i32.const 3) (i32.const 96))))
                (call $check (i32.eq (i32.load (i32.const 100)) (i32.const 1)))
                (call $check (i32.eqz (call $name (i32.const 3) (i32.const 96) (i32.const 1))))
                (call $check (i32.eq (i32.load8_u (i32.const 96)) (i32.const 47)))
                (call $check (i32.eq (i32.const 2)
                    (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 0)
                        (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 96))))
                (call $check (i32.eq (call $prestat (i32.const 4) (i32.const 96)) (i32.const 8)))
                (call $check (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
            (func (export "on_demoted")))"#,
    ));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("\"/data/x\" is in no directory that is granted"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "fine");
}

#[test]
fn a_program_that_runs_from_its_beginning_to_its_end_is_no_plugin() {
    for more in [
        "",
        r#"(func (export "on_elected")) (func (export "on_demoted"))"#,
    ] {
        let program = format!(r#"(module (func (export "_start")) {more})"#);
        let (problem, told) = refusal("wat", program.as_bytes());
        assert!(matches!(problem, PluginProblem::Program), "{told}");
        assert!(
            told.contains("`_start`") && told.contains("reactor"),
            "{told}"
        );
    }
}

/// Text and binary of a component alike.
#[test]
fn a_component_may_be_text() {
    let wat = super::contract::component("async", "async");
    let binary = File::new("wasm", &wat::parse_str(&wat).unwrap());
    assert!(lines_of_a_term(text(&wat)).is_empty());
    assert!(lines_of_a_term(Arc::new(load(&binary.0).unwrap())).is_empty());
}
