//! Generations that fail, or that nobody can run, and hosts that are lost.

use anyhow::Context as _;
use soloist_core::records::{FailedRecord, Stage, decode};
use soloist_core::rollout;
use soloist_tests::proxy::{Proxy, Traffic};

use super::scene::create;
use super::*;

/// One that fails is taken back once, with its cause, whoever leads; the one before runs again and is not taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_fails_is_taken_back_once_with_its_cause() -> Result<()> {
    for (hosts, does, cause) in [
        (
            "trap",
            (|it| if it == 2 { "trap" } else { "wait" }) as fn(u64) -> _,
            "trap",
        ),
        (
            "error",
            |it| if it == 2 { "error" } else { "wait" },
            "error",
        ),
    ] {
        let scene = Scene::new().await?;
        let plan = Plan {
            does,
            ..Plan::default()
        };
        let a = Member::start(&scene.cluster, &format!("{hosts}-a"), &plan).await?;
        let b = Member::start(&scene.cluster, &format!("{hosts}-b"), &plan).await?;
        scene.deploy(1).await?;
        scene.healthy(1).await?;
        scene.deploy(2).await?;
        let back = scene
            .until("it to be taken back", |record| {
                matches!(record.stage, Stage::RolledBack(_))
            })
            .await?;
        let Stage::RolledBack(failure) = &back.stage else {
            anyhow::bail!("{back:?}")
        };
        ensure!(
            failure.from == generation(2) && failure.cause == cause,
            "{failure:?}"
        );
        ensure!(
            back.current == Some(generation(1)) && back.back.is_none(),
            "{back:?}"
        );
        tells(hosts, "state-restored", |_| true).await?;
        let ended = scene.ends(2).await?;
        ensure!(ended[1].generation == Some(2), "{ended:?}");
        ensure!(
            ended[1]
                .end
                .as_ref()
                .is_some_and(|end| end.reason == "failed"),
            "{ended:?}"
        );
        scene
            .until("the copy to go", |record| record.copy.is_none())
            .await?;
        ensure!(times(hosts, "rolled-back") == 1 && times(hosts, "generation-promoted") == 1);
        // That is no failure of the task.
        ensure!(times(hosts, "failed") == 0);
        a.leaves().await?;
        b.leaves().await?;
    }
    Ok(())
}

/// What was healthy once is not taken back when it fails: that is a failure as of any task, and does not count against another
/// generation.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_was_gone_back_to_fails_like_any_task() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan {
        does: |it| if it == 2 { "trap" } else { "wait" },
        ..Plan::default()
    };
    let a = Member::start(&scene.cluster, "again-a", &plan).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene.deploy(2).await?;
    tells("again-a", "state-restored", |_| true).await?;
    a.leaves().await?;
    let worse = Plan {
        does: |_| "trap",
        ..Plan::default()
    };
    let failed = FailedRecord {
        terms: 7,
        term: 1,
        fencing_token: Some(1),
        generation: Some(2),
        host: "x".into(),
        at: String::new(),
        cause: "trap".into(),
        detail: String::new(),
        restarts: None,
        retry_at: None,
        retried: None,
    };
    create(
        &scene.operator,
        "/soloist/tasks/beat/failed",
        &serde_json::to_vec(&failed)?,
    )
    .await?;
    let b = Member::start(&scene.cluster, "again-b", &worse).await?;
    let told = tells("again-b", "failed", |_| true).await?;
    ensure!(told.fields["terms"] == 1, "{told:?}");
    let (mark, _) = scene
        .operator
        .get_data("/soloist/tasks/beat/failed")
        .await?;
    let mark: FailedRecord = decode(&mark).context("no mark")?;
    ensure!((mark.generation, mark.terms) == (Some(1), 1), "{mark:?}");
    let (record, _) = scene.read().await?.context("no record")?;
    ensure!(matches!(record.stage, Stage::RolledBack(_)), "{record:?}");
    ensure!(times("again-", "rolled-back") == 1);
    b.leaves().await
}

