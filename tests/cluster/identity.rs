//! A host's id: one session has it at a time, and whoever comes after waits for the end of that session.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, host, process};

/// A host that was killed is started again with the id that it had: once that is free it leads at once, since its lease
/// is as fresh as its session.
#[tokio::test]
async fn whoever_waited_for_its_id_leads_as_soon_as_it_is_free() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let mut killed = cluster.host("a")?.start(&cluster.history)?;
    killed.event("plugin-log").await?;
    killed.kill()?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    let waits = host.event("session-error").await?;
    let event = waits.event().context("no event")?;
    ensure!(
        event.message.contains("host id a is taken") && event.line["retry_in"].is_null(),
        "{event:?}"
    );
    host.event("elected").await?;
    // Without time on its lease it would have given its place back, to come again later.
    let joined: Vec<_> = host
        .records()
        .into_iter()
        .filter(|record| record.is("session-connected"))
        .collect();
    ensure!(joined.len() == 1, "{joined:?}");
    let session = joined[0]
        .event()
        .and_then(|event| event.text("session"))
        .context("no session")?;
    let client = cluster.client().await?;
    let candidates = client
        .list_children("/soloist/tasks/beat/candidates")
        .await?;
    ensure!(
        candidates.len() == 1 && candidates[0].contains(session.trim_start_matches("0x")),
        "{candidates:?}"
    );
    // Those that were given back would have counted.
    ensure!(candidates[0].ends_with("-0000000001"), "{candidates:?}");
    soloist_tests::client::close(client).await;
    cluster.verdict().check()
}

/// Exit code 3, and the reason is the id, not the ensemble.
#[tokio::test]
async fn a_host_that_may_not_wait_long_for_its_id_says_that_it_is_taken() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut first = cluster.host("a")?.start(&cluster.history)?;
    first.event("plugin-log").await?;
    let mut second = cluster
        .host("a")?
        .flag("--connect-timeout", "5s")
        .start(&cluster.history)?;
    let status = second.ended().await?;
    let errors = second.errors();
    ensure!(
        status.code() == Some(3) && errors.contains("host id a is taken by session 0x"),
        "{status}: {errors}"
    );
    ensure!(
        first.records().iter().all(|record| !record.is("draining")),
        "it was disturbed"
    );
    Ok(())
}

/// In a container every process has the same id, and containers can share a host name: what tells processes apart is drawn.
#[tokio::test]
async fn every_process_has_an_id_of_its_own_whatever_its_host_name_and_process_id() -> Result<()> {
    let plugin = build::artifacts()?.guest("hello");
    let mut ids = std::collections::BTreeSet::new();
    // As in a container, where the machine allows it.
    let alone = ["unshare", "--pid", "--fork", "--kill-child"];
    let probe = Command::new(alone[0])
        .args(&alone[1..])
        .arg("true")
        .stderr(Stdio::null())
        .status();
    let alone = if probe.is_ok_and(|status| status.success()) {
        &alone[..]
    } else {
        &["env"]
    };
    for _ in 0..3 {
        let mut command = process::command(alone[0]);
        host::clear_settings(&mut command);
        command
            .args(&alone[1..])
            .arg(&build::artifacts()?.soloist)
            .arg("check")
            .arg(&plugin);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8(output.stdout)?;
        let id = text
            .lines()
            .find_map(|line| line.strip_prefix("host "))
            .context(text.clone())?
            .to_owned();
        let (name, drawn) = id.rsplit_once('-').context(id.clone())?;
        ensure!(
            !name.is_empty()
                && drawn.len() == 6
                && drawn.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{id}"
        );
        ids.insert(id);
    }
    ensure!(ids.len() == 3, "{ids:?}");
    Ok(())
}
