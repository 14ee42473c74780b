//! `soloist pause`, `resume`, `rollback` and `undeploy`, without hosts that follow them.

use anyhow::{Context as _, Result, ensure};
use soloist_coordination::observer::ObserverError;
use soloist_core::records::Stage;
use soloist_core::rollout::Refused;
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use zookeeper_client::{Acls, CreateMode, Error};

use super::case::{RECORD, deploy, has_failed, observer, record, succeeds};

/// What is paused says why, to whoever pauses it again, lists it or deploys; it is resumed once.
#[tokio::test]
async fn a_task_that_is_paused_says_why() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    succeeds(&cluster, &["pause", TASK, "--reason", "a look \u{1b}[2J"]).await?;
    let again = cluster.operator(&[], &["pause", TASK]).await?;
    has_failed(&again, 1, &["paused already: a look \\u{1b}[2J"])?;
    let listed = succeeds(&cluster, &["tasks"]).await?;
    ensure!(listed.contains("probation, paused"), "{listed}");
    let shown = succeeds(&cluster, &["tasks", "show", TASK]).await?;
    ensure!(shown.contains("paused        a look"), "{shown}");
    let plugin = super::case::plugin()?;
    let waiting = cluster
        .operator(&[], &["deploy", &plugin, "--task", TASK])
        .await?;
    let words = [
        "generation 2 is deployed, but the task is paused",
        "soloist resume",
    ];
    has_failed(&waiting, 1, &words)?;
    succeeds(&cluster, &["resume", TASK, "--reason", "seen \u{1b}[2J"]).await?;
    ensure!(record(&client).await?.paused.is_none());
    let shown = succeeds(&cluster, &["tasks", "show", TASK]).await?;
    let changed = shown.lines().find(|line| line.contains("changed"));
    ensure!(
        changed.is_some_and(|line| line.ends_with(": seen \\u{1b}[2J")),
        "{shown}"
    );
    client::close(client).await;
    Ok(())
}

/// The generation that is wanted is given up; after that the current one is taken back, and once.
#[tokio::test]
async fn a_rollback_takes_the_newest_generation_back() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    for _ in 1..=2 {
        ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    }
    let told = succeeds(&cluster, &["rollback", TASK, "--reason", "odd"]).await?;
    ensure!(told.contains("generation 2 is given up"), "{told}");
    // What a leader makes of the first one, and of another one.
    let mut healthy = record(&client).await?;
    healthy.stage = Stage::Healthy;
    client.set_data(RECORD, &healthy.encode()?, None).await?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    let mut promoted = record(&client).await?;
    promoted.back = promoted.current;
    promoted.current = promoted.wanted.take();
    promoted.stage = Stage::Probation { inconclusive: 0 };
    client.set_data(RECORD, &promoted.encode()?, None).await?;
    let told = succeeds(
        &cluster,
        &["rollback", TASK, "--reason", "odd", "--no-wait"],
    )
    .await?;
    let words = "generation 3 is taken back, and generation 1 runs again; the state stays as it is";
    ensure!(told.contains(words), "{told}");
    let Stage::RolledBack(failure) = record(&client).await?.stage else {
        anyhow::bail!("{:?}", record(&client).await?)
    };
    ensure!((&*failure.cause, &*failure.detail) == ("operator", "odd"));
    let again = cluster.operator(&[], &["rollback", TASK]).await?;
    has_failed(
        &again,
        1,
        &["generation 3 has been taken back already", "rollback --to"],
    )?;
    // What is followed then is the one that runs, and nobody does here.
    let told = succeeds(&cluster, &["rollback", TASK, "--to", "3", "--no-wait"]).await?;
    ensure!(
        told.contains("generation 4 is generation 3 again"),
        "{told}"
    );
    client::close(client).await;
    Ok(())
}

/// Whoever stands is waited for, and named when that takes too long; the state goes only when nobody does.
#[tokio::test]
async fn a_state_is_purged_only_when_nobody_stands() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let mut host = cluster.queue(&["a"]).await?.remove(0);
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    for parent in ["state", "saved/state", "schedules"] {
        let parent = format!("/soloist/tasks/beat/{parent}");
        client::make_path(&client, &parent).await?;
        for number in 0..300 {
            let key = format!("{parent}/key-{number}");
            client.create(&key, b"1", &options).await?;
        }
    }
    let keys = async || {
        let mut keys = 0;
        for parent in ["state", "saved/state", "schedules"] {
            let parent = format!("/soloist/tasks/beat/{parent}");
            keys += match client.list_children(&parent).await {
                Err(Error::NoNode) => 0,
                children => children?.len(),
            };
        }
        anyhow::Ok(keys)
    };
    // A host that has the task from its file goes on standing for it.
    let args = [
        "undeploy",
        TASK,
        "--purge-state",
        "--yes",
        "--timeout",
        "300ms",
    ];
    let answer = cluster.operator(&[], &args).await?;
    has_failed(
        &answer,
        4,
        &["a still stand for task beat", "The order stands"],
    )?;
    ensure!(keys().await? == 900, "{}", keys().await?);
    ensure!(record(&client).await?.current.is_none());
    has_failed(
        &cluster.operator(&[], &["forget", TASK, "--yes"]).await?,
        1,
        &["a"],
    )?;
    ensure!(host.terminate().await?.success());
    let told = succeeds(&cluster, &["undeploy", TASK, "--purge-state", "--yes"]).await?;
    ensure!(
        told.contains("the state of beat is deleted: 901 nodes"),
        "{told}"
    );
    ensure!(keys().await? == 0);
    // It is undeployed, and can be deployed again: its numbers go on.
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    ensure!(record(&client).await?.newest == 2);
    client::close(client).await;
    cluster.verdict().check()
}

/// Whoever comes to stand while a state is purged, or deploys, keeps what is left of it.
#[tokio::test]
async fn a_purge_ends_as_soon_as_somebody_stands_or_deploys() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    succeeds(&cluster, &["undeploy", TASK]).await?;
    let key = "/soloist/tasks/beat/state/key";
    client::make_path(&client, key).await?;
    let observer = observer(&cluster).await?;
    let undeployed = observer.rollout(TASK).await?.context("no record")?;
    let mut host = cluster.queue(&["a"]).await?.remove(0);
    let refused = observer.purge(TASK, &undeployed).await;
    ensure!(
        matches!(refused, Err(ObserverError::Standing { .. })),
        "{refused:?}"
    );
    ensure!(host.terminate().await?.success());
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    let refused = observer.purge(TASK, &undeployed).await;
    let is_told = matches!(
        refused,
        Err(ObserverError::Refused(Refused::Changed { .. }))
    );
    ensure!(is_told, "{refused:?}");
    ensure!(client.check_stat(key).await?.is_some(), "it was deleted");
    observer.close().await;
    client::close(client).await;
    Ok(())
}

/// Somebody lists the artefacts, one of them is deployed, and then it is removed as one that nobody needs: it stays.
#[tokio::test]
async fn an_artefact_that_is_deployed_while_others_are_swept_stays() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    let observer = observer(&cluster).await?;
    let artefacts = observer.artefacts();
    let listed = artefacts.sweep(0).await?;
    let (digest, before) = listed.first().context("no artefact")?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    artefacts.remove(before).await?;
    ensure!(artefacts.stored(*digest).await?.is_some(), "it was removed");
    observer.close().await;
    Ok(())
}
