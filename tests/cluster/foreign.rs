//! With `path`, a host contends with foreign programs of the plain recipe on one node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::client;
use soloist_tests::client::{Contender, Standing};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;

const NODE: &str = "/legacy/report/master";

fn host(cluster: &Cluster, id: &str) -> Result<Host> {
    cluster
        .host(id)?
        .flag("--path", NODE)
        .start(&cluster.history)
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
    host.event_where("standby", |event| {
        event.text("leader") == Some("a foreign contender")
    })
    .await?;
    ensure!(
        host.records().iter().all(|record| !record.is("elected")),
        "elected beside a foreign leader"
    );
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
    let listed = cluster.operator(&[], &["tasks", "--json"]).await?.json()?;
    let task = &listed["tasks"][0];
    ensure!(
        task["leader"] == "a foreign contender" && task["term"].is_null(),
        "{listed}"
    );
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

/// Hosts that are told of different master nodes: the second one says so and stands for nothing, not even when somebody has
/// deleted the candidate of the first, until nobody stands with the other node; then it is the first that has to wait.
#[tokio::test]
async fn hosts_with_different_paths_never_stand_for_a_task_together() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut first = host(&cluster, "a")?;
    first.event("plugin-log").await?;
    let mut second = cluster.host("b")?.start(&cluster.history)?;
    let names = |message: &str, theirs: &str, host: &str| {
        message.contains(theirs)
            && message.contains("same `path`")
            && message.contains(&format!("for which {host} stands"))
    };
    second
        .event_where("election-error", |event| names(&event.message, NODE, "a"))
        .await?;
    let client = cluster.client().await?;
    let candidates = "/soloist/tasks/beat/candidates";
    let queue = client.list_children(candidates).await?;
    ensure!(queue.len() == 1 && queue[0].contains("-a-"), "{queue:?}");
    client
        .delete(&format!("{candidates}/{}", queue[0]), None)
        .await?;
    first
        .event_where("demoted", |event| event.text("reason") == Some("node-lost"))
        .await?;
    // Whoever joins first leads: the other one refuses.
    let led = |record: &soloist_tests::history::Record| {
        record.is("activated") && record.event().is_some_and(|event| event.term == Some(2))
    };
    let leader = cluster
        .history
        .wait_for(0, "term 2", soloist_tests::PATIENCE, led)
        .await?
        .host;
    let (leader, other) = if leader == "a" {
        (&mut first, &mut second)
    } else {
        (&mut second, &mut first)
    };
    let refused = cluster.history.len();
    let theirs = if leader.id() == "a" {
        NODE.to_owned()
    } else {
        Cluster::master("beat")
    };
    let id = leader.id().to_owned();
    other
        .event_after(refused, "election-error", |event| {
            names(&event.message, &theirs, &id)
        })
        .await?;
    ensure!(leader.terminate().await?.success());
    other
        .event_where("activated", |event| event.term == Some(3))
        .await?;
    let verdict = cluster.verdict();
    let last = verdict.activities.last().context("nobody was active")?;
    ensure!(last.host == other.id(), "{last:?}");
    client::close(client).await;
    verdict.check()
}
