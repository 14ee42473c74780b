//! What a host makes of a network that loses replies, and of one that loses everything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::proxy::{Op, Proxy, Traffic};
use soloist_tests::zookeeper::Settings;

const CANDIDATES: &str = "/soloist/tasks/beat/candidates";

/// A cluster whose hosts go through a proxy, unless told otherwise.
async fn behind_a_proxy(session_timeout: Duration) -> Result<(Cluster, Proxy)> {
    let cluster = Cluster::with(Settings::standalone(), session_timeout).await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let servers = proxy.connect_string();
    Ok((cluster.through(servers), proxy))
}

/// The reply to the create that elects is lost: the host finds the node to be its own and leads in the first term.
#[tokio::test]
async fn an_election_whose_reply_was_lost_is_adopted() -> Result<()> {
    let (cluster, proxy) = behind_a_proxy(Duration::from_secs(10)).await?;
    proxy.lose_reply_to(|request| {
        matches!(request.op, Op::Create | Op::Multi) && request.mentions(&Cluster::master(TASK))
    });
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    proxy.replies_lost(1).await?;
    let activated = host.event("activated").await?;
    ensure!(
        activated.event().and_then(|event| event.term) == Some(1),
        "{activated:?}"
    );
    host.event("plugin-log").await?;
    let observer = cluster.client().await?;
    let stat = observer
        .check_stat(&Cluster::master(TASK))
        .await?
        .context("there is no master node")?;
    let token = activated.event().and_then(|event| event.fencing_token);
    ensure!(
        token == u64::try_from(stat.czxid).ok(),
        "token {token:?} is not the czxid {}",
        stat.czxid
    );
    ensure!(order_of_elections(&cluster) == 1, "elected more than once");
    cluster.verdict().check()
}

fn order_of_elections(cluster: &Cluster) -> usize {
    cluster
        .history
        .since(0)
        .iter()
        .filter(|record| record.is("elected"))
        .count()
}

/// The reply to the create that joins the queue is lost: the host stands in the queue once, not twice.
#[tokio::test]
async fn a_host_whose_joining_reply_was_lost_stands_once() -> Result<()> {
    let (cluster, proxy) = behind_a_proxy(Duration::from_secs(10)).await?;
    let prefix = format!("{CANDIDATES}/c-");
    proxy.lose_reply_to(move |request| {
        request.op == Op::Create && request.contains(prefix.as_bytes())
    });
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    proxy.replies_lost(1).await?;
    host.event("plugin-log").await?;
    let observer = cluster.client().await?;
    let candidates = observer.list_children(CANDIDATES).await?;
    ensure!(candidates.len() == 1, "{candidates:?}");
    Ok(())
}

/// The reply to the release is lost: the host still ends in good order, and the next leads.
#[tokio::test]
async fn a_release_whose_reply_was_lost_is_done() -> Result<()> {
    let (cluster, proxy) = behind_a_proxy(Duration::from_secs(10)).await?;
    let mut first = cluster.host("a")?.start(&cluster.history)?;
    first.event("plugin-log").await?;
    proxy.lose_reply_to(|request| {
        matches!(request.op, Op::Delete | Op::Multi) && request.mentions(&Cluster::master(TASK))
    });
    let mut second = cluster.host("b")?.start(&cluster.history)?;
    second.event("standby").await?;
    let status = first.terminate().await?;
    ensure!(status.success(), "{status}: {}", first.errors());
    proxy.replies_lost(1).await?;
    second.event("plugin-log").await?;
    cluster.verdict().check()
}

/// A connection cut for less than the lease: the plugin goes on in its term.
#[tokio::test]
async fn a_short_cut_does_not_demote() -> Result<()> {
    let (cluster, proxy) = behind_a_proxy(Duration::from_secs(10)).await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let cut = cluster.history.len();
    proxy.set(Traffic::Cut);
    host.event_after(cut, "session-disconnected", |_| true)
        .await?;
    proxy.set(Traffic::Passes);
    host.event_after(cut, "session-connected", |_| true).await?;
    host.event_after(cluster.history.len(), "plugin-log", |event| {
        event.term == Some(1)
    })
    .await?;
    ensure!(
        host.records().iter().all(|record| !record.is("draining")),
        "the host was demoted"
    );
    cluster.verdict().check()
}

/// A network that swallows everything: the leader stops by its own clock before the ensemble gives the node away.
#[tokio::test]
async fn a_leader_that_hears_nothing_stops_before_the_next_begins() -> Result<()> {
    let (cluster, proxy) = behind_a_proxy(Duration::from_secs(4)).await?;
    let mut leader = cluster.host("a")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let direct = cluster.zookeeper.connect_string();
    let cluster = cluster.through(direct);
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    let lost = cluster.history.len();
    proxy.set(Traffic::Lost);
    let activated = standby.event("activated").await?;
    let demoted = leader.event_after(lost, "demoted", |_| true).await?;
    ensure!(
        demoted.at < activated.at,
        "the leader stopped after the next began"
    );
    proxy.set(Traffic::Passes);
    leader.event_after(lost, "standby", |_| true).await?;
    client::close(cluster.client().await?).await;
    cluster.verdict().check()
}
