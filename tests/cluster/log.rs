//! What a host prints, of itself, of its plugins and of libraries.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{Event, Record, What};
use soloist_tests::host::Host;
use soloist_tests::{PATIENCE, build};

const SECRET: &str = "Hunter2-\"of\"-course";

/// A plugin that is given a secret and passes it to its host, with these levels.
fn tells(cluster: &Cluster, levels: &str) -> Result<Host> {
    let directory = cluster
        .file("readable", "")?
        .parent()
        .context("it lies somewhere")?
        .display()
        .to_string();
    let command = cluster
        .host_of("a", &build::artifacts()?.guest("granted"))?
        .flag("--task", TASK);
    let command = command
        .flag("--allow-dir", format!("{directory}:/data"))
        .flag("--config", "do=files");
    let command = command.flag(
        "--config",
        format!("steps=rename /data/{SECRET} /data/other"),
    );
    command
        .flag("--secret", "SECRET")
        .env("SECRET", SECRET)
        .flag("--log-level", levels)
        .start(&cluster.history)
}

/// Each line as it was printed, or as it can be read.
fn lines(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| match &record.what {
        What::Event(event) => event.line.to_string(),
        What::Unreadable(line) => line.clone(),
        _ => String::new(),
    };
    records.iter().map(line).collect()
}

fn no_secret(records: &[Record]) -> Result<()> {
    let quoted = SECRET.replace('"', "\\\"");
    let bytes = format!("{:?}", SECRET.as_bytes());
    for line in lines(records) {
        let lowered = line.to_lowercase();
        let told = [
            SECRET,
            &quoted,
            &quoted.replace('\\', "\\\\"),
            bytes.trim_matches(['[', ']']),
        ]
        .iter()
        .any(|form| lowered.contains(&form.to_lowercase()));
        ensure!(!told, "the secret is told: {line}");
    }
    Ok(())
}

fn library(event: &Event) -> Option<&str> {
    event.text("target")
}

/// Soloist's levels are about Soloist, down to the last one. A library that is named is heard, and tells no secret.
#[tokio::test]
async fn libraries_are_heard_only_by_name_and_tell_no_secret() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = tells(&cluster, "trace")?;
    host.event("plugin-completed").await?;
    ensure!(host.terminate().await?.success());
    ensure!(
        host.records()
            .iter()
            .filter_map(Record::event)
            .all(|event| library(event).is_none()),
        "a library is heard"
    );
    no_secret(&host.records())?;

    let mut host = tells(&cluster, "info,wasmtime_wasi=trace,wasmtime-wasi-io=trace")?;
    host.event("plugin-completed").await?;
    ensure!(host.terminate().await?.success());
    let records = host.records();
    let heard: Vec<_> = records
        .iter()
        .filter_map(Record::event)
        .filter(|event| library(event).is_some())
        .collect();
    ensure!(
        heard
            .iter()
            .any(|event| event.line.to_string().contains("***")),
        "{:#?}",
        lines(&records)
    );
    let (wasi, io) = ("wasmtime_wasi::", "wasmtime_wasi_io::");
    ensure!(
        heard.iter().all(
            |event| library(event).is_some_and(|it| it.starts_with(wasi) || it.starts_with(io))
        )
    );
    no_secret(&records)
}

/// A plugin cannot flood the log by way of a library.
#[tokio::test]
async fn what_libraries_say_is_bounded() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let begun = SystemTime::now();
    let command = cluster
        .host_of("a", &build::artifacts()?.guest("misbehave"))?
        .flag("--config", "do=print-on");
    let command = command.arg("--allow-state").flag("--allow-tcp", "");
    let levels = "info,wasmtime_wasi=trace,wasmtime_wasi_io=trace";
    let mut host = command
        .flag("--log-level", levels)
        .start(&cluster.history)?;
    let said = "lines of libraries or for debugging dropped";
    let dropped = |record: &Record| {
        record
            .event()
            .is_some_and(|event| event.message.contains(said))
    };
    cluster.history.wait_for(0, said, PATIENCE, dropped).await?;
    host.kill()?;
    let records = host.records();
    let heard = records
        .iter()
        .filter_map(Record::event)
        .filter(|event| library(event).is_some())
        .count();
    let seconds = begun.elapsed()?.as_secs() + 1;
    ensure!(
        heard as u64 <= 1000 + 200 * seconds,
        "{heard} lines in {seconds} s"
    );
    Ok(())
}

