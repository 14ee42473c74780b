//! Rollouts as leaders carry them out: contenders in the test, and an operator who writes the record.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_core::records::Readiness;

mod copies;
mod failing;
mod leaders;
mod member;
mod scene;
mod told;

use member::{Member, Plan, generation};
use scene::{Scene, ended_by};
use told::{Told, tells, times, told};

const ROOT: &str = "/soloist";
const MANIFEST: &str = "/soloist/manifests/beat";
const READY: &str = "/soloist/tasks/beat/ready";
const STATE: &str = "/soloist/tasks/beat/state";
const SCHEDULES: &str = "/soloist/tasks/beat/schedules";
const SAVED: &str = "/soloist/tasks/beat/saved";

/// A rollout with all that leaders report: a host that is not ready, and a generation that is taken back.
pub(crate) async fn story() -> Result<Vec<Told>> {
    let scene = Scene::new().await?;
    let plan = Plan {
        does: |it| if it == 2 { "trap" } else { "wait" },
        ..Plan::default()
    };
    let slow = [(2, Readiness::unready("the disk is full"))].into();
    let a = Member::start(&scene.cluster, "story-a", &plan).await?;
    let b = Member::with(&scene.cluster, "story-b", &plan, slow).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene.stand(2).await?;
    scene.deploy(2).await?;
    tells("story-", "rollout-waiting", |told| {
        told.fields.contains_key("obstacle")
    })
    .await?;
    b.prepares(2, Readiness::Ready);
    tells("story-", "state-restored", |_| true).await?;
    a.leaves().await?;
    b.leaves().await?;
    Ok(told("story-"))
}

/// The first generation runs at once and is healthy after a while. The second waits until all that stand are ready; then the
/// leader makes it the current one and hands over, and it is healthy too.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_takes_over_when_all_hosts_that_stand_are_ready() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan::default();
    let slow = [(2, Readiness::unready("the disk is full"))].into();
    let a = Member::start(&scene.cluster, "all-a", &plan).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    let b = Member::with(&scene.cluster, "all-b", &plan, slow).await?;
    scene.stand(2).await?;
    scene.deploy(2).await?;
    let waits = "generation 2 is wanted, and 1 of 2 hosts are ready for it; all-b cannot run it: the disk is full";
    tells("all-a", "rollout-waiting", |told| told.message == waits).await?;
    ensure!(times("all-", "generation-promoted") == 0);
    b.prepares(2, Readiness::Ready);
    scene.healthy(2).await?;
    let promoted = tells("all-a", "generation-promoted", |_| true).await?;
    ensure!(promoted.fields["generation"] == 2 && promoted.fields["from"] == 1);
    // The standby had everything: it leads now.
    tells("all-b", "generation-healthy", |told| {
        told.fields["generation"] == 2
    })
    .await?;
    let ended = scene.ends(1).await?;
    ensure!(ended[0].generation == Some(1), "{ended:?}");
    ensure!(
        ended_by(&ended[0]) == ("resigned", "generation 2 takes over"),
        "{ended:?}"
    );
    ensure!(times("all-", "generation-promoted") == 1 && times("all-", "generation-healthy") == 2);
    let record = scene
        .until("the copy to go", |record| record.copy.is_none())
        .await?;
    ensure!(record.back == Some(generation(1)), "{record:?}");
    a.leaves().await?;
    b.leaves().await
}

/// If a host never gets ready, the others go on without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_takes_over_after_the_ready_timeout_when_some_host_is_ready() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan {
        ready_timeout: Duration::from_secs(1),
        ..Plan::default()
    };
    let never = [(2, Readiness::Preparing)].into();
    let a = Member::with(&scene.cluster, "some-a", &plan, never).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    let b = Member::start(&scene.cluster, "some-b", &plan).await?;
    scene.stand(2).await?;
    scene.deploy(2).await?;
    scene.healthy(2).await?;
    tells("some-a", "generation-promoted", |_| true).await?;
    tells("some-b", "generation-healthy", |_| true).await?;
    a.leaves().await?;
    b.leaves().await
}
