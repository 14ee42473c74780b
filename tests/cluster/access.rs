//! What a host makes of an ensemble that does not let it in.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::client;
use soloist_tests::cluster::Cluster;
use soloist_tests::zookeeper::Settings;
use zookeeper_client::{Acls, CreateMode};

const IDENTITY: &str = "SOLOIST_ZOOKEEPER_AUTH";

/// A cluster whose root node only `soloist:secret` may touch.
async fn guarded() -> Result<Cluster> {
    let cluster = Cluster::start().await?;
    let owner = cluster.client_as("soloist:secret").await?;
    owner
        .create(
            "/soloist",
            b"",
            &CreateMode::Persistent.with_acls(Acls::creator_all()),
        )
        .await?;
    client::close(owner).await;
    Ok(cluster)
}

/// Wrong credentials: the host is never elected, and says which node it may not touch and which setting to look at.
#[tokio::test]
async fn wrong_credentials_are_named() -> Result<()> {
    let cluster = guarded().await?;
    let command = cluster
        .host("a")?
        .env(IDENTITY, "digest:soloist:wrong")
        .flag("--acl", "creator");
    let mut host = command
        .flag("--connect-timeout", "10s")
        .start(&cluster.history)?;
    let refused = host.event("session-error").await?;
    let message = refused
        .event()
        .map(|event| event.message.clone())
        .unwrap_or_default();
    ensure!(
        message.contains("/soloist") && message.contains("auth"),
        "{message}"
    );
    let status = host.ended().await?;
    ensure!(status.code() == Some(3), "{status}");
    ensure!(host.errors().contains("/soloist"), "{}", host.errors());
    ensure!(
        !host.errors().contains("wrong"),
        "the credentials are shown: {}",
        host.errors()
    );
    ensure!(host.records().iter().all(|record| !record.is("elected")));
    Ok(())
}

/// The right credentials are let in, and what the host creates belongs to them alone.
#[tokio::test]
async fn the_right_credentials_are_let_in() -> Result<()> {
    let cluster = guarded().await?;
    let command = cluster
        .host("a")?
        .env(IDENTITY, "digest:soloist:secret")
        .flag("--acl", "creator");
    let mut host = command.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let stranger = cluster.client().await?;
    let read = stranger.get_data("/soloist/tasks/beat/master").await;
    ensure!(read.is_err(), "a stranger reads the master node");
    ensure!(host.terminate().await?.success());
    Ok(())
}

/// Servers that take no credentials of this kind refuse the session itself, whoever asks.
#[tokio::test]
async fn credentials_that_no_server_takes_are_told_from_a_node_that_is_closed() -> Result<()> {
    let settings = Settings::standalone()
        .system_property("zookeeper.DigestAuthenticationProvider.enabled", "false");
    let cluster = Cluster::with(settings, Duration::from_secs(4)).await?;
    let command = cluster.host("a")?.env(IDENTITY, "digest:soloist:hunter2");
    let mut host = command
        .flag("--connect-timeout", "10s")
        .start(&cluster.history)?;
    let refused = host.event("session-auth-failed").await?;
    let event = refused.event().context("no event")?;
    ensure!(
        event.text("level") == Some("error") && event.line["retry_in"] == 0.1,
        "{event:?}"
    );
    ensure!(
        event.message.contains("refuses the credentials") && event.message.contains("auth"),
        "{event:?}"
    );
    let status = host.ended().await?;
    let errors = host.errors();
    ensure!(
        status.code() == Some(3) && errors.contains("refuses the credentials"),
        "{status}: {errors}"
    );
    let answer = cluster
        .operator(&[(IDENTITY, "digest:soloist:hunter2")], &["status"])
        .await?;
    ensure!(
        answer.code == Some(3) && answer.stderr.contains("refuses the credentials"),
        "{answer:?}"
    );
    ensure!(
        !errors.contains("hunter2") && !answer.stderr.contains("hunter2"),
        "the credentials are shown"
    );
    ensure!(
        host.records()
            .iter()
            .all(|record| !record.is("session-connected"))
    );
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
