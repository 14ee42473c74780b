//! A hundred manifests that change at once: a host takes them a few at a time, and the other tasks and the lease do not notice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use soloist_coordination::artefacts::Artefacts;
use soloist_core::digest::Digest;
use soloist_tests::cluster::Cluster;
use soloist_tests::deployment::{Deployment, ROOT, Signer};
use soloist_tests::history::{History, Record};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_manifests_that_change_at_once_do_not_stampede() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let effects = build::artifacts()?.guest("effects");
    let kept = cluster.file("a.kept", "")?.with_extension("dir");
    std::fs::create_dir_all(&kept)?;
    let signer = Signer::new()?;
    let config = format!(
        "[[task]]\nname = \"own\"\nplugin = {effects:?}\nconfig = {{ by = \"waiting\" }}\nallow.state = true\n\
         [deploy]\nenabled = true\nkeys = [{:?}]\ntasks = [\"many-*\"]\nsources = [\"ensemble:\"]\ndirectory = {:?}\n",
        signer.key,
        kept.display().to_string()
    );
    let file = cluster.file("a.toml", config)?;
    let proxy = Arc::new(Proxy::start(cluster.zookeeper.address(0)).await?);
    let judged = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&judged);
    proxy.lose(Loss::Request, move |request| {
        // getData of the node of a generation.
        let reads = request.op == Op::Other(4);
        if reads && request.contains(b"/generations/") {
            counts.fetch_add(1, Ordering::Relaxed);
        }
        false
    });
    let mut host = cluster
        .host_at(&proxy.connect_string(), "a", &file)?
        .start(&cluster.history)?;
    host.event("plugin-log").await?;

    let own = OwnSession::begin(&cluster, "operator").await?;
    let artefacts = Artefacts::of(&own.session, ROOT);
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        let name = format!("many-{number}");
        tasks.push(Deployment::new(client.clone(), &name, Vec::new()));
    }
    // Texts are signed beforehand, so that what changes does so at once.
    let next = async |first: usize| -> Result<Vec<(String, Vec<String>)>> {
        let mut texts = Vec::new();
        for (number, task) in tasks.iter().enumerate() {
            let bytes = plugin(first + number)?;
            let digest = Digest::of(&bytes);
            artefacts.put(digest, &bytes).await?;
            let file = cluster.file(&format!("{}.wasm", first + number), &bytes)?;
            let artefact = json!({ "sha256": digest.to_string(), "source": "ensemble:" });
            let rollout = json!({ "artefact": artefact, "healthy_after": "100ms" });
            let text = task.text(Path::new(&file), json!({}), rollout).await?;
            let signature = signer.sign(&text)?;
            texts.push((text, vec![signature]));
        }
        Ok(texts)
    };
    let deploy = async |texts: Vec<(String, Vec<String>)>| -> Result<()> {
        let all = tasks.iter().zip(texts);
        let deployed = all.map(|(task, (text, signed))| async move {
            task.deploy_signed(&text, signed).await.map(drop)
        });
        try_join_all(deployed).await.map(drop)
    };

    let first = next(0).await?;
    deploy(first).await?;
    say_so(&cluster.history, 0, "generation-healthy", 1).await?;
    let second = next(TASKS).await?;
    let calm = cluster.history.len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let normal = least_left(&cluster.history.since(calm)).context("the other task is still")?;

    let from = cluster.history.len();
    let (pid, is_over) = (host.pid(), Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&is_over);
    let sampled = std::thread::spawn(move || {
        let mut most = 0;
        while !over.load(Ordering::Relaxed) {
            most = most.max(compiling(pid));
            std::thread::sleep(Duration::from_millis(2));
        }
        most
    });
    deploy(second).await?;
    // While no answer reaches the host, it asks for no more than it judges at once.
    let mark = judged.load(Ordering::Relaxed);
    let asks = eventually("the host to judge", PATIENCE, async || {
        (judged.load(Ordering::Relaxed) > mark + 8).then_some(())
    });
    asks.await?;
    proxy.set(Traffic::LostToClient);
    let (asked, began) = (judged.load(Ordering::Relaxed), Instant::now());
    while began.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let more = judged.load(Ordering::Relaxed) - asked;
        ensure!(
            more <= JUDGEMENTS_MAX,
            "{more} manifests are judged at once"
        );
    }
    proxy.set(Traffic::Passes);
    let ends = say_so(&cluster.history, from, "generation-healthy", 2).await;
    is_over.store(true, Ordering::Relaxed);
    let most = sampled.join().map_err(|_| anyhow::anyhow!("it panicked"))?;
    ends?;
    ensure!(most > 0, "nothing was compiled");
    ensure!(most <= LOADS_MAX, "{most} plugins are compiled at once");
    let records = cluster.history.since(from);
    let left = least_left(&records).context("the other task is still")?;
    // For a second nothing was heard, and a reconnection follows.
    ensure!(
        left + Duration::from_secs(4) > normal,
        "{left:?} of the lease were left, and {normal:?} before"
    );
    ensure!(
        !records.iter().any(|it| it.is_of("draining", "own")),
        "the other task was touched"
    );
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    cluster.verdict().check()
}
