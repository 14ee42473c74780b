//! What a host makes of an ensemble that does not let it in.

use anyhow::{Result, ensure};
use soloist_tests::client;
use soloist_tests::cluster::Cluster;
use zookeeper_client::{Acls, CreateMode};

const IDENTITY: &str = "SOLOIST_ZOOKEEPER_AUTH";

/// A cluster whose root node only `soloist:secret` may touch.
async fn guarded() -> Result<Cluster> {
    let cluster = Cluster::start().await?;
    let owner = client::connect_as(cluster.servers(), cluster.session_timeout, Some("soloist:secret")).await?;
    owner.create("/soloist", b"", &CreateMode::Persistent.with_acls(Acls::creator_all())).await?;
    client::close(owner).await;
    Ok(cluster)
}

/// Wrong credentials: the host is never elected, and says which node it may not touch and which setting to look at.
#[tokio::test]
async fn wrong_credentials_are_named() -> Result<()> {
    let cluster = guarded().await?;
    let command = cluster.host("a")?.env(IDENTITY, "digest:soloist:wrong").flag("--acl", "creator");
    let mut host = command.flag("--connect-timeout", "2s").start(&cluster.history)?;
    let refused = host.event("session-error").await?;
    let message = refused.event().map(|event| event.message.clone()).unwrap_or_default();
    ensure!(message.contains("/soloist") && message.contains("auth"), "{message}");
    let status = host.ended().await?;
    ensure!(status.code() == Some(3), "{status}");
    ensure!(host.errors().contains("/soloist"), "{}", host.errors());
    ensure!(!host.errors().contains("wrong"), "the credentials are shown: {}", host.errors());
    ensure!(host.records().iter().all(|record| !record.is("elected")));
    Ok(())
}

/// The right credentials are let in, and what the host creates belongs to them alone.
#[tokio::test]
async fn the_right_credentials_are_let_in() -> Result<()> {
    let cluster = guarded().await?;
    let command = cluster.host("a")?.env(IDENTITY, "digest:soloist:secret").flag("--acl", "creator");
    let mut host = command.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let stranger = cluster.client().await?;
    let read = stranger.get_data("/soloist/tasks/beat/master").await;
    ensure!(read.is_err(), "a stranger reads the master node");
    ensure!(host.terminate().await?.success());
    Ok(())
}

/// An identity without an ACL is legal and of little use: the log says so.
#[tokio::test]
async fn an_identity_without_an_acl_is_warned_about() -> Result<()> {
    let cluster = Cluster::start().await?;
    let command = cluster.host("a")?.env(IDENTITY, "digest:soloist:secret");
    let mut host = command.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let warned = host
        .records()
        .iter()
        .filter_map(|record| record.event())
        .any(|event| event.text("level") == Some("warn") && event.message.contains("acl"));
    ensure!(warned, "no warning");
    Ok(())
}
