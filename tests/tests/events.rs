//! `--log-format json` is an interface: what each line holds.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{Record, What};

/// Writes two lines on stdout and one, without its end, on stderr, by WASI preview 1.
const PRINTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "first line\nsecond \1b[31mline\nto stderr")
  (data (i32.const 0) "\64\00\00\00\1c\00\00\00")
  (data (i32.const 8) "\80\00\00\00\09\00\00\00")
  (func (export "on_elected")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 40)))
    (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 40))))
  (func (export "on_demoted")))"#;

/// What belongs to a session bears no task; what belongs to a term bears the task, the term and the fencing token.
fn expected_fields(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "session-connecting" | "session-connected" | "session-closed" => Some(&[]),
        "standby" => Some(&["task"]),
        "elected" | "activated" | "plugin-log" | "draining" | "demoted" | "released" => {
            Some(&["task", "term", "fencing_token"])
        }
        _ => None,
    }
}

/// Every line of a whole life is an object with timestamp, level, message and host, and the fields its event calls for.
#[tokio::test]
async fn every_line_follows_the_schema() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut leader = cluster.host("a")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    ensure!(leader.terminate().await?.success());
    standby.event("plugin-log").await?;
    ensure!(standby.terminate().await?.success());
    let mut names = BTreeSet::new();
    for record in cluster.history.since(0) {
        let line = line(&record)?;
        check(&record, line).with_context(|| line.to_string())?;
        names.extend(line["event"].as_str().map(str::to_owned));
    }
    let all = [
        "activated",
        "demoted",
        "draining",
        "elected",
        "plugin-log",
        "released",
        "session-closed",
        "session-connected",
        "session-connecting",
        "standby",
    ];
    ensure!(all.iter().all(|name| names.contains(*name)), "a whole life has shown only {names:?}");
    ensure!(leader.errors().is_empty() && standby.errors().is_empty(), "stderr: {}", leader.errors());
    Ok(())
}

fn line(record: &Record) -> Result<&Value> {
    match &record.what {
        What::Event(event) => Ok(&event.line),
        other => anyhow::bail!("no event: {other:?}"),
    }
}

fn check(record: &Record, line: &Value) -> Result<()> {
    let text = |name: &str| line[name].as_str().with_context(|| format!("no text in `{name}`"));
    // Microseconds, no more and no less, in UTC.
    let timestamp = text("timestamp")?;
    ensure!(humantime::format_rfc3339_micros(record.at).to_string() == timestamp, "timestamp");
    ensure!(["error", "warn", "info", "debug", "trace"].contains(&text("level")?), "level");
    ensure!(!text("message")?.is_empty(), "message");
    ensure!(text("host")? == record.host, "host");
    let Some(name) = line["event"].as_str() else { return Ok(()) };
    let fields = expected_fields(name).with_context(|| format!("{name} was not expected"))?;
    for field in ["task", "term", "fencing_token"] {
        let due = fields.contains(&field);
        let good = match field {
            "task" => line[field] == TASK,
            _ => line[field].as_u64().is_some_and(|number| number > 0),
        };
        ensure!(if due { good } else { line.get(field).is_none() }, "{field}");
    }
    ensure!(name != "draining" || line["reason"] == "shutdown", "reason");
    Ok(())
}

/// `println!` just works: what a plugin writes on stdout and stderr becomes `plugin-log` events, line by line.
#[tokio::test]
async fn what_a_plugin_prints_becomes_events() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("prints.wat", PRINTS)?;
    let mut host = cluster.host_of("a", &plugin)?.flag("--task", TASK).start(&cluster.history)?;
    for text in ["first line", "second \u{1b}[31mline"] {
        let said = host.event_where("plugin-log", |event| event.message == text).await?;
        let event = said.event().context("no event")?;
        ensure!(event.task.as_deref() == Some(TASK) && event.term == Some(1) && event.fencing_token.is_some());
    }
    ensure!(host.terminate().await?.success());
    // At the latest when the plugin is gone, an unfinished line is told as well.
    host.event_where("plugin-log", |event| event.message == "to stderr").await?;
    Ok(())
}

/// A file name is enough: `soloist run PLUGIN` names the task after the plugin.
#[tokio::test]
async fn the_task_is_named_after_the_plugin() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("nightly-report.wat", PRINTS)?;
    let mut host = cluster.host_of("a", &plugin)?.start(&cluster.history)?;
    host.event_where("activated", |event| event.task.as_deref() == Some("nightly-report")).await?;
    Ok(())
}
