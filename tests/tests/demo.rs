//! `make demo` does what it says, and cleans up after itself however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::{PATIENCE, build, eventually, process::Process};
use tempfile::TempDir;

/// The demo, with a directory of its own for temporary files.
struct Demo {
    process: Process,
    output: BufReader<std::process::ChildStdout>,
    temporary: TempDir,
}

fn start() -> Result<Demo> {
    build::artifacts()?;
    let temporary = TempDir::new()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.env("TMPDIR", temporary.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut process = Process::spawn("the demo", command)?;
    let (stdout, _) = process.pipes();
    Ok(Demo { process, output: BufReader::new(stdout.context("no stdout")?), temporary })
}

/// The processes that descend from this one.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return found };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

fn leaves_nothing(temporary: &Path, processes: &[u32]) -> Result<()> {
    let files: Vec<_> = fs::read_dir(temporary)?.flatten().map(|entry| entry.path()).collect();
    ensure!(files.is_empty(), "files are left: {files:?}");
    let alive: Vec<_> = processes.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect();
    ensure!(alive.is_empty(), "processes are left: {alive:?}");
    Ok(())
}

/// The whole demo: every failover happens, the summary shows it, exit status 0, and nothing is left.
#[tokio::test]
async fn the_demo_succeeds_and_leaves_nothing() -> Result<()> {
    let mut demo = start()?;
    let mut text = String::new();
    demo.output.read_to_string(&mut text)?;
    let status = demo.process.ended(PATIENCE).await?;
    ensure!(status.success(), "{status}: {text}");
    let summary = text.split_once("Summary").context("no summary")?.1;
    for line in ["SIGTERM", "SIGKILL", "deleted by another client", "two hosts active at once: 0.0 ms"] {
        ensure!(summary.contains(line), "{line:?} is missing in: {summary}");
    }
    leaves_nothing(demo.temporary.path(), &[])
}

/// Interrupted in the middle, by Ctrl-C or by SIGTERM, the demo leaves no process and no file behind.
#[tokio::test]
async fn an_interrupted_demo_leaves_nothing() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let mut demo = start()?;
        let mut line = String::new();
        while !line.contains("activated") {
            line.clear();
            ensure!(demo.output.read_line(&mut line)? > 0, "the demo has ended early");
        }
        let processes = descendants(demo.process.pid());
        ensure!(processes.len() >= 2, "a server and a host at least: {processes:?}");
        demo.process.signal(signal)?;
        let status = demo.process.ended(PATIENCE).await?;
        ensure!(status.code() == Some(130), "{signal:?}: {status}");
        leaves_nothing(demo.temporary.path(), &processes)?;
    }
    Ok(())
}

/// Killed outright, the demo cannot clean up its files; its processes end all the same.
#[tokio::test]
async fn a_killed_demo_takes_its_processes_along() -> Result<()> {
    if !Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no setpriv on this machine");
        return Ok(());
    }
    let mut demo = start()?;
    let mut line = String::new();
    while !line.contains("activated") {
        line.clear();
        ensure!(demo.output.read_line(&mut line)? > 0, "the demo has ended early");
    }
    let processes = descendants(demo.process.pid());
    demo.process.kill()?;
    eventually("the demo's processes to end", PATIENCE, async || {
        processes.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await
}
