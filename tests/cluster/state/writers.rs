//! Who may write the state: the present leader alone, with the configured identity.

use anyhow::{Context, Result, ensure};
use soloist_coordination::fence::Fence;
use soloist_coordination::state::TaskState;
use soloist_core::state::{State, StateError};
use soloist_tests::client;
use soloist_tests::cluster::Cluster;
use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Error, Permission};

use super::counter::{counter, until_counted};
use super::leader::{Leader, STATE, depose, node};
use super::operations::{delete, set};

/// A leader that somebody has deposed, with a session that lives and a belief that it leads: the ensemble refuses it all.
#[tokio::test]
async fn a_leader_of_the_past_writes_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let idle = Leader::elected(&cluster, "idle").await?;
    depose(&operator).await?;
    let past = Leader::elected(&cluster, "past").await?;
    // Not even the parent of its entries.
    ensure!(idle.set("new", "idle").await == Err(StateError::Fenced));
    ensure!(
        operator.check_stat(STATE).await?.is_none(),
        "a leader of the past has created {STATE}"
    );
    let version = past.set("who", "past").await?;
    depose(&operator).await?;
    let present = Leader::elected(&cluster, "present").await?;
    for leader in [&idle, &past] {
        let outcomes = [
            leader.set("who", "nobody").await.map(drop),
            leader.set("new", "nobody").await.map(drop),
            leader
                .exchange("who", Some(version), "nobody")
                .await
                .map(drop),
            leader.exchange("new", None, "nobody").await.map(drop),
            leader.state.delete("who".into()).await,
        ];
        ensure!(
            outcomes
                .iter()
                .all(|outcome| *outcome == Err(StateError::Fenced)),
            "{outcomes:?}"
        );
        let together = leader
            .state
            .transact(vec![set("new", "nobody"), delete("who")]);
        ensure!(together.await == Err(StateError::Fenced.into()));
    }
    let entry = present
        .state
        .get("who".into())
        .await?
        .context("it is gone")?;
    ensure!(
        (entry.value.as_slice(), entry.version) == (b"past".as_slice(), version),
        "{entry:?}"
    );
    ensure!(present.state.list(String::new()).await? == ["who"]);
    ensure!(present.exchange("who", Some(version), "present").await? > version);
    // The record of the term deleted is the end of every term.
    operator.delete("/soloist/tasks/beat/term", None).await?;
    ensure!(present.set("who", "present").await == Err(StateError::Fenced));
    Ok(())
}

/// All of a task is deleted and made anew: the record of the new term has the version of the old one's, and what the old
/// leader writes is refused all the same.
#[tokio::test]
async fn a_leader_of_a_task_that_was_deleted_writes_nothing_to_the_one_made_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let operator = cluster.client().await?;
    let past = Leader::elected(&cluster, "past").await?;
    client::delete_all(&operator, "/soloist/tasks/beat").await?;
    let present = Leader::elected(&cluster, "present").await?;
    ensure!(
        past.term.record_version == present.term.record_version,
        "nothing would be shown"
    );
    let version = present.set("who", "present").await?;
    let outcomes = [
        past.set("who", "past").await.map(drop),
        past.set("new", "past").await.map(drop),
        past.exchange("who", Some(version), "past").await.map(drop),
        past.state.delete("who".into()).await,
    ];
    ensure!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Err(StateError::Fenced)),
        "{outcomes:?}"
    );
    ensure!(present.state.list(String::new()).await? == ["who"]);
    // It is the candidate that tells the terms apart: with that of the present one, the version would let it through.
    let fence = Fence::new(&past.own.paths, &past.term, &present.candidate);
    let by_version = TaskState::new(past.own.session.clone(), past.own.paths.clone(), fence);
    ensure!(by_version.set("who".into(), b"past".to_vec()).await.is_ok());
    client::close(operator).await;
    Ok(())
}

/// The nodes of the state have the ACL that is configured: others read, and only the configured identity writes.
#[tokio::test]
async fn the_state_belongs_to_the_configured_identity() -> Result<()> {
    let cluster = Cluster::start().await?;
    let identity = "soloist:secret";
    let command =
        counter(&cluster, "a")?.env("SOLOIST_ZOOKEEPER_AUTH", format!("digest:{identity}"));
    let mut host = command
        .flag("--acl", "creator-world-read")
        .start(&cluster.history)?;
    until_counted(&mut host, 1).await?;
    let stranger = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let owner = cluster.client_as(identity).await?;
    for path in [STATE.to_owned(), node("count")] {
        let (acl, _) = owner.get_acl(&path).await?;
        let world = acl
            .iter()
            .filter(|entry| *entry.auth_id() == AuthId::anyone());
        ensure!(
            world.map(Acl::permission).eq([Permission::READ]),
            "{path}: {acl:?}"
        );
        ensure!(
            acl.iter()
                .any(|entry| entry.scheme() == "digest" && entry.permission() == Permission::ALL),
            "{acl:?}"
        );
        ensure!(
            stranger.set_data(&path, b"0", None).await == Err(Error::NoAuth),
            "{path}"
        );
    }
    ensure!(stranger.create(&node("other"), b"", &options).await.err() == Some(Error::NoAuth));
    ensure!(stranger.delete(&node("count"), None).await == Err(Error::NoAuth));
    stranger.get_data(&node("count")).await?;
    Ok(())
}