/// The first generation has nothing before it: it is frozen, and nobody runs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_generation_that_fails_is_run_by_nobody() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan {
        does: |it| if it == 1 { "trap" } else { "complete" },
        ..Plan::default()
    };
    let a = Member::start(&scene.cluster, "first-a", &plan).await?;
    scene.deploy(1).await?;
    let told = tells("first-a", "rolled-back", |_| true).await?;
    ensure!(
        told.fields["from"] == 1 && !told.fields.contains_key("to"),
        "{told:?}"
    );
    scene
        .until("it to be frozen", |record| {
            matches!(record.stage, Stage::Failed(_))
        })
        .await?;
    scene.ends(1).await?;
    // One that completes is healthy as soon as it has.
    scene.deploy(2).await?;
    // Nobody runs the task: whoever is alone and ready for the wanted one stands in.
    let patient = Plan {
        alone_for: Some(Duration::ZERO),
        settings: rollout::Settings {
            healthy_after: Duration::from_hours(1),
            ..plan.settings
        },
        ..plan
    };
    a.leaves().await?;
    let b = Member::start(&scene.cluster, "first-b", &patient).await?;
    scene.healthy(2).await?;
    let promoted = tells("first-b", "generation-promoted", |_| true).await?;
    ensure!(promoted.fields["from"] == 1, "{promoted:?}");
    b.leaves().await
}

/// No host can run the one on probation any more: a host that has waited long enough takes it back, in a term that runs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_no_host_can_run_is_taken_back() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan {
        settings: rollout::Settings {
            healthy_after: Duration::from_millis(300),
            ..Plan::default().settings
        },
        alone_for: Some(Duration::from_hours(1)),
        ..Plan::default()
    };
    let long = Plan {
        settings: rollout::Settings {
            healthy_after: Duration::from_hours(1),
            ..plan.settings
        },
        ..plan.clone()
    };
    let a = Member::start(&scene.cluster, "unable-a", &plan).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    a.leaves().await?;
    let b = Member::start(&scene.cluster, "unable-b", &long).await?;
    scene.deploy(2).await?;
    tells("unable-b", "activated", |told| told.fields["term"] == 3).await?;
    b.leaves().await?;
    let gone = [(2, Readiness::unready("its artefact is gone"))].into();
    let c = Member::with(&scene.cluster, "unable-c", &plan, gone).await?;
    let told = tells("unable-c", "rolled-back", |_| true).await?;
    ensure!(
        told.fields["cause"] == "unready" && told.fields["detail"] == "its artefact is gone",
        "{told:?}"
    );
    tells("unable-c", "state-restored", |_| true).await?;
    tells("unable-c", "activated", |told| told.fields["term"] == 5).await?;
    let ended = scene.ends(4).await?;
    ensure!(ended[3].generation == Some(2), "{ended:?}");
    ensure!(
        times("unable-c", "activated") == 1,
        "a term that runs nothing ran something"
    );
    c.leaves().await
}

/// A host that is lost in the probation shows nothing: the next one begins the probation anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_lost_in_the_probation_takes_nothing_back() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = Plan::default();
    let a = Member::start(&scene.cluster, "lost-a", &plan).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    a.leaves().await?;
    let long = Plan {
        settings: rollout::Settings {
            healthy_after: Duration::from_hours(1),
            ..plan.settings
        },
        ..plan.clone()
    };
    let proxy = Proxy::start(scene.cluster.zookeeper.address(0)).await?;
    let servers = scene.cluster.servers().to_owned();
    let through = scene.cluster.through(proxy.connect_string());
    let b = Member::start(&through, "lost-b", &long).await?;
    let scene = Scene {
        cluster: through.through(servers),
        operator: scene.operator,
    };
    scene.deploy(2).await?;
    tells("lost-b", "activated", |told| told.fields["term"] == 3).await?;
    proxy.set(Traffic::Cut);
    b.dies().await;
    let c = Member::start(&scene.cluster, "lost-c", &plan).await?;
    scene.healthy(2).await?;
    let ended = scene.ends(3).await?;
    ensure!(
        ended[2].generation == Some(2) && ended_by(&ended[2]).0 == "lost",
        "{ended:?}"
    );
    ensure!(times("lost-", "rolled-back") == 0 && times("lost-", "state-copied") == 1);
    c.leaves().await
}
