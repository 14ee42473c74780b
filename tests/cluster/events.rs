//! `--log-format json` is an interface: what each line holds.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::What;
use soloist_tests::reference::Schema;

mod ensemble;
mod hosts;
mod plugins;

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

/// Every event, and each of its fields, is seen in a run; that each line is as REFERENCE.md says, all tests that run hosts see to.
#[tokio::test]
async fn every_event_is_seen_with_each_of_the_fields_that_the_reference_gives_it() -> Result<()> {
    let cluster = Cluster::start().await?;
    let ((), (), (), ()) = tokio::try_join!(
        plugins::story(&cluster),
        hosts::story(&cluster),
        ensemble::story(&cluster),
        crate::placement::story(&cluster),
    )?;
    let (others, led) = tokio::try_join!(ensemble::other_servers(), crate::rollout::story())?;
    let schema = Schema::get()?;
    let about = ["task", "term", "fencing_token"];
    let (mut events, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for told in led {
        let further = told
            .fields
            .iter()
            .filter(|(name, _)| !about.contains(&name.as_str()));
        schema.check_fields(told.event, further)?;
        let names = told.fields.keys();
        fields.extend(names.map(|field| (told.event.to_owned(), field.clone())));
        events.insert(told.event.to_owned());
    }
    for record in others
        .iter()
        .chain([&cluster.history])
        .flat_map(|history| history.since(0))
    {
        ensure!(!matches!(record.what, What::Unreadable(_)), "{record}");
        if let Some(event) = record.event() {
            let names = event
                .line
                .as_object()
                .into_iter()
                .flat_map(|line| line.keys());
            fields.extend(names.map(|field| (event.name.clone(), field.clone())));
            events.insert(event.name.clone());
        }
    }
    let missing: Vec<_> = schema
        .events()
        .into_iter()
        .filter(|event| !events.contains(*event))
        .collect();
    ensure!(missing.is_empty(), "never seen: {missing:?}");
    let seen = |(event, field): &(&str, &str)| {
        fields.contains(&((*event).to_owned(), (*field).to_owned()))
    };
    let missing: Vec<_> = schema
        .fields()
        .into_iter()
        .filter(|field| !seen(field))
        .collect();
    ensure!(missing.is_empty(), "never seen: {missing:?}");
    Ok(())
}

/// `println!` just works: what a plugin writes on stdout and stderr becomes `plugin-log` events, line by line.
#[tokio::test]
async fn what_a_plugin_prints_becomes_events() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("prints.wat", PRINTS)?;
    let mut host = cluster
        .host_of("a", &plugin)?
        .flag("--task", TASK)
        .start(&cluster.history)?;
    for text in ["first line", "second \u{1b}[31mline"] {
        let said = host
            .event_where("plugin-log", |event| event.message == text)
            .await?;
        let event = said.event().context("no event")?;
        ensure!(
            event.task.as_deref() == Some(TASK)
                && event.term == Some(1)
                && event.fencing_token.is_some()
        );
    }
    ensure!(host.terminate().await?.success());
    // At the latest when the plugin is gone, an unfinished line is told as well.
    host.event_where("plugin-log", |event| event.message == "to stderr")
        .await?;
    Ok(())
}

/// A file name is enough: `soloist run PLUGIN` names the task after the plugin.
#[tokio::test]
async fn the_task_is_named_after_the_plugin() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("nightly-report.wat", PRINTS)?;
    let mut host = cluster.host_of("a", &plugin)?.start(&cluster.history)?;
    host.event_where("activated", |event| {
        event.task.as_deref() == Some("nightly-report")
    })
    .await?;
    Ok(())
}
