//! What the ensemble does: sessions, servers, and nodes of somebody else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, DEAF};
use soloist_tests::history::History;
use soloist_tests::zookeeper::{Settings, ZooKeeper};
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::{Acls, CreateMode};

pub(super) async fn story(cluster: &Cluster) -> Result<()> {
    tokio::try_join!(
        a_leader_that_loses_its_session(cluster),
        a_master_node_that_belongs_to_somebody_else(cluster),
        nodes_with_other_rights(cluster),
    )
    .map(drop)
}

/// What servers do that no other story can have.
pub(super) async fn other_servers() -> Result<[History; 3]> {
    let (refused, shortened, read_only) = tokio::try_join!(
        refused_credentials(),
        a_shortened_session(),
        a_read_only_server(),
    )?;
    Ok([refused, shortened, read_only])
}

async fn a_leader_that_loses_its_session(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("deaf.wat", DEAF)?;
    let mut leader = cluster
        .host_of("stands-still", &plugin)?
        .start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let observer = cluster.client().await?;
    leader.pause().await?;
    eventually("the session to expire", PATIENCE, async || {
        client::owner(&observer, &Cluster::master("deaf"))
            .await
            .ok()?
            .is_none()
            .then_some(())
    })
    .await?;
    leader.resume()?;
    leader
        .event_where("revoked", |event| event.duration("overdue").is_some())
        .await?;
    for name in ["session-disconnected", "session-expired"] {
        leader.event(name).await?;
    }
    client::close(observer).await;
    Ok(())
}

async fn a_master_node_that_belongs_to_somebody_else(cluster: &Cluster) -> Result<()> {
    let stranger = cluster.client_as("somebody:else").await?;
    let theirs = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger.create("/theirs", b"", &theirs).await?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let mut host = cluster
        .host_of("kept-out", &plugin)?
        .flag("--path", "/theirs/master")
        .start(&cluster.history)?;
    host.event_where("election-error", |event| {
        event.line.get("retry_in").is_some()
    })
    .await?;
    client::close(stranger).await;
    Ok(())
}

/// Some of them may be set right.
async fn nodes_with_other_rights(cluster: &Cluster) -> Result<()> {
    let stranger = cluster.client_as("somebody:else").await?;
    client::make_path(&stranger, "/guarded/tasks/beat/state").await?;
    let theirs = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger
        .create("/guarded/tasks/beat/state/theirs", b"", &theirs)
        .await?;
    let command = cluster
        .host("guards")?
        .env("SOLOIST_ZOOKEEPER_AUTH", "digest:soloist:secret");
    let mut host = command
        .flag("--acl", "creator")
        .flag("--root", "/guarded")
        .start(&cluster.history)?;
    for name in ["acl-corrected", "acl-differs"] {
        host.event(name).await?;
    }
    client::close(stranger).await;
    Ok(())
}

/// The servers know of no credentials of this scheme. Before they are there the host has another error.
async fn refused_credentials() -> Result<History> {
    let settings = Settings::standalone()
        .system_property("zookeeper.DigestAuthenticationProvider.enabled", "false");
    let mut cluster = Cluster::around(ZooKeeper::prepare(settings)?, Duration::from_secs(4))?;
    let command = cluster
        .host("a")?
        .env("SOLOIST_ZOOKEEPER_AUTH", "digest:soloist:secret");
    let mut host = command.start(&cluster.history)?;
    host.event_where("session-error", |event| {
        event.line.get("retry_in").is_some()
    })
    .await?;
    cluster.zookeeper.start_all().await?;
    host.event("session-auth-failed").await?;
    Ok(cluster.history.clone())
}

/// A server agrees to less than before, and that is enough for a lease.
async fn a_shortened_session() -> Result<History> {
    let mut cluster = Cluster::real().await?;
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    cluster
        .zookeeper
        .configure(0, Some(("maxSessionTimeout", "6000")))?;
    cluster.zookeeper.kill(0)?;
    cluster.zookeeper.start_all().await?;
    let shortened = host.event("session-shortened").await?;
    let line = &shortened.event().context("no event")?.line;
    ensure!(
        line["server"] == cluster.servers() && line["session_timeout"] == 6.0,
        "{line}"
    );
    Ok(cluster.history.clone())
}

/// As in `ensemble.rs`; what is of interest here is that the host connects anew.
async fn a_read_only_server() -> Result<History> {
    let settings = Settings::ensemble()
        .system_property("readonlymode.enabled", "true")
        .property("localSessionsEnabled", "true")
        .property("localSessionsUpgradingEnabled", "true");
    let mut cluster = Cluster::with(settings, Duration::from_secs(4)).await?;
    for index in [1, 2] {
        cluster.zookeeper.kill(index)?;
    }
    let mut host = cluster.host("a")?.start(&cluster.history)?;
    host.event("session-read-only").await?;
    cluster.zookeeper.start_all().await?;
    host.event_where("session-read-only", |event| {
        event.line.get("retry_in").is_some()
    })
    .await?;
    Ok(cluster.history.clone())
}
