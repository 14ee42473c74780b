//! What a host makes of an ensemble that is incomplete, late, or not there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{Event, Record};
use soloist_tests::zookeeper::{Mode, Settings, ZooKeeper};
use soloist_tests::{PATIENCE, client, eventually};

/// The server that a leader is connected to dies: the session moves to another, and the leader never notices.
#[tokio::test]
async fn a_leader_outlives_the_server_it_is_connected_to() -> Result<()> {
    // A lease that outlasts the election of a new leader among the servers, however busy the machine.
    let settings = Settings::ensemble().property("maxSessionTimeout", "40000");
    let mut cluster = Cluster::with(settings, Duration::from_secs(40)).await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let observer = cluster.client().await?;
    let session = client::owner(&observer, &Cluster::master(TASK))
        .await?
        .context("nobody holds the master node")?;
    drop(observer);
    let mut server = None;
    for index in 0..cluster.zookeeper.len() {
        if cluster
            .zookeeper
            .ask(index, "cons")
            .await?
            .contains(&format!("sid=0x{session:x}"))
        {
            server = Some(index);
        }
    }
    let server = server.context("no server knows the session")?;
    let killed = cluster.history.len();
    cluster.zookeeper.kill(server)?;
    host.event_after(killed, "session-disconnected", |_| true)
        .await?;
    host.event_after(killed, "session-connected", |_| true)
        .await?;
    let reconnected = cluster.history.len();
    host.event_after(reconnected, "plugin-log", |event| event.term == Some(1))
        .await?;
    for name in ["draining", "demoted", "revoked", "session-expired"] {
        ensure!(
            host.records().iter().all(|record| !record.is(name)),
            "the host reported `{name}`"
        );
    }
    let observer = cluster.client().await?;
    ensure!(
        client::owner(&observer, &Cluster::master(TASK)).await? == Some(session),
        "the session is another"
    );
    cluster.verdict().check()
}

/// The ensemble is down when a host starts: it waits, and is elected when the ensemble comes.
#[tokio::test]
async fn a_host_waits_for_the_ensemble() -> Result<()> {
    let zookeeper = ZooKeeper::prepare(Settings::standalone())?;
    let mut cluster = Cluster::around(zookeeper, Duration::from_secs(4))?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("session-connecting").await?;
    // It has tried, failed, and goes on.
    host.event("session-error").await?;
    cluster.zookeeper.start_all().await?;
    host.event("plugin-log").await?;
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}

/// A host without an ensemble can be stopped, at once and in good order.
#[tokio::test]
async fn a_host_that_waits_for_the_ensemble_can_be_stopped() -> Result<()> {
    let zookeeper = ZooKeeper::prepare(Settings::standalone())?;
    let cluster = Cluster::around(zookeeper, Duration::from_secs(10))?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("session-connecting").await?;
    let status = host.terminate().await?;
    ensure!(status.code() == Some(0), "{status}: {}", host.errors());
    Ok(())
}

/// `--connect-timeout`: a host that may wait only so long gives up with exit code 3, and says for whom it waited.
#[tokio::test]
async fn a_host_gives_up_after_its_connect_timeout() -> Result<()> {
    let zookeeper = ZooKeeper::prepare(Settings::standalone())?;
    let cluster = Cluster::around(zookeeper, Duration::from_secs(4))?;
    let began = Instant::now();
    let mut host = cluster
        .host("a")?
        .flag("--connect-timeout", "1s")
        .start(&cluster.history)?;
    let status = host.ended().await?;
    ensure!(
        began.elapsed() >= Duration::from_secs(1),
        "gave up after {:?}",
        began.elapsed()
    );
    ensure!(status.code() == Some(3), "{status}: {}", host.errors());
    ensure!(
        host.errors().contains(cluster.servers()),
        "{}",
        host.errors()
    );
    Ok(())
}

/// A server without a quorum, read-only: that is reported, nobody is elected, and all is well when the quorum is back.
#[tokio::test]
async fn nobody_is_elected_through_a_read_only_server() -> Result<()> {
    // Without local sessions a read-only server lets nobody in at all.
    let settings = Settings::ensemble()
        .system_property("readonlymode.enabled", "true")
        .property("localSessionsEnabled", "true")
        .property("localSessionsUpgradingEnabled", "true");
    let mut cluster = Cluster::with(settings, Duration::from_secs(4)).await?;
    for index in [1, 2] {
        cluster.zookeeper.kill(index)?;
    }
    eventually("the last server to be read-only", PATIENCE, async || {
        (cluster.zookeeper.mode(0).await.ok()? == Mode::ReadOnly).then_some(())
    })
    .await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("session-read-only").await?;
    let records = host.records();
    ensure!(
        records
            .iter()
            .all(|record| !record.is("elected") && !record.is("session-connected")),
        "{records:?}"
    );
    cluster.zookeeper.start_all().await?;
    host.event("plugin-log").await?;
    cluster.verdict().check()
}

/// A server is started anew and agrees to less than the settings need: the leader stops, says why with the arithmetic,
/// and leads again when the server is as it was.
#[tokio::test]
async fn nobody_leads_while_a_server_leaves_no_room_for_a_lease() -> Result<()> {
    let mut cluster = Cluster::with(Settings::standalone().real(), Duration::from_secs(4)).await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let no_room = |event: &Event| {
        let shown = |part: &str| event.message.contains(part);
        shown("a session timeout of 2s only") && shown("no room for a lease") && shown("200ms")
    };
    let shortened = cluster.history.len();
    restart(&mut cluster, Some(("maxSessionTimeout", "2000"))).await?;
    host.event_after(shortened, "session-error", no_room)
        .await?;
    let stopped = |record: &Record| record.is("demoted") || record.is("revoked");
    cluster
        .history
        .wait_for(shortened, "the leader to stop", PATIENCE, stopped)
        .await?;
    // Every further attempt ends in the same way.
    let again = cluster.history.len();
    host.event_after(again, "session-error", no_room).await?;
    let since = cluster.history.since(again);
    ensure!(
        since.iter().all(|record| !record.is("activated")),
        "{since:?}"
    );
    restart(&mut cluster, None).await?;
    host.event_after(again, "plugin-log", |_| true).await?;
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}

/// The shortest session that a server agrees to tells its tick: one that is too long for the lease is warned about.
#[tokio::test]
async fn a_tick_that_is_too_long_for_the_lease_is_warned_about() -> Result<()> {
    let settings = Settings::standalone().property("minSessionTimeout", "5000");
    let cluster = Cluster::with(settings, Duration::from_secs(10)).await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    let warned = |event: &Event| {
        let shown = |part: &str| event.message.contains(part);
        event.text("level") == Some("warn")
            && shown("seems to be 2.5s")
            && shown("tick_time = 500ms")
    };
    host.event_where("", warned).await?;
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}

async fn restart(cluster: &mut Cluster, property: Option<(&str, &str)>) -> Result<()> {
    cluster.zookeeper.configure(0, property)?;
    cluster.zookeeper.kill(0)?;
    cluster.zookeeper.start_all().await
}
