//! What loading a plugin costs, with and without what was compiled before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use soloist_tests::{build, process};

use crate::table::{Samples, Table};

const LOADS: usize = 10;

/// `soloist check` of a small plugin, of an interpreter where there is one, and of as many functions as a plugin may have.
pub(crate) fn measure(table: &mut Table) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let functions = scratch.path().join("functions.wat");
    let exports = r#"(func (export "on_elected")) (func (export "on_demoted"))"#;
    fs::write(
        &functions,
        format!("(module {exports} {})", "(func)".repeat(99_998)),
    )?;
    // Made by the test of the plugin in Python.
    let python = build::target()?.join("python/hello.wasm");
    let plugins = [
        ("hello, 0.1 MB", Some(build::artifacts()?.guest("hello"))),
        (
            "an interpreter of Python, 22 MB",
            Some(python).filter(|python| python.exists()),
        ),
        ("100,000 functions", Some(functions)),
    ];
    for (name, plugin) in plugins {
        match plugin {
            Some(plugin) => load(table, name, &plugin, scratch.path())?,
            None => eprintln!("{name}: not there; `make test` makes it"),
        }
    }
    Ok(())
}

fn load(table: &mut Table, name: &str, plugin: &Path, scratch: &Path) -> Result<()> {
    let (mut cold, mut cached) = (Samples::default(), Samples::default());
    let (mut cold_kib, mut cached_kib) = (0, 0);
    let rounds = if name.starts_with("hello") { LOADS } else { 3 };
    for round in 0..rounds {
        let cache: PathBuf = scratch.join(format!("{}-{round}", name.len()));
        for (samples, peak) in [(&mut cold, &mut cold_kib), (&mut cached, &mut cached_kib)] {
            let (time, peak_kib) = check(plugin, &cache)?;
            samples.add(time);
            *peak = peak_kib.max(*peak);
        }
        fs::remove_dir_all(cache)?;
    }
    let memory = |kib: u64| format!("; {} MiB at most", kib / 1024);
    table.times(
        &format!("load {name}, compiled then{}", memory(cold_kib)),
        &cold,
    );
    table.times(
        &format!("load {name}, compiled before{}", memory(cached_kib)),
        &cached,
    );
    Ok(())
}

/// How long a process takes that does nothing but load the plugin, and the most memory it was seen to have, in KiB.
fn check(plugin: &Path, cache: &Path) -> Result<(Duration, u64)> {
    let begun = Instant::now();
    let mut command = process::command(&build::artifacts()?.soloist);
    command
        .args(["check", "--allow-state", "--allow-http=", "--allow-tcp="])
        .arg(plugin)
        .env("XDG_CACHE_HOME", cache)
        .stdout(Stdio::null());
    let mut child = command.spawn()?;
    let mut peak_kib = 0;
    loop {
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "{}: {ended}", plugin.display());
            return Ok((begun.elapsed(), peak_kib));
        }
        peak_kib = memory_kib(child.id()).max(peak_kib);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The memory of a process and of the one that compiles for it, in KiB.
fn memory_kib(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let own = text.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    let tasks = fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: String = children.collect();
    own.unwrap_or(0)
        + children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
            .map(memory_kib)
            .sum::<u64>()
}
