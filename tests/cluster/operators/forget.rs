//! `soloist forget`: all that is left of a task goes, and nothing of one that somebody stands for.

use anyhow::{Result, ensure};
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use zookeeper_client::{Acls, CreateMode};

use super::case::{deploy, has_failed, record, succeeds};

/// A task of files is forgotten with its history once nobody stands for it; a stranger's node is no host.
#[tokio::test]
async fn a_task_that_nobody_stands_for_is_forgotten() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let client = cluster.client().await?;
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    let args = ["forget", TASK, "--yes"];
    has_failed(
        &cluster.operator(&[], &args).await?,
        1,
        &["these stand for task beat", "a, b"],
    )?;
    ensure!(cluster.terms().await?.len() == 1, "its history is gone");
    for mut host in hosts.drain(..) {
        ensure!(host.terminate().await?.success());
    }
    let told = succeeds(&cluster, &args).await?;
    ensure!(
        told.starts_with("beat is forgotten") && told.lines().count() == 1,
        "{told}"
    );
    ensure!(client.list_children("/soloist/tasks").await?.is_empty());
    has_failed(
        &cluster.operator(&[], &["history", TASK]).await?,
        1,
        &["no task beat"],
    )?;
    has_failed(&cluster.operator(&[], &args).await?, 1, &["no task beat"])?;
    // It can be had again, from its first term on.
    let _host = cluster.queue(&["c"]).await?;
    ensure!(cluster.terms().await?[0]["number"] == 1);
    client::close(client).await;
    Ok(())
}

/// All of a deployed task goes once it is undeployed: its generations, its record, and the artefact that only they name.
#[tokio::test]
async fn a_task_that_was_deployed_is_forgotten_with_its_record() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    for _ in 0..2 {
        ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    }
    // The copy of the state is there while a generation is on probation.
    for kept in ["state/key", "saved/state/key", "saved/schedules/main"] {
        client::make_path(&client, &format!("/soloist/tasks/beat/{kept}")).await?;
    }
    has_failed(
        &cluster.operator(&[], &["forget", TASK, "--yes"]).await?,
        1,
        &["generation 1 of the task is deployed", "undeploy"],
    )?;
    succeeds(&cluster, &["undeploy", TASK]).await?;
    // What no host knows is not deleted.
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let strange = "/soloist/tasks/beat/somebody-elses";
    client.create(strange, b"", &options).await?;
    let refused = cluster.operator(&[], &["forget", TASK, "--yes"]).await?;
    has_failed(&refused, 1, &["/soloist/tasks/beat"])?;
    ensure!(
        record(&client).await?.newest == 2,
        "the record went before the rest"
    );
    client.delete(strange, None).await?;
    let told = succeeds(&cluster, &["forget", TASK, "--yes"]).await?;
    ensure!(
        told.contains("deploy it with --generation 3 or higher"),
        "{told}"
    );
    for parent in ["tasks", "manifests", "artefacts"] {
        let parent = format!("/soloist/{parent}");
        ensure!(client.list_children(&parent).await?.is_empty(), "{parent}");
    }
    ensure!(deploy(&cluster, &["--generation", "3"]).await?.code == Some(0));
    ensure!(record(&client).await?.newest == 3);
    client::close(client).await;
    Ok(())
}
