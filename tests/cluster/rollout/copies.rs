//! The state goes back with the generation: exactly, and whoever does it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use soloist_core::records::StateCopy;
use soloist_core::rollout::{self, OnRollback};
use soloist_tests::cluster::Cluster;
use soloist_tests::proxy::{Loss, Op, Proxy, Traffic};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, client, eventually};
use zookeeper_client::Client;

use super::scene::{below, create};
use super::*;

/// A state of some transactions, with what is not text, and the record of a schedule.
async fn make_state(operator: &Client) -> Result<BTreeMap<String, Vec<u8>>> {
    for parent in [STATE, SCHEDULES] {
        client::make_path(operator, parent).await?;
    }
    for number in 0..300_u32 {
        let value = vec![number.to_be_bytes()[3]; usize::try_from(number * 7 % 3_000)?];
        create(operator, &format!("{STATE}/key-{number}"), &value).await?;
    }
    create(operator, &format!("{STATE}/large"), &vec![1; 512 * 1024]).await?;
    create(operator, &format!("{SCHEDULES}/main"), b"the slots before").await?;
    below(operator, STATE).await
}

/// A state that fits into one transaction beside an election.
async fn make_small_state(operator: &Client) -> Result<()> {
    for parent in [STATE, SCHEDULES] {
        client::make_path(operator, parent).await?;
    }
    for number in 0..3 {
        create(operator, &format!("{STATE}/{number}"), &[number]).await?;
    }
    create(operator, &format!("{SCHEDULES}/main"), b"slots").await
}

/// What a generation may do to the state that the one before cannot read.
async fn change_state(operator: &Client) -> Result<()> {
    for number in 0..100 {
        operator
            .delete(&format!("{STATE}/key-{number}"), None)
            .await?;
    }
    for number in 100..200 {
        operator
            .set_data(&format!("{STATE}/key-{number}"), b"in another format", None)
            .await?;
    }
    for number in 0..150 {
        create(operator, &format!("{STATE}/new-{number}"), b"new").await?;
    }
    operator
        .set_data(&format!("{STATE}/large"), b"", None)
        .await?;
    operator
        .set_data(&format!("{SCHEDULES}/main"), b"a slot is done", None)
        .await?;
    create(operator, &format!("{SCHEDULES}/other"), b"more").await
}

/// Which writes of a copy a proxy lets through: the connection breaks for good at the one of that number.
fn breaks_at(proxy: &Arc<Proxy>, prefix: &str, number: usize) {
    let (silent, prefix) = (Arc::downgrade(proxy), prefix.to_owned());
    let seen = AtomicUsize::new(0);
    proxy.lose(Loss::Request, move |request| {
        let writes = request.op == Op::Multi && request.contains(prefix.as_bytes());
        let breaks = writes && seen.fetch_add(1, Ordering::Relaxed) + 1 == number;
        if let Some(proxy) = silent.upgrade().filter(|_| breaks) {
            proxy.set(Traffic::Cut);
        }
        breaks
    });
}

fn bad_second() -> Plan {
    Plan {
        does: |it| if it == 2 { "wait" } else { "complete" },
        settings: rollout::Settings {
            healthy_after: Duration::from_hours(1),
            ..Plan::default().settings
        },
        ..Plan::default()
    }
}

async fn short() -> Result<Scene> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    Scene::on(cluster).await
}

async fn take_back(scene: &Scene) -> Result<()> {
    scene
        .order(|record, changed| {
            rollout::rollback(record, OnRollback::Restore, "it looks odd", changed)
                .map(|(record, _)| record)
        })
        .await
}

/// The copy is whole before the new generation acts, and after it was taken back the state is what it was: values, keys, the
/// records of the schedules.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_exactly_what_it_was_after_a_generation_is_taken_back() -> Result<()> {
    let scene = Scene::new().await?;
    let before = make_state(&scene.operator).await?;
    let a = Member::start(&scene.cluster, "state-a", &bad_second()).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene.deploy(2).await?;
    tells("state-a", "activated", |told| told.fields["term"] == 2).await?;
    let copied = tells("state-a", "state-copied", |_| true).await?;
    ensure!(copied.fields["generation"] == 2, "{copied:?}");
    ensure!(below(&scene.operator, &format!("{SAVED}/state")).await? == before);
    let (record, _) = scene.read().await?.context("no record")?;
    ensure!(record.copy == Some(StateCopy::Kept), "{record:?}");
    change_state(&scene.operator).await?;
    take_back(&scene).await?;
    let restored = tells("state-a", "state-restored", |_| true).await?;
    ensure!(restored.fields["generation"] == 1, "{restored:?}");
    ensure!(below(&scene.operator, STATE).await? == before);
    let schedules = below(&scene.operator, SCHEDULES).await?;
    ensure!(
        schedules == [("main".to_owned(), b"the slots before".to_vec())].into(),
        "{schedules:?}"
    );
    scene
        .until("the copy to go", |record| record.copy.is_none())
        .await?;
    ensure!(scene.operator.check_stat(SAVED).await?.is_none());
    a.leaves().await
}

