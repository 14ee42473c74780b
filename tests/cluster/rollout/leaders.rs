//! Leaders whose record somebody else writes.

use anyhow::Context as _;
use soloist_core::records::{RolloutRecord, Stage};
use soloist_core::rollout::{self, OnRollback};
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use zookeeper_client::{Acls, CreateMode};

use super::*;

/// Whatever an operator writes while a host leads is heard by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_gives_way_when_an_operator_says_so() -> Result<()> {
    let scene = Scene::new().await?;
    let a = Member::start(&scene.cluster, "order-a", &Plan::default()).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene
        .order(|record, changed| rollout::pause(record, "a look at the disk", changed))
        .await?;
    let ended = scene.ends(1).await?;
    ensure!(ended[0].generation == Some(1), "{ended:?}");
    scene.order(rollout::resume).await?;
    tells("order-a", "activated", |told| told.fields["term"] == 2).await?;
    scene.order(rollout::undeploy).await?;
    let ended = scene.ends(2).await?;
    ensure!(ended_by(&ended[1]).0 != "lost", "{ended:?}");
    // The number does not come again, and what was there before is not gone back to.
    scene.deploy(2).await?;
    let record = scene.healthy(2).await?;
    ensure!(record.back.is_none(), "{record:?}");
    scene.deploy(3).await?;
    scene.healthy(3).await?;
    let taken_back = |record: Option<&RolloutRecord>, changed| {
        rollout::rollback(record, OnRollback::Restore, "it looks odd", changed)
            .map(|(record, _)| record)
    };
    scene.order(taken_back).await?;
    scene
        .until("it to be taken back", |record| {
            record.current == Some(generation(2))
        })
        .await?;
    let ended = scene.ends(4).await?;
    ensure!(ended_by(&ended[3]).1.contains("generation 2"), "{ended:?}");
    a.leaves().await
}

/// A leader that has not heard of a change is refused, reads, and does what the change says.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_decides_by_an_old_record_is_refused_and_reads_the_new_one() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan {
        settings: rollout::Settings {
            healthy_after: Duration::from_secs(3),
            ..Plan::default().settings
        },
        ..Plan::default()
    };
    let a = Member::start(&scene.cluster, "old-a", &plan).await?;
    scene.deploy(1).await?;
    tells("old-a", "activated", |_| true).await?;
    a.freezes(true);
    scene
        .order(|record, changed| rollout::pause(record, "a look at the disk", changed))
        .await?;
    let ended = scene.ends(1).await?;
    ensure!(
        ended_by(&ended[0]) == ("resigned", "an operator has paused the task"),
        "{ended:?}"
    );
    let (record, _) = scene.read().await?.context("no record")?;
    ensure!(
        matches!(record.stage, Stage::Probation { .. }),
        "{record:?}"
    );
    ensure!(times("old-", "generation-healthy") == 0);
    a.freezes(false);
    a.leaves().await
}

/// A leader that cannot read the record runs on as long as it is alone, and writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_read_the_record_gives_way_to_whoever_stands() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan::default();
    let a = Member::start(&scene.cluster, "new-a", &plan).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    let newer = br#"{"version":2,"what":"nobody knows"}"#;
    scene.operator.set_data(MANIFEST, newer, None).await?;
    // It has heard of it, and looks whether somebody else stands.
    let own = client::owner(&scene.operator, &Cluster::master(TASK)).await?;
    let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let session = scene.operator.session_id().0;
    ensure!(own.is_some() && scene.ended().await?.is_empty());
    scene
        .operator
        .create(
            &format!("/soloist/tasks/beat/candidates/c-{session:016x}-new-b-"),
            b"",
            &options,
        )
        .await?;
    let ended = scene.ends(1).await?;
    ensure!(
        ended_by(&ended[0])
            == (
                "resigned",
                "only a newer host can read the record of the rollout"
            ),
        "{ended:?}"
    );
    let (data, _) = scene.operator.get_data(MANIFEST).await?;
    ensure!(data == newer, "it was written over");
    a.leaves().await
}
