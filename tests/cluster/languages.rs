//! The examples in other languages than Rust, each built with its own toolchain and run through a failover.
//!
//! `tests/setup.sh` installs the toolchains. Where one is not to be had, its test says that it is skipped; where every change is
//! tested (`CI`), it fails.

mod c;
mod javascript;
mod kept;
mod python;
mod text;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::history::{Event, Record};
use soloist_tests::host::{Command, Host};

/// What a plugin said on the host that handed it over, and on the one that took it over.
struct Said {
    first: Vec<String>,
    second: Vec<String>,
}

/// Starts a plugin on one host, hands it over to another when an event with such a message has come, and waits for the same
/// there. The plugin is demoted in good order on both.
async fn through_a_failover(
    cluster: &Cluster,
    plugin: &Path,
    (event, message): (&str, &str),
    more: impl Fn(Command) -> Command,
) -> Result<Said> {
    let command = |id| -> Result<Command> {
        let command = cluster.host_of(id, plugin)?.flag("--task", "example");
        Ok(more(
            command
                .arg("--allow-state")
                .flag("--limit", "compile_timeout=1h"),
        ))
    };
    let says = |event: &Event| event.message.contains(message);
    let mut first = command("a")?.start(&cluster.history)?;
    first.event_where(event, says).await?;
    let mut second = command("b")?.start(&cluster.history)?;
    second.event("standby").await?;
    let ended = first.terminate().await?;
    ensure!(ended.code() == Some(0), "{ended}: {}", first.errors());
    second.event_where(event, says).await?;
    let ended = second.terminate().await?;
    ensure!(ended.code() == Some(0), "{ended}: {}", second.errors());
    cluster.verdict().check()?;
    Ok(Said {
        first: demoted(&first)?,
        second: demoted(&second)?,
    })
}

/// The lines of a plugin that was demoted in good order.
fn demoted(host: &Host) -> Result<Vec<String>> {
    let records = host.records();
    let events: Vec<_> = records.iter().filter_map(Record::event).collect();
    let names: Vec<_> = events.iter().map(|event| &*event.name).collect();
    ensure!(
        names.contains(&"demoted") && !names.contains(&"revoked"),
        "{names:?}"
    );
    let lines = events.iter().filter(|event| event.name == "plugin-log");
    Ok(lines.map(|event| event.message.clone()).collect())
}

/// The place of the first line that begins so.
fn place(lines: &[String], begin: &str) -> Result<usize> {
    lines
        .iter()
        .position(|line| line.starts_with(begin))
        .with_context(|| format!("no {begin:?} in {lines:#?}"))
}
