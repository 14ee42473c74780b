//! Programs that others use: `soloist ensemble` serves them, as ZooKeeper would.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::process::{self, Process};
use soloist_tests::{PATIENCE, build, host, zookeeper};
use tempfile::TempDir;

/// A running `soloist ensemble`.
struct Served {
    process: Process,
    address: SocketAddr,
    /// What it said first.
    first_line: String,
}

fn soloist(args: &[&str]) -> Result<std::process::Command> {
    let mut command = process::command(&build::artifacts()?.soloist);
    host::clear_settings(&mut command);
    command.args(args).stdin(Stdio::null());
    Ok(command)
}

/// Runs it to its end.
async fn run(mut command: std::process::Command) -> Result<std::process::Output> {
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

async fn serve(args: &[&str]) -> Result<Served> {
    let mut command = soloist(&[&["ensemble", "--listen", "127.0.0.1:0"], args].concat())?;
    command.stdout(Stdio::piped());
    let mut process = Process::spawn("soloist ensemble", command)?;
    let (stdout, _) = process.pipes();
    let mut lines = BufReader::new(stdout.context("no stdout")?).lines();
    let first_line = tokio::task::spawn_blocking(move || lines.next())
        .await?
        .context("no line")??;
    let mut words = first_line.split([' ', ',']);
    let address = words.find_map(|word| word.parse().ok());
    Ok(Served {
        process,
        address: address.with_context(|| first_line.clone())?,
        first_line,
    })
}

impl Served {
    /// Ends it as an operator does; gives its exit code.
    async fn stop(mut self, signal: Signal) -> Result<Option<i32>> {
        self.process.signal(signal)?;
        Ok(self.process.ended(PATIENCE).await?.code())
    }
}

#[tokio::test]
async fn it_says_that_it_is_for_development_and_ends_when_it_is_asked_to() -> Result<()> {
    for signal in [Signal::TERM, Signal::INT] {
        let served = serve(&[]).await?;
        ensure!(
            served.first_line.starts_with("for development: "),
            "{}",
            served.first_line
        );
        ensure!(served.stop(signal).await? == Some(0));
    }
    Ok(())
}

#[tokio::test]
async fn soloist_finds_it_and_its_snapshot_again() -> Result<()> {
    let directory = TempDir::with_prefix("soloist-ensemble-")?;
    let file = directory.path().join("snapshot").display().to_string();
    let mut hosts = 0;
    for _ in 0..2 {
        let served = serve(&["--snapshot", &file, "--tick-time", "500ms"]).await?;
        let servers = served.address.to_string();
        let plugin = build::artifacts()?.guest("hello").display().to_string();
        let id = format!("host-{hosts}");
        hosts += 1;
        let run_once = soloist(&[
            "run",
            &plugin,
            "--task",
            "greet",
            "--once-for",
            &id,
            "--zookeeper",
            &servers,
            "--host-id",
            &id,
            "--session-timeout",
            "5s",
            "--tick-time",
            "500ms",
        ])?;
        let ran = run(run_once).await?;
        ensure!(ran.status.success(), "{ran:?}");
        let status = run(soloist(&[
            "history",
            "greet",
            "--zookeeper",
            &servers,
            "--json",
        ])?)
        .await?;
        let terms: serde_json::Value = serde_json::from_slice(&status.stdout)?;
        let terms = terms["terms"].as_array().context("no terms")?.len();
        ensure!(terms == hosts, "{terms} terms of {hosts}");
        ensure!(served.stop(Signal::TERM).await? == Some(0));
    }
    Ok(())
}

#[tokio::test]
async fn an_address_a_port_and_a_snapshot_that_will_not_do_are_told() -> Result<()> {
    let directory = TempDir::with_prefix("soloist-ensemble-")?;
    let file = directory.path().join("snapshot");
    std::fs::write(&file, "something else")?;
    let served = serve(&[]).await?;
    let (taken, file) = (served.address.to_string(), file.display().to_string());
    let cases: [(&[&str], i32, &[&str]); 6] = [
        (
            &["--listen", "0.0.0.0:2181"],
            2,
            &["0.0.0.0:2181 is no loopback address", "listen on 127.0.0.1"],
        ),
        (
            &["--listen", &taken],
            1,
            &["cannot listen on", &taken, "in use"],
        ),
        (&["--listen", "localhost"], 2, &["--listen", "localhost"]),
        (&["--tick-time", "soon"], 2, &["--tick-time", "soon"]),
        (
            &["--listen", "127.0.0.1:0", "--tick-time", "0s"],
            2,
            &["--tick-time"],
        ),
        (
            &["--listen", "127.0.0.1:0", "--snapshot", &file],
            2,
            &["cannot use the snapshot", "move it away"],
        ),
    ];
    for (args, code, told) in cases {
        let ended = run(soloist(&[&["ensemble"], args].concat())?).await?;
        let stderr = String::from_utf8(ended.stderr)?;
        ensure!(
            ended.status.code() == Some(code),
            "{args:?}: {:?} {stderr}",
            ended.status
        );
        for part in told {
            ensure!(stderr.contains(part), "{args:?}: no {part:?} in {stderr}");
        }
    }
    ensure!(std::fs::read_to_string(Path::new(&file))? == "something else");
    Ok(())
}

/// What `zkCli.sh` runs.
#[tokio::test]
async fn the_command_line_of_zookeeper_creates_reads_watches_and_closes() -> Result<()> {
    let served = serve(&[]).await?;
    let mut command = zookeeper::command_line(served.address)?;
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let script = "create /a hello\nls -w /a\ncreate -e -s /a/b x\nget -s /a\nget -w /a\nset /a other\nstat /a\n\
                  addauth digest user:secret\nsetAcl /a auth::cdrwa\ngetAcl /a\nwhoami\ndeleteall /a\nls /\nquit\n";
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(script.as_bytes())?;
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
    let text = String::from_utf8(ended.stdout)? + &String::from_utf8(ended.stderr)?;
    ensure!(ended.status.success(), "{text}");
    for part in [
        "Created /a\n",
        "type:NodeChildrenChanged path:/a\n",
        "Created /a/b0000000000\n",
        "hello\ncZxid",
        "type:NodeDataChanged path:/a\n",
        "dataVersion = 1\n",
        "'digest,'user:",
        "digest: user\n",
        "[zookeeper]\n",
    ] {
        ensure!(text.contains(part), "no {part:?} in:\n{text}");
    }
    ensure!(!text.contains("KeeperErrorCode"), "{text}");
    ensure!(served.stop(Signal::TERM).await? == Some(0));
    Ok(())
}
