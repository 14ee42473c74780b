//! With `path`, a host contends with foreign programs of the plain recipe on one node.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::client::{Contender, Standing};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;

const NODE: &str = "/legacy/report/master";

fn host(cluster: &Cluster, id: &str) -> Result<Host> {
    cluster.host(id)?.flag("--path", NODE).start(&cluster.history)
}

async fn foreign(cluster: &Cluster) -> Result<Contender> {
    Contender::stand(cluster.servers(), Duration::from_secs(10), NODE).await
}

/// A foreign program leads: the host waits, names it, and leads when the program has deleted its node.
#[tokio::test]
async fn a_host_waits_for_a_foreign_leader() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut foreign = foreign(&cluster).await?;
    foreign.until(Standing::Leading).await?;
    let mut host = host(&cluster, "a")?;
    host.event_where("standby", |event| event.text("leader") == Some("a foreign contender")).await?;
    ensure!(host.records().iter().all(|record| !record.is("elected")), "elected beside a foreign leader");
    foreign.resign().await?;
    host.event("plugin-log").await?;
    cluster.verdict().check()
}

/// A foreign leader that vanishes with its session is followed as well.
#[tokio::test]
async fn a_host_follows_a_foreign_leader_that_leaves() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut foreign = foreign(&cluster).await?;
    foreign.until(Standing::Leading).await?;
    let mut host = host(&cluster, "a")?;
    host.event("standby").await?;
    foreign.leave().await;
    host.event("plugin-log").await?;
    Ok(())
}

/// The host leads: the foreign program finds the node and waits, and leads as soon as the host has released it.
#[tokio::test]
async fn a_foreign_program_waits_for_a_host() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = host(&cluster, "a")?;
    host.event("plugin-log").await?;
    let mut foreign = foreign(&cluster).await?;
    foreign.until(Standing::Waiting).await?;
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    foreign.until(Standing::Leading).await?;
    // And back: a new host waits for it in turn.
    let mut next = self::host(&cluster, "b")?;
    next.event("standby").await?;
    ensure!(foreign.standing() == Standing::Leading);
    foreign.leave().await;
    next.event("plugin-log").await?;
    cluster.verdict().check()
}

/// Two hosts and a foreign program: whoever gets the node leads, and never two hosts.
#[tokio::test]
async fn hosts_queue_behind_a_foreign_leader() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut foreign = foreign(&cluster).await?;
    foreign.until(Standing::Leading).await?;
    let mut first = host(&cluster, "a")?;
    first.event("standby").await?;
    let mut second = host(&cluster, "b")?;
    second.event("standby").await?;
    foreign.resign().await?;
    first.event("plugin-log").await?;
    ensure!(first.terminate().await?.success());
    second.event("plugin-log").await?;
    ensure!(second.terminate().await?.success());
    ensure!(cluster.verdict().activities.len() == 2);
    cluster.verdict().check()
}
