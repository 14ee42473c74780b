//! Rollouts as leaders carry them out: contenders in the test, and an operator who writes the record.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use soloist_core::records::{
    Changed, FailedRecord, History, Readiness, RolloutRecord, Stage, StateCopy, TermEntry, decode,
};
use soloist_core::rollout::{self, OnRollback, Refused};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::proxy::{Proxy, Traffic};
use soloist_tests::{PATIENCE, client, eventually};
use zookeeper_client::{Acls, Client, CreateMode, Error};

mod copies;
mod member;
mod told;

use member::{Member, Plan, generation};
use told::{Told, listen, tells, times, told};

const ROOT: &str = "/soloist";
const MANIFEST: &str = "/soloist/manifests/beat";
const READY: &str = "/soloist/tasks/beat/ready";
const STATE: &str = "/soloist/tasks/beat/state";
const SCHEDULES: &str = "/soloist/tasks/beat/schedules";
const SAVED: &str = "/soloist/tasks/beat/saved";

/// An operator, and the servers.
struct Scene {
    cluster: Cluster,
    operator: Client,
}

impl Scene {
    async fn new() -> Result<Self> {
        listen();
        Self::on(Cluster::start().await?).await
    }

    async fn on(cluster: Cluster) -> Result<Self> {
        let operator = cluster.client().await?;
        client::make_path(&operator, "/soloist/manifests").await?;
        Ok(Self { cluster, operator })
    }

    async fn read(&self) -> Result<Option<(RolloutRecord, i32)>> {
        match self.operator.get_data(MANIFEST).await {
            Ok((data, stat)) => Ok(Some((RolloutRecord::decode(&data)?, stat.version))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes another record of the one that is there, and writes it over that.
    async fn order(
        &self,
        made: impl Fn(Option<&RolloutRecord>, Changed) -> Result<RolloutRecord, Refused>,
    ) -> Result<()> {
        let changed = Changed::new("ann@desk", "2026-11-26T12:00:00.000Z");
        let change = async || {
            let read = self.read().await?;
            let record = made(read.as_ref().map(|(record, _)| record), changed.clone())?;
            let data = record.encode()?;
            match read {
                Some((_, version)) => {
                    match self.operator.set_data(MANIFEST, &data, Some(version)).await {
                        Err(Error::BadVersion) => Ok(None),
                        written => Ok(written.map(|_| Some(()))?),
                    }
                }
                None => create(&self.operator, MANIFEST, &data).await.map(Some),
            }
        };
        // A leader may write at the same time.
        loop {
            if let done @ (Ok(Some(())) | Err(_)) = change().await {
                return done.map(drop);
            }
        }
    }

    async fn deploy(&self, number: u64) -> Result<()> {
        self.order(|record, changed| {
            let replaces = rollout::draft(record).replaces;
            rollout::deploy(record, generation(number), replaces, changed)
        })
        .await
    }

    /// Waits until the record is so.
    async fn until(
        &self,
        what: &str,
        is_so: impl Fn(&RolloutRecord) -> bool,
    ) -> Result<RolloutRecord> {
        eventually(what, PATIENCE, async || {
            let (record, _) = self.read().await.ok()??;
            is_so(&record).then_some(record)
        })
        .await
    }

    async fn healthy(&self, number: u64) -> Result<RolloutRecord> {
        self.until(&format!("{number} to be healthy"), |record| {
            record.current == Some(generation(number)) && record.stage == Stage::Healthy
        })
        .await
    }

    /// Waits until so many hosts stand.
    async fn stand(&self, hosts: usize) -> Result<()> {
        eventually("hosts to stand", PATIENCE, async || {
            let names = self
                .operator
                .list_children("/soloist/tasks/beat/candidates")
                .await
                .ok()?;
            (names.len() == hosts).then_some(())
        })
        .await
    }

    async fn ended(&self) -> Result<Vec<TermEntry>> {
        let (history, _) = self
            .operator
            .get_data("/soloist/tasks/beat/history")
            .await?;
        Ok(History::read(&history).0)
    }

    /// Waits until that many terms have ended, and gives them, the first one first.
    async fn ends(&self, terms: usize) -> Result<Vec<TermEntry>> {
        let what = format!("{terms} terms to end");
        eventually(&what, PATIENCE, async || {
            let mut ended = self.ended().await.ok()?;
            ended.reverse();
            (ended.len() >= terms).then_some(ended)
        })
        .await
    }
}

async fn create(client: &Client, path: &str, data: &[u8]) -> Result<()> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create(path, data, &options).await?;
    Ok(())
}

/// What lies below a node.
async fn below(client: &Client, path: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let names = match client.list_children(path).await {
        Err(Error::NoNode) => return Ok(all),
        names => names?,
    };
    for name in names {
        let (data, _) = client.get_data(&format!("{path}/{name}")).await?;
        all.insert(name, data);
    }
    Ok(all)
}

fn ended_by(term: &TermEntry) -> (&str, &str) {
    let end = term.end.as_ref();
    let detail = end.and_then(|end| end.detail.as_deref());
    (
        end.map_or("", |end| &end.reason),
        detail.unwrap_or_default(),
    )
}

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
    let waits = tells("all-a", "rollout-waiting", |told| {
        told.fields.contains_key("obstacle")
    })
    .await?;
    ensure!(
        waits.message
            == "generation 2 is wanted, and 1 of 2 hosts are ready for it; all-b cannot run it: the disk is full",
        "{waits:?}"
    );
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
