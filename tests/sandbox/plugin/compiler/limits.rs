//! What a compiler may take: time, a processor, threads, memory.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use soloist_core::limits::Limits;
use soloist_sandbox::{Plugin, PluginEngine, PluginProblem, PluginSettings};

use super::case::{Script, is_alive, slow, wait_until};
use crate::guests::{File, compiler, soloist};

#[test]
fn a_compiler_that_takes_too_long_is_ended() {
    let script = Script::new(r#"echo $$ > "$HERE/process"; exec sleep 1000"#);
    let limits = Limits {
        compile_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let problem = script.load(limits).unwrap_err();
    assert!(
        matches!(problem, PluginProblem::TooSlow { .. }),
        "{problem:?}"
    );
    let process: u32 = script.wrote("process").trim().parse().unwrap();
    wait_until("it goes on", || !is_alive(process));

    // The real compiler is ended as well, and nothing of its work is left.
    let cache = tempfile::tempdir().unwrap();
    let engine = Arc::new(PluginEngine::with_cache(compiler(), Some(cache.path())).unwrap());
    let limits = Limits {
        compile_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let settings = PluginSettings {
        limits,
        ..PluginSettings::default()
    };
    let problem = Plugin::load(&engine, &slow().0, settings)
        .unwrap_err()
        .problem;
    assert!(
        matches!(problem, PluginProblem::TooSlow { .. }),
        "{problem:?}"
    );
    let left = fs::read_dir(cache.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name());
    let left: Vec<_> = left
        .filter(|name| name != "code" && name != "kept")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Runs the program as a user that has no other process, which only root can do.
#[test]
fn who_may_have_too_few_threads_is_told_of_that_limit() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let file = File::new(
        "wat",
        br#"(module (func (export "on_elected")) (func (export "on_demoted")))"#,
    );
    let user = 2_000_000_000 + std::process::id();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        command
            .args(arguments)
            .env("HOME", "/nowhere")
            .env_remove("XDG_CACHE_HOME")
            .uid(user)
            .output()
    };
    let program = soloist().to_str().unwrap();
    if !run(&[program, "--version"]).is_ok_and(|output| output.status.success()) {
        return;
    }
    let (mut told, mut panicked, mut succeeded) = (0, Vec::new(), false);
    for threads in 1..100 {
        let output = run(&[
            &format!("--nproc={threads}"),
            program,
            "check",
            file.0.to_str().unwrap(),
        ])
        .unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        told += u32::from(words.contains("raise the limit of processes and threads"));
        if words.contains("panicked") {
            panicked.push(words);
        }
        succeeded = output.status.success();
        if succeeded {
            break;
        }
    }
    // wasmtime panics when it has no thread for its cache: once, since it needs one.
    assert!(
        succeeded && told > 2 && panicked.len() <= 1,
        "{told} {panicked:#?}"
    );
}

/// The kernel ends one that has used its share of a processor, and says so.
#[test]
fn a_compiler_that_uses_too_much_of_a_processor_is_too_slow() {
    let script = Script::new(
        r#"order=$(printf %s "$2" | sed 's/"processor":[0-9]*/"processor":0/'); exec "$SOLOIST" "$1" "$order" "$3""#,
    );
    let settings = PluginSettings::default();
    let problem = Plugin::load(&script.engine(), &slow().0, settings)
        .map(drop)
        .unwrap_err()
        .problem;
    assert!(
        matches!(problem, PluginProblem::TooSlow { .. }),
        "{problem:?}"
    );
}

#[test]
fn a_compiler_without_enough_memory_ends_alone_and_the_limit_is_named() {
    let engine = Arc::new(PluginEngine::with_cache(compiler(), None).unwrap());
    let limits = Limits {
        compile_memory: 96 << 20,
        ..Limits::default()
    };
    let settings = PluginSettings {
        limits,
        ..PluginSettings::default()
    };
    let problem = Plugin::load(&engine, &slow().0, settings)
        .map(drop)
        .unwrap_err()
        .problem;
    // Where it ends depends on how large the program is.
    match problem {
        PluginProblem::Crashed { memory, .. } => assert_eq!(memory, 96 << 20),
        PluginProblem::Threads(_) | PluginProblem::Compile(_) => {}
        other => panic!("{other:?}"),
    }
}