/// Lines that nobody sees do not stand in the way of those that matter.
#[tokio::test]
async fn lines_below_the_level_do_not_count() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let command = cluster
        .host_of("a", &build::artifacts()?.guest("misbehave"))?
        .flag("--config", "do=whisper");
    let command = command.arg("--allow-state").flag("--allow-tcp", "");
    let mut host = command
        .flag("--limit", "log_burst=5")
        .flag("--limit", "log_rate=1")
        .start(&cluster.history)?;
    host.event_where("plugin-log", |event| {
        event.message == "this is what matters"
    })
    .await?;
    ensure!(host.terminate().await?.success());
    ensure!(
        host.records()
            .iter()
            .filter_map(Record::event)
            .all(|event| event.line.get("dropped").is_none())
    );
    Ok(())
}

/// In text as well, for which there is no field that says whose words they are.
#[tokio::test]
async fn what_a_plugin_says_is_not_taken_for_what_its_host_says() -> Result<()> {
    const FORGES: &str = r#"(module
      (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 100) "demoted Demotion::Shutdown\n\e2\80\ae\1b[2J\n")
      (data (i32.const 0) "\64\00\00\00\23\00\00\00")
      (func (export "on_elected") (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 40))))
      (func (export "on_demoted")))"#;
    let cluster = Cluster::embedded().await?;
    let plugin = cluster.file("forges.wat", FORGES)?;
    let mut host = cluster
        .host_of("a", &plugin)?
        .flag("--task", TASK)
        .text()
        .start(&cluster.history)?;
    let completed = |record: &Record| matches!(&record.what, What::Unreadable(line) if line.contains("completed"));
    cluster
        .history
        .wait_for(0, "a completion", PATIENCE, completed)
        .await?;
    ensure!(host.terminate().await?.success());
    let lines = lines(&host.records());
    let after_task = |line: &String| {
        let (_, rest) = line.split_once(&format!(" {TASK}#1"))?;
        Some(
            rest.split("fencing_token=")
                .next()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let of_term: Vec<_> = lines.iter().filter_map(after_task).collect();
    let (plugins, hosts): (Vec<_>, Vec<_>) = of_term.iter().partition(|rest| rest.starts_with('|'));
    ensure!(
        plugins == ["| demoted Demotion::Shutdown ", r"| \u{202e}\u{1b}[2J "],
        "{lines:#?}"
    );
    ensure!(
        hosts.iter().all(|rest| rest.starts_with(": ")),
        "{lines:#?}"
    );
    ensure!(
        hosts.iter().any(|rest| rest.starts_with(": demoted ")),
        "{lines:#?}"
    );
    Ok(())
}

/// The journal's fields of an entry. No value of these tests has several lines.
fn entry(bytes: &[u8]) -> std::collections::BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let fields = text.lines().filter_map(|line| line.split_once('='));
    fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn the_journal_has_a_field_for_each_of_an_event() -> Result<()> {
    let cluster = Cluster::start().await?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("journal");
    let journal = tokio::net::UnixDatagram::bind(&path)?;
    let mut host = cluster.host("a")?.journal(&path).start(&cluster.history)?;
    let mut seen = std::collections::BTreeMap::new();
    let mut bytes = vec![0; 1 << 20];
    while !seen.contains_key("plugin-log") {
        let received = tokio::time::timeout(PATIENCE, journal.recv(&mut bytes)).await;
        let length = received.with_context(|| format!("only {seen:?}"))??;
        let entry = entry(&bytes[..length]);
        let event = entry.get("SOLOIST_EVENT").cloned().unwrap_or_default();
        seen.insert(event, entry);
    }
    let elected = &seen["elected"];
    let of = |name: &str| elected.get(name).map(String::as_str);
    ensure!(
        of("PRIORITY") == Some("6") && of("SOLOIST_HOST") == Some("a"),
        "{elected:?}"
    );
    ensure!(
        of("SOLOIST_TASK") == Some(TASK) && of("SOLOIST_TERM") == Some("1"),
        "{elected:?}"
    );
    ensure!(
        of("MESSAGE").is_some_and(|it| it.starts_with(&format!("{TASK}#1: elected"))),
        "{elected:?}"
    );
    host.signal(rustix::process::Signal::TERM)?;
    ensure!(host.ended().await?.code() == Some(0), "{}", host.errors());
    Ok(())
}

#[tokio::test]
async fn a_host_says_where_it_looked_for_a_journal() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = cluster
        .host("a")?
        .journal(std::path::Path::new("/nowhere/journal"))
        .start(&cluster.history)?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(1), "{status}");
    let errors = host.errors();
    ensure!(
        errors.contains("no journal listens at /nowhere/journal"),
        "{errors}"
    );
    Ok(())
}
