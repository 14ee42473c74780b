//! A hundred manifests that change at once: a host takes them a few at a time, and the other tasks and the lease do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use soloist_coordination::artefacts::Artefacts;
use soloist_core::digest::Digest;
use soloist_tests::cluster::Cluster;
use soloist_tests::deployment::{Deployment, ROOT, Signer};
use soloist_tests::history::{History, Record};
use soloist_tests::host::Host;
use soloist_tests::proxy::{Loss, Op, Proxy, Traffic};
use soloist_tests::session::OwnSession;
use soloist_tests::{build, eventually};

const TASKS: usize = 100;
/// Compiling two hundred plugins takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// As `LOADS_MAX` and `JUDGEMENTS_MAX` of the deployer.
const LOADS_MAX: usize = 2;
const JUDGEMENTS_MAX: usize = 4;

/// A plugin that completes at once, and is like no other.
fn plugin(number: usize) -> Result<Vec<u8>> {
    Ok(wat::parse_str(format!(
        r#"(module (func (export "on_elected")) (func (export "on_demoted")) (@custom "number" "{number}"))"#
    ))?)
}

/// How many processes the host has for compiling plugins.
fn compiling(host: u32) -> usize {
    let children = std::fs::read_to_string(format!("/proc/{host}/task/{host}/children"));
    let mut all = children.unwrap_or_default();
    if let Ok(threads) = std::fs::read_dir(format!("/proc/{host}/task")) {
        all = threads
            .flatten()
            .filter_map(|it| std::fs::read_to_string(it.path().join("children")).ok())
            .collect();
    }
    all.split_whitespace().count()
}

/// The least of its lease that the plugin of the other task has had left, of what it has said in these records.
fn least_left(records: &[Record]) -> Option<Duration> {
    let left = records.iter().filter(|it| it.is_of("plugin-log", "own"));
    let left = left.filter_map(|it| {
        let left = it.event()?.line.get("fields")?.get("left_us")?.as_str()?;
        left.parse().ok().map(Duration::from_micros)
    });
    left.min()
}

async fn say_so(history: &History, from: usize, event: &str, generation: u64) -> Result<()> {
    let what = format!("{TASKS} hosts to say {event} of generation {generation}");
    eventually(&what, PATIENCE, async || {
        let records = history.since(from);
        let such = records.iter().filter(|it| {
            it.is(event)
                && it
                    .event()
                    .is_some_and(|it| it.line["generation"] == generation)
        });
        (such.count() >= TASKS).then_some(())
    })
    .await
}

/// A host that takes a hundred tasks, beside one of its own, and who deploys them.
struct Scene {
    cluster: Cluster,
    host: Host,
    /// Between the host and the ensemble.
    proxy: Proxy,
    /// How many nodes of generations the host has asked for.
    asked: Arc<AtomicUsize>,
    artefacts: Artefacts,
    tasks: Vec<Deployment>,
    signer: Signer,
    _own: OwnSession,
}

