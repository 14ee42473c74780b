//! `make demo` does what it says, and cleans up after itself however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::process::{self, Process};
use soloist_tests::{PATIENCE, build, eventually};
use tempfile::TempDir;

/// The demo, with a directory of its own for temporary files.
struct Demo {
    process: Process,
    output: BufReader<ChildStdout>,
    temporary: TempDir,
}

fn start() -> Result<Demo> {
    build::artifacts()?;
    let temporary = TempDir::new()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut process = Process::spawn("the demo", command)?;
    let (stdout, _) = process.pipes();
    Ok(Demo {
        process,
        output: BufReader::new(stdout.context("no stdout")?),
        temporary,
    })
}

impl Demo {
    /// Reads on until a host leads.
    fn read_to_the_first_leader(&mut self) -> Result<()> {
        let mut line = String::new();
        while !line.contains("activated") {
            line.clear();
            ensure!(
                self.output.read_line(&mut line)? > 0,
                "the demo has ended early"
            );
        }
        Ok(())
    }

    /// All processes that live in the demo's directory for temporary files: it, and whatever it has started.
    fn processes(&self) -> Result<Vec<String>> {
        let mark = format!("TMPDIR={}", self.temporary.path().display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes())
            {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(found)
    }

    fn leaves_nothing(&self) -> Result<()> {
        let files: Vec<_> = fs::read_dir(self.temporary.path())?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        ensure!(files.is_empty(), "files are left: {files:?}");
        let processes = self.processes()?;
        ensure!(processes.is_empty(), "processes are left: {processes:?}");
        Ok(())
    }
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
    for line in [
        "SIGTERM",
        "SIGKILL",
        "deleted by another client",
        "two hosts active at once: 0.0 ms",
    ] {
        ensure!(summary.contains(line), "{line:?} is missing in: {summary}");
    }
    demo.leaves_nothing()
}

/// Interrupted in the middle, by Ctrl-C or by SIGTERM, the demo leaves no process and no file behind.
#[tokio::test]
async fn an_interrupted_demo_leaves_nothing() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let mut demo = start()?;
        demo.read_to_the_first_leader()?;
        let processes = demo.processes()?;
        ensure!(
            processes.len() >= 3,
            "itself, a server and a host at least: {processes:?}"
        );
        demo.process.signal(signal)?;
        let status = demo.process.ended(PATIENCE).await?;
        ensure!(status.code() == Some(130), "{signal:?}: {status}");
        demo.leaves_nothing()?;
    }
    Ok(())
}

/// Killed outright, the demo cannot clean up its files; its processes end all the same.
#[tokio::test]
async fn a_killed_demo_takes_its_processes_along() -> Result<()> {
    if !process::ends_with_its_owner() {
        eprintln!("skipped: no setpriv on this machine");
        return Ok(());
    }
    let mut demo = start()?;
    demo.read_to_the_first_leader()?;
    demo.process.kill()?;
    eventually("the demo's processes to end", PATIENCE, async || {
        demo.processes().ok()?.is_empty().then_some(())
    })
    .await
}