/// A leader is lost in the middle of the copy. The one that follows does it anew, and only then does the generation act.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_interrupted_is_done_anew() -> Result<()> {
    let scene = short().await?;
    let before = make_state(&scene.operator).await?;
    let proxy = Arc::new(Proxy::start(scene.cluster.zookeeper.address(0)).await?);
    let a = Member::start(&scene.cluster, "copy-a", &bad_second()).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    a.leaves().await?;
    let servers = scene.cluster.servers().to_owned();
    let through = scene.cluster.through(proxy.connect_string());
    breaks_at(&proxy, &format!("{SAVED}/state/"), 2);
    let b = Member::start(&through, "copy-b", &bad_second()).await?;
    let scene = Scene {
        cluster: through.through(servers),
        operator: scene.operator,
    };
    scene.deploy(2).await?;
    let half = eventually("half a copy", PATIENCE, async || {
        let saved = below(&scene.operator, &format!("{SAVED}/state"))
            .await
            .ok()?;
        (!saved.is_empty()).then_some(saved)
    })
    .await?;
    ensure!(half.len() < before.len(), "it was not interrupted");
    // What is half a copy is not one, and is not what the state was either.
    let first = half.keys().next().context("half a copy")?;
    scene
        .operator
        .set_data(&format!("{SAVED}/state/{first}"), b"of another time", None)
        .await?;
    let (record, _) = scene.read().await?.context("no record")?;
    ensure!(record.copy.is_none(), "{record:?}");
    let c = Member::start(&scene.cluster, "copy-c", &bad_second()).await?;
    tells("copy-c", "state-copied", |_| true).await?;
    ensure!(below(&scene.operator, &format!("{SAVED}/state")).await? == before);
    tells("copy-c", "activated", |_| true).await?;
    ensure!(times("copy-", "state-copied") == 1 && times("copy-b", "activated") == 0);
    b.dies().await;
    c.leaves().await
}

/// The same in the middle of the restoration.
#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_that_was_interrupted_is_done_anew() -> Result<()> {
    let scene = short().await?;
    let before = make_state(&scene.operator).await?;
    let proxy = Arc::new(Proxy::start(scene.cluster.zookeeper.address(0)).await?);
    let a = Member::start(&scene.cluster, "restore-a", &bad_second()).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene.deploy(2).await?;
    tells("restore-a", "state-copied", |_| true).await?;
    tells("restore-a", "activated", |told| told.fields["term"] == 2).await?;
    change_state(&scene.operator).await?;
    let changed = below(&scene.operator, STATE).await?;
    a.leaves().await?;
    take_back(&scene).await?;
    let servers = scene.cluster.servers().to_owned();
    let through = scene.cluster.through(proxy.connect_string());
    breaks_at(&proxy, &format!("{STATE}/"), 3);
    let b = Member::start(&through, "restore-b", &bad_second()).await?;
    let scene = Scene {
        cluster: through.through(servers),
        operator: scene.operator,
    };
    let half = eventually("half a state", PATIENCE, async || {
        let state = below(&scene.operator, STATE).await.ok()?;
        (state != changed).then_some(state)
    })
    .await?;
    ensure!(half != before, "it was not interrupted");
    let (record, _) = scene.read().await?.context("no record")?;
    ensure!(record.restore, "{record:?}");
    let c = Member::start(&scene.cluster, "restore-c", &bad_second()).await?;
    tells("restore-c", "state-restored", |_| true).await?;
    ensure!(below(&scene.operator, STATE).await? == before);
    tells("restore-c", "activated", |_| true).await?;
    ensure!(times("restore-", "state-restored") == 1 && times("restore-b", "activated") == 0);
    b.dies().await;
    c.leaves().await
}

/// A copy that somebody has deleted is not taken for an empty state.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_gone_is_not_restored() -> Result<()> {
    let scene = Scene::new().await?;
    let plan = bad_second();
    client::make_path(&scene.operator, STATE).await?;
    create(&scene.operator, &format!("{STATE}/key"), b"value").await?;
    let a = Member::start(&scene.cluster, "gone-a", &plan).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene.deploy(2).await?;
    tells("gone-a", "activated", |told| told.fields["term"] == 2).await?;
    client::delete_all(&scene.operator, SAVED).await?;
    take_back(&scene).await?;
    let told = tells("gone-a", "election-error", |_| true).await?;
    ensure!(
        told.message
            .contains(&format!("node {SAVED}/state is there again")),
        "{told:?}"
    );
    ensure!(below(&scene.operator, STATE).await?.len() == 1);
    for path in ["", "/state", "/schedules"] {
        create(&scene.operator, &format!("{SAVED}{path}"), b"").await?;
    }
    tells("gone-a", "state-restored", |_| true).await?;
    ensure!(below(&scene.operator, STATE).await?.is_empty());
    a.leaves().await
}