impl Scene {
    async fn start() -> Result<Self> {
        let cluster = Cluster::start().await?;
        let (effects, signer) = (build::artifacts()?.guest("effects"), Signer::new()?);
        let effects = effects.display().to_string();
        let kept = cluster.file("a.kept", "")?.with_extension("dir");
        std::fs::create_dir_all(&kept)?;
        let config = format!(
            "[[task]]\nname = \"own\"\nplugin = {effects:?}\nconfig = {{ by = \"waiting\" }}\nallow.state = true\n\
             [deploy]\nenabled = true\nkeys = [{:?}]\ntasks = [\"many-*\"]\nsources = [\"ensemble:\"]\n\
             directory = {:?}\n",
            signer.key,
            kept.display().to_string()
        );
        let file = cluster.file("a.toml", config)?;
        let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
        let asked = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&asked);
        // Nothing is lost: the requests are counted. 4 is `getData`.
        proxy.lose(Loss::Request, move |request| {
            if request.op == Op::Other(4) && request.contains(b"/generations/") {
                counts.fetch_add(1, Ordering::Relaxed);
            }
            false
        });
        let command = cluster.host_at(&proxy.connect_string(), "a", &file)?;
        let mut host = command.start(&cluster.history)?;
        host.event("plugin-log").await?;
        let (client, own) = (
            cluster.client().await?,
            OwnSession::begin(&cluster, "operator").await?,
        );
        let task = |number| Deployment::new(client.clone(), &format!("many-{number}"), Vec::new());
        Ok(Self {
            host,
            proxy,
            asked,
            artefacts: Artefacts::of(&own.session, ROOT),
            tasks: (0..TASKS).map(task).collect(),
            signer,
            _own: own,
            cluster,
        })
    }

    /// The next generation of each task, with its signature: what changes at once is written beforehand.
    async fn next(&self, first: usize) -> Result<Vec<(String, String)>> {
        let mut texts = Vec::new();
        for (number, task) in self.tasks.iter().enumerate() {
            let bytes = plugin(first + number)?;
            let digest = Digest::of(&bytes);
            self.artefacts.put(digest, &bytes).await?;
            let name = format!("{}.wasm", first + number);
            let file = self.cluster.file(&name, &bytes)?;
            let artefact = json!({ "sha256": digest.to_string(), "source": "ensemble:" });
            let rollout = json!({ "artefact": artefact, "healthy_after": "100ms" });
            let text = task.text(&file, json!({}), rollout).await?;
            let signature = self.signer.sign(&text)?;
            texts.push((text, signature));
        }
        Ok(texts)
    }

    async fn deploy(&self, texts: Vec<(String, String)>) -> Result<()> {
        let all = self.tasks.iter().zip(texts);
        let deployed = all.map(async |(task, (text, signature))| {
            task.deploy_signed(&text, vec![signature]).await.map(drop)
        });
        try_join_all(deployed).await.map(drop)
    }

    /// Lets no answer reach the host for a second: it asks for no more manifests than it judges at once.
    async fn judges_few_at_once(&self) -> Result<()> {
        let mark = self.asked.load(Ordering::Relaxed);
        let asks = eventually("the host to judge", PATIENCE, async || {
            (self.asked.load(Ordering::Relaxed) > mark + 8).then_some(())
        });
        asks.await?;
        self.proxy.set(Traffic::LostToClient);
        let (asked, began) = (self.asked.load(Ordering::Relaxed), Instant::now());
        while began.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let more = self.asked.load(Ordering::Relaxed) - asked;
            ensure!(
                more <= JUDGEMENTS_MAX,
                "{more} manifests are judged at once"
            );
        }
        self.proxy.set(Traffic::Passes);
        Ok(())
    }
}

/// Looks again and again how many plugins a host compiles, until it is told that it is over. Gives the most.
fn most_compiling(host: u32, is_over: Arc<AtomicBool>) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut most = 0;
        while !is_over.load(Ordering::Relaxed) {
            most = most.max(compiling(host));
            std::thread::sleep(Duration::from_millis(2));
        }
        most
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_manifests_that_change_at_once_do_not_stampede() -> Result<()> {
    let mut scene = Scene::start().await?;
    let history = scene.cluster.history.clone();
    scene.deploy(scene.next(0).await?).await?;
    say_so(&history, 0, "generation-healthy", 1).await?;
    let second = scene.next(TASKS).await?;
    let calm = history.len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let normal = least_left(&history.since(calm)).context("the other task is still")?;

    let from = history.len();
    let is_over = Arc::new(AtomicBool::new(false));
    let compiled = most_compiling(scene.host.pid(), Arc::clone(&is_over));
    scene.deploy(second).await?;
    scene.judges_few_at_once().await?;
    let ends = say_so(&history, from, "generation-healthy", 2).await;
    is_over.store(true, Ordering::Relaxed);
    let most = compiled
        .join()
        .map_err(|_| anyhow::anyhow!("it panicked"))?;
    ends?;
    ensure!(most > 0, "nothing was compiled");
    ensure!(most <= LOADS_MAX, "{most} plugins are compiled at once");
    let records = history.since(from);
    let left = least_left(&records).context("the other task is still")?;
    // For a second nothing was heard, and a reconnection follows.
    ensure!(
        left + Duration::from_secs(4) > normal,
        "{left:?} of the lease were left, and {normal:?} before"
    );
    let ends = records.iter().any(|it| it.is_of("draining", "own"));
    ensure!(!ends, "the other task was touched");
    let ended = scene.host.terminate().await?;
    ensure!(ended.success(), "{}", scene.host.errors());
    scene.cluster.verdict().check()
}
