//! A host that a service manager has started.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::Host;
use soloist_tests::notify::Manager;
use soloist_tests::{PATIENCE, build, eventually};

/// Long enough for a busy machine, and short enough to wait for.
const WATCHDOG: Duration = Duration::from_secs(4);

const FILE: &str = "soloist.toml";

fn file(cluster: &Cluster, more: &str) -> Result<std::path::PathBuf> {
    let plugin = build::artifacts()?.guest("heartbeat");
    let plugin = plugin.to_str().context("no text")?;
    cluster.file(
        FILE,
        format!("[[task]]\nname = {TASK:?}\nplugin = {plugin:?}\n{more}"),
    )
}

/// A host whose manager wants to hear of it, by way of its guardian or not.
fn start(cluster: &Cluster, manager: &Manager, guarded: bool) -> Result<Host> {
    let command = cluster
        .host_of("a", &file(cluster, "")?)?
        .env("NOTIFY_SOCKET", manager.path())
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let command = if guarded { command.guarded() } else { command };
    command.start(&cluster.history)
}

/// Ready when it stands, reloaded, and stopped: in this order, with a text for people each time.
async fn tells_its_life(guarded: bool) -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut manager = Manager::start()?;
    let mut host = start(&cluster, &manager, guarded)?;
    let ready = manager.hears("READY=1").await?;
    ensure!(ready.contains("STATUS=leads "), "{ready}");
    manager.says("leads 1 of 1 task, stands by for 0").await?;
    // A reload that changes something, and one that cannot.
    file(&cluster, "demote_timeout = \"1s\"")?;
    host.signal(Signal::HUP)?;
    let begun = manager.hears("RELOADING=1").await;
    let begun = begun?;
    let micros = begun
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    ensure!(
        micros.is_some_and(|it| it.parse::<u64>().is_ok_and(|it| it > 0)),
        "{begun}"
    );
    manager.hears("READY=1").await?;
    file(&cluster, "nonsense = 1")?;
    host.signal(Signal::HUP)?;
    manager.hears("RELOADING=1").await?;
    let ready = manager.hears("READY=1").await?;
    ensure!(ready.contains("could not be reloaded"), "{ready}");
    host.signal(Signal::TERM)?;
    manager.hears("STOPPING=1").await?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    let phases: Vec<_> = manager
        .phases()
        .iter()
        .map(|line| line.split('=').next().unwrap_or_default().to_owned())
        .collect();
    let expected = [
        "READY",
        "RELOADING",
        "READY",
        "RELOADING",
        "READY",
        "STOPPING",
    ];
    ensure!(phases == expected, "{phases:?}");
    ensure!(
        manager.statuses().first() == Some(&"loads plugins"),
        "{:?}",
        manager.statuses()
    );
    Ok(())
}

#[tokio::test]
async fn a_service_manager_hears_how_a_host_is_from_its_guardian() -> Result<()> {
    tells_its_life(true).await
}

#[tokio::test]
async fn a_service_manager_hears_how_a_host_is_that_has_no_guardian() -> Result<()> {
    tells_its_life(false).await
}

/// Without an ensemble nobody stands for anything.
#[tokio::test]
async fn a_host_that_cannot_reach_the_ensemble_is_not_ready_and_alive() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut manager = Manager::start()?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let host = cluster
        .host_at("127.0.0.1:1", "a", &plugin)?
        .guarded()
        .env("NOTIFY_SOCKET", manager.path())
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
        .start(&cluster.history)?;
    manager.hears("STATUS=looks for the ensemble").await?;
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await?;
    }
    ensure!(manager.phases().is_empty(), "{:?}", manager.phases());
    drop(host);
    Ok(())
}

/// SIGSTOP: the process makes no progress, and its guardian does not say otherwise. Then the manager does what systemd does, and
/// the guardian gives back what the process had.
#[tokio::test]
async fn nobody_feeds_the_watchdog_of_a_process_that_is_stopped() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut manager = Manager::start()?;
    let mut host = start(&cluster, &manager, true)?;
    manager.hears("READY=1").await?;
    let fed = Instant::now();
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await?;
    }
    ensure!(fed.elapsed() >= WATCHDOG / 4, "{:?}", fed.elapsed());
    host.event("plugin-log").await?;
    host.signal_guarded(Signal::STOP).await?;
    // What it said before it was stopped may be on its way.
    while manager.next_within(WATCHDOG / 2).await?.is_some() {}
    let silent = manager.next_within(WATCHDOG).await?;
    ensure!(silent.is_none(), "{silent:?}");
    host.signal(Signal::ABORT)?;
    let given_back = host.event("given-back").await?;
    let given_back = &given_back.event().context("no event")?.line;
    ensure!(given_back["terms"] == 1, "{given_back}");
    let status = host.ended().await?;
    ensure!(status.code() == Some(137), "{status}");
    cluster.verdict().check()
}

/// While there is no process, the guardian is there.
#[tokio::test]
async fn the_guardian_feeds_the_watchdog_until_its_process_is_back() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut manager = Manager::start()?;
    let mut host = start(&cluster, &manager, true)?;
    manager.hears("READY=1").await?;
    host.event("plugin-log").await?;
    let first = host.guarded_pid().await?;
    host.signal_guarded(Signal::KILL).await?;
    let died = "the process that runs plugins has died (killed: signal 9): it is started again in";
    manager.says(died).await?;
    manager.says("leads 1 of 1 task, stands by for 0").await?;
    ensure!(host.guarded_pid().await? != first);
    // It was ready all along.
    ensure!(manager.phases() == ["READY=1"], "{:?}", manager.phases());
    manager.hears("WATCHDOG=1").await?;
    host.signal(Signal::TERM)?;
    manager.hears("STOPPING=1").await?;
    cluster.verdict().check()
}

/// The processes that have this one as their parent, with the states of the system.
fn children(pid: rustix::process::Pid) -> Result<Vec<(String, char)>> {
    let pid = pid.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let mut found = Vec::new();
    for child in children.split_whitespace() {
        // It may end in between.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{child}/stat")) else {
            continue;
        };
        let (name, rest) = stat.rsplit_once(')').context("no name")?;
        let name = name.split_once('(').map_or(name, |(_, name)| name);
        let state = rest.trim_start().chars().next().unwrap_or_default();
        found.push((name.to_owned(), state));
    }
    Ok(found)
}

/// As in a container: the system gives signals to the first process only if it listens to them, and gives it the children of others.
#[tokio::test]
async fn a_host_that_is_the_first_process_reaps_what_others_left_and_passes_signals_on()
-> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = cluster.host("a")?.first_process().start(&cluster.history)?;
    host.event("plugin-log").await?;
    let guardian = host.guarded_pid().await?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", guardian.as_raw_nonzero()))?;
    let ids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .context("no ids")?;
    ensure!(ids.split_whitespace().last() == Some("1"), "{ids}");
    eventually("the end of what it inherited", PATIENCE, async || {
        let children = children(guardian).ok()?;
        (children.len() == 1 && children[0] != ("sleep".into(), 'S')).then_some(())
    })
    .await?;
    let left = children(guardian)?;
    ensure!(left.len() == 1 && left[0].1 != 'Z', "{left:?}");
    host.signal_guarded(Signal::TERM).await?;
    host.event("released").await?;
    let status = host.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    cluster.verdict().check()
}