/// A leader whose write was done, and that never heard so, reads that it was, and says it once.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_known_by_what_is_read() -> Result<()> {
    let scene = Scene::new().await?;
    let proxy = Arc::new(Proxy::start(scene.cluster.zookeeper.address(0)).await?);
    let servers = scene.cluster.servers().to_owned();
    let through = scene.cluster.through(proxy.connect_string());
    let a = Member::start(&through, "reply-a", &Plan::default()).await?;
    let scene = Scene {
        cluster: through.through(servers),
        operator: scene.operator,
    };
    proxy.lose_reply_to(|request| request.op == Op::Multi && request.contains(br#""healthy""#));
    scene.deploy(1).await?;
    proxy.replies_lost(1).await?;
    scene.healthy(1).await?;
    tells("reply-a", "generation-healthy", |_| true).await?;
    let (_, version) = scene.read().await?.context("no record")?;
    ensure!(version == 1, "it was written {version} times");
    ensure!(scene.ended().await?.is_empty());
    a.leaves().await
}

/// A small state is copied by the transaction of the election, so that nothing is left to be done before the plugin runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_copy_is_part_of_the_election() -> Result<()> {
    let scene = Scene::new().await?;
    make_small_state(&scene.operator).await?;
    let before = below(&scene.operator, STATE).await?;
    let a = Member::start(&scene.cluster, "with-a", &bad_second()).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene.deploy(2).await?;
    let led = tells("with-a", "activated", |told| told.fields["term"] == 2).await?;
    ensure!(times("with-a", "state-copied") == 1);
    let (_, copied) = scene.operator.get_data(SAVED).await?;
    let (_, last) = scene.operator.get_data(&format!("{SAVED}/state/2")).await?;
    let zxid = led.fields["fencing_token"].as_i64();
    ensure!(
        zxid == Some(copied.czxid) && last.czxid == copied.czxid,
        "{led:?} is not of the transaction {}",
        copied.czxid
    );
    let (record, version) = scene.read().await?.context("no record")?;
    ensure!(record.copy == Some(StateCopy::Kept), "{record:?}");
    ensure!(version == 4, "the record was written {version} times");
    ensure!(below(&scene.operator, &format!("{SAVED}/state")).await? == before);
    a.leaves().await
}

/// Whoever never heard that it was elected, and that the state was copied with that, finds it out.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_copy_whose_answer_was_lost_is_known_by_what_is_read() -> Result<()> {
    let scene = Scene::new().await?;
    make_small_state(&scene.operator).await?;
    let before = below(&scene.operator, STATE).await?;
    let proxy = Arc::new(Proxy::start(scene.cluster.zookeeper.address(0)).await?);
    let servers = scene.cluster.servers().to_owned();
    let through = scene.cluster.through(proxy.connect_string());
    let a = Member::start(&through, "small-a", &bad_second()).await?;
    let scene = Scene {
        cluster: through.through(servers),
        operator: scene.operator,
    };
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    let saved = format!("{SAVED}/");
    proxy.lose_reply_to(move |request| {
        request.op == Op::Multi && request.contains(saved.as_bytes())
    });
    scene.deploy(2).await?;
    proxy.replies_lost(1).await?;
    tells("small-a", "activated", |told| told.fields["term"] == 2).await?;
    let (record, version) = scene.read().await?.context("no record")?;
    ensure!(record.copy == Some(StateCopy::Kept), "{record:?}");
    ensure!(version == 4, "the record was written {version} times");
    ensure!(below(&scene.operator, &format!("{SAVED}/state")).await? == before);
    scene
        .operator
        .set_data(&format!("{STATE}/0"), b"changed", None)
        .await?;
    take_back(&scene).await?;
    tells("small-a", "state-restored", |_| true).await?;
    ensure!(below(&scene.operator, STATE).await? == before);
    a.leaves().await
}

/// What somebody has left where the copy goes is in the way of the election, and holds up neither that nor the copy.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_of_a_small_copy_is_made_part_of_it() -> Result<()> {
    let scene = Scene::new().await?;
    make_small_state(&scene.operator).await?;
    let before = below(&scene.operator, STATE).await?;
    let saved = format!("{SAVED}/state");
    client::make_path(&scene.operator, &saved).await?;
    create(&scene.operator, &format!("{saved}/old"), b"of another time").await?;
    let a = Member::start(&scene.cluster, "way-a", &bad_second()).await?;
    scene.deploy(1).await?;
    scene.healthy(1).await?;
    scene.deploy(2).await?;
    tells("way-a", "activated", |told| told.fields["term"] == 2).await?;
    ensure!(times("way-a", "state-copied") == 1);
    ensure!(below(&scene.operator, &saved).await? == before);
    a.leaves().await
}
