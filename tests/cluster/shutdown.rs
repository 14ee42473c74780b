//! How a host ends when it is asked to.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::{Cluster, DEAF, TASK, stuck};
use soloist_tests::{PATIENCE, eventually};

/// SIGINT ends a standby in good order: exit status 0, and its place in the queue is free at once.
#[tokio::test]
async fn a_standby_leaves_the_queue_when_interrupted() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut leader = cluster.host("a")?.start(&cluster.history)?;
    leader.event("activated").await?;
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    standby.signal(Signal::INT)?;
    let status = standby.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", standby.errors());
    standby.event("session-closed").await?;
    let observer = cluster.client().await?;
    let candidates = observer
        .list_children("/soloist/tasks/beat/candidates")
        .await?;
    ensure!(candidates.len() == 1, "{candidates:?}");
    let hosts = observer.list_children("/soloist/hosts").await?;
    ensure!(hosts == ["a"], "{hosts:?}");
    Ok(())
}

/// SIGINT to a leader is as good as SIGTERM.
#[tokio::test]
async fn an_interrupted_leader_hands_over_cleanly() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut leader = cluster.host("a")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    leader.signal(Signal::INT)?;
    let status = leader.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", leader.errors());
    for name in ["demoted", "released", "session-closed"] {
        leader.event(name).await?;
    }
    Ok(())
}

/// A plugin that keeps a compiler busy for long.
pub(crate) fn slow_plugin() -> String {
    // As many values over as many branches as a function may have, and enough functions to keep a machine busy.
    let loops = (0..990).map(|local| {
        let next = local + 1;
        format!("(loop(local.set {next}(i32.add(local.get {local})(i32.const 1)))(br_if 0(local.get {local})))")
    });
    let function = format!(
        "(func (local{}) {})",
        " i32".repeat(991),
        loops.collect::<String>()
    );
    let functions = function.repeat(48);
    format!(r#"(module (func (export "on_elected")) (func (export "on_demoted")) {functions})"#)
}

/// Nobody waits for a compilation: SIGTERM ends the host in good order, and with it the process that compiles.
#[tokio::test]
async fn a_host_that_compiles_ends_at_once() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("slow.wat", slow_plugin())?;
    let mut host = cluster.host_of("a", &plugin)?.start(&cluster.history)?;
    let compiler = eventually("a process that compiles", PATIENCE, async || {
        compiler_of(host.pid())
    })
    .await?;
    host.signal(Signal::TERM)?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    ensure!(
        !host
            .records()
            .iter()
            .any(|record| record.is("session-connecting")),
        "it went on after the compilation"
    );
    eventually("no process that compiles", PATIENCE, async || {
        (!is_compiler(compiler)).then_some(())
    })
    .await?;
    Ok(())
}

/// The process that compiles for a host.
pub(crate) fn compiler_of(host: impl std::fmt::Display) -> Option<u32> {
    let children = std::fs::read_dir(format!("/proc/{host}/task"))
        .ok()?
        .flatten();
    let children =
        children.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|line| {
            line.split_whitespace()
                .flat_map(str::parse)
                .collect::<Vec<_>>()
        })
        .collect();
    children.into_iter().find(|child| is_compiler(*child))
}

pub(crate) fn is_compiler(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/cmdline"))
        .is_ok_and(|line| line.contains("compile-plugin"))
}

/// Terminals and service managers send several signals at once: that is one request, and the plugin has its time.
#[tokio::test]
async fn signals_within_a_second_are_one_request() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("deaf.wat", DEAF)?;
    let patient = cluster
        .host_of("a", &plugin)?
        .flag("--task", TASK)
        .flag("--demote-timeout", "2s");
    let mut host = patient.start(&cluster.history)?;
    host.event("plugin-log").await?;
    for signal in [Signal::TERM, Signal::INT, Signal::TERM] {
        host.signal(signal)?;
    }
    host.event("draining").await?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    for name in ["revoked", "released", "session-closed"] {
        host.event(name).await?;
    }
    cluster.verdict().check()
}

/// A signal that comes a second after the first does not wait for the plugin: the host ends at once, by its exit code.
#[tokio::test]
async fn a_second_signal_aborts() -> Result<()> {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let cluster = Cluster::start().await?;
        let plugin = cluster.file("deaf.wat", DEAF)?;
        let patient = cluster
            .host_of("a", &plugin)?
            .flag("--task", TASK)
            .flag("--demote-timeout", "5s");
        let mut host = patient.start(&cluster.history)?;
        host.event("plugin-log").await?;
        host.signal(Signal::TERM)?;
        host.event("draining").await?;
        // Until then it says the same as the first.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let asked_again = Instant::now();
        host.signal(signal)?;
        let status = host.ended().await?;
        ensure!(status.code() == Some(code), "{signal:?}: {status}");
        ensure!(
            asked_again.elapsed() < Duration::from_secs(3),
            "it took {:?}",
            asked_again.elapsed()
        );
        ensure!(
            host.records().iter().all(|record| !record.is("released")),
            "released in spite of the abort"
        );
    }
    Ok(())
}

/// The system does not come back from a call that the plugin made: nothing in the process can end that, so the process ends.
/// Its session is not closed, since the plugin was never seen to be gone.
#[tokio::test]
async fn a_host_whose_plugin_cannot_be_stopped_ends_and_its_session_expires() -> Result<()> {
    let cluster = Cluster::start().await?;
    let granted = tempfile::tempdir()?;
    let mut stuck = stuck(&cluster, TASK, granted.path())?.start(&cluster.history)?;
    stuck.event("plugin-log").await?;
    let mut next = cluster.host("b")?.start(&cluster.history)?;
    next.event("standby").await?;
    stuck.signal(Signal::TERM)?;
    let status = stuck.ended().await?;
    let errors = stuck.errors();
    ensure!(
        status.code() == Some(1) && errors.contains("cannot be stopped"),
        "{status}: {errors}"
    );
    // For the oracle, who hears of no other end.
    stuck.kill()?;
    stuck.event("plugin-stuck").await?;
    let ended = ["demoted", "revoked", "released", "session-closed"];
    let records = stuck.records();
    ensure!(
        !records
            .iter()
            .any(|record| ended.iter().any(|name| record.is(name))),
        "{records:?}"
    );
    next.event("elected").await?;
    cluster.verdict().check()
}
