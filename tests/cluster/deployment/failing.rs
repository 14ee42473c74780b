//! Generations that fail, each in its way, and are taken back.

use super::*;
use soloist_coordination::artefacts::Artefacts;
use soloist_core::digest::Digest;
use soloist_tests::deployment::ROOT;
use soloist_tests::session::OwnSession;

const HEALTHY: [&str; 2] = ["--wait-for", "healthy"];

impl Scene {
    /// Two hosts that run the first generation, which is healthy.
    async fn healthy() -> Result<Self> {
        let scene = Self::start(&["a", "b"]).await?;
        let first = scene.deploy("first", "counter", FAST, &HEALTHY).await?;
        ensure!(first.code == Some(0), "{first:?}");
        Ok(scene)
    }

    /// Deploys a generation of this plugin that does not become healthy. Whoever deploys it is told, with these words, and the
    /// first one runs again.
    async fn is_taken_back(&self, plugin: &str, keys: &str, words: &[&str]) -> Result<()> {
        let from = self.cluster.history.len();
        let second = self.deploy("bad", plugin, keys, &HEALTHY).await?;
        ensure!(second.code == Some(1), "{second:?}");
        ensure!(
            words.iter().all(|word| second.stderr.contains(word)),
            "{second:?}"
        );
        let back = |record: &Record| record.is_of("rolled-back", COUNT);
        let history = &self.cluster.history;
        history
            .wait_for(from, "it to be taken back", PATIENCE, back)
            .await?;
        self.said(history.len(), "counts ").await?;
        let listed = self.listed().await?;
        ensure!(
            listed["generation"] == 1 && listed["stage"] == "rolled-back",
            "{listed}"
        );
        let records = history.since(from);
        let times = records.iter().filter(|record| back(record)).count();
        ensure!(times == 1, "it was taken back {times} times");
        Ok(())
    }
}

/// What a plugin needs of grants that a host gives nobody here.
const NONE: &str = "allow.http = []\nallow.tcp = []";

/// A generation that fails is taken back with the state from before, and whoever has deployed it is told why.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_generation_is_taken_back_with_its_state() -> Result<()> {
    let scene = Scene::start(&["a", "b"]).await?;
    let first = scene
        .deploy("first", "counter", FAST, &["--wait-for", "healthy"])
        .await?;
    ensure!(first.code == Some(0), "{first:?}");
    // It writes a key, and panics.
    let bad = "config = { do = \"state-large\" }\nallow.http = []\nallow.tcp = []";
    let second = scene
        .deploy("bad", "misbehave", bad, &["--wait-for", "healthy"])
        .await?;
    let words = ["generation 2 was taken back", "panic"];
    ensure!(second.code == Some(1), "{second:?}");
    ensure!(
        words.iter().all(|word| second.stderr.contains(word)),
        "{second:?}"
    );
    let from = scene.cluster.history.len();
    scene.said(from, "counts ").await?;
    let listed = scene.listed().await?;
    ensure!(
        listed["generation"] == 1 && listed["stage"] == "rolled-back",
        "{listed}"
    );
    let keys = scene
        .client
        .list_children(&format!("/soloist/tasks/{COUNT}/state"))
        .await?;
    ensure!(keys == ["count"], "{keys:?}");
    let shown = scene.succeeds(&["tasks", "show", COUNT]).await?;
    ensure!(
        shown.contains("failure       generation 2: panic"),
        "{shown}"
    );
    scene.end().await
}

/// It neither returns nor calls the host nor waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_never_starts_is_taken_back() -> Result<()> {
    let scene = Scene::healthy().await?;
    let computes =
        r#"(module (func (export "on_elected") (loop (br 0))) (func (export "on_demoted")))"#;
    let plugin = scene
        .cluster
        .file("computes.wasm", wat::parse_str(computes)?)?;
    let plugin = plugin.display().to_string();
    let never = "limits = { start_timeout = \"300ms\" }";
    let words = ["generation 2 was taken back", "start-timeout"];
    scene.is_taken_back(&plugin, never, &words).await?;
    scene.end().await
}

/// It says something, and computes from then on: whoever waits until it is healthy waits in vain, and takes it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_says_something_and_then_only_computes_is_not_healthy() -> Result<()> {
    let scene = Scene::healthy().await?;
    let from = scene.cluster.history.len();
    let spins = format!("config = {{ do = \"print-and-compute\" }}\n{NONE}");
    let flags = ["--wait-for", "healthy", "--timeout", "15s"];
    let second = scene.deploy("spins", "misbehave", &spins, &flags).await?;
    ensure!(second.code == Some(4), "{second:?}");
    scene.said(from, "first").await?;
    let listed = scene.listed().await?;
    ensure!(
        listed["generation"] == 2 && listed["stage"] == "probation",
        "{listed}"
    );
    let from = scene.cluster.history.len();
    scene.succeeds(&["rollback", COUNT]).await?;
    scene.said(from, "counts ").await?;
    scene.end().await
}

/// Each run lasts long enough to begin the host's counts anew, and not long enough to be healthy: that does not go on for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_fails_again_and_again_after_a_while_is_taken_back() -> Result<()> {
    let scene = Scene::healthy().await?;
    let from = scene.cluster.history.len();
    let later = format!(
        "config = {{ do = \"later\" }}\n\
         restart = {{ initial = \"10ms\", max = \"10ms\", healthy_after = \"100ms\", max_restarts = 2 }}\n{NONE}"
    );
    scene
        .is_taken_back(
            "misbehave",
            &later,
            &["generation 2 was taken back", "went wrong later"],
        )
        .await?;
    let records = scene.cluster.history.since(from);
    let entered = |record: &&Record| {
        let event = record.event();
        event.is_some_and(|it| it.name == "plugin-log" && it.message.contains("entered"))
    };
    let runs: Vec<_> = records.iter().filter(entered).collect();
    ensure!(runs.len() == 3, "it ran {} times", runs.len());
    let terms: Vec<_> = runs
        .iter()
        .filter_map(|it| it.event()?.fencing_token)
        .collect();
    ensure!(terms.iter().all(|term| *term == terms[0]), "{terms:?}");
    scene.end().await
}

/// What it has made of the state, the one before could not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_spoils_the_state_is_taken_back_with_it() -> Result<()> {
    let scene = Scene::healthy().await?;
    let before = scene.count().await?;
    let spoils = format!("config = {{ do = \"spoil\" }}\n{NONE}");
    scene
        .is_taken_back(
            "misbehave",
            &spoils,
            &["generation 2 was taken back", "another format"],
        )
        .await?;
    let after = scene.count().await?;
    ensure!(after > before, "{after} after {before}");
    scene.end().await
}

/// Hosts keep the generation before prepared, so that it can be gone back to though its artefact is gone. A host that has never
/// had it says why it does not run it, and does once the artefact is there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_gone_back_to_though_its_artefact_is_gone() -> Result<()> {
    let mut scene = Scene::healthy().await?;
    let plugin = std::fs::read(build::artifacts()?.guest("counter"))?;
    let digest = Digest::of(&plugin);
    let artefact = format!("{ROOT}/artefacts/{digest}");
    ensure!(scene.client.check_stat(&artefact).await?.is_some());
    let waits = format!("config = {{ do = \"wait\" }}\n{NONE}");
    let second = scene
        .deploy("second", "misbehave", &waits, &HEALTHY)
        .await?;
    ensure!(second.code == Some(0), "{second:?}");
    client::delete_all(&scene.client, &artefact).await?;
    let from = scene.cluster.history.len();
    scene
        .succeeds(&["rollback", COUNT, "--reason", "odd"])
        .await?;
    scene.said(from, "counts ").await?;

    let third = scene.deploy("third", "misbehave", &waits, &HEALTHY).await?;
    ensure!(third.code == Some(0), "{third:?}");
    let c = scene.host("c")?;
    for mut host in std::mem::replace(&mut scene.hosts, vec![c]) {
        ensure!(host.terminate().await?.success(), "{}", host.errors());
    }
    let runs = eventually("the host that is left to run it", PATIENCE, async || {
        let listed = scene.listed().await.ok()?;
        (listed["leader"] == "c").then_some(())
    });
    runs.await?;
    let rollback = ["rollback", COUNT, "--reason", "odd", "--no-wait"];
    scene.succeeds(&rollback).await?;
    let shown = eventually("the host to say why", PATIENCE, async || {
        let shown = scene.succeeds(&["tasks", "show", COUNT]).await.ok()?;
        shown.contains(&digest.to_string()).then_some(shown)
    });
    let shown = shown.await?;
    let line = shown
        .lines()
        .find(|line| line.contains(" c ") || line.starts_with("c "));
    ensure!(
        line.is_some_and(|line| line.contains("not fetched")),
        "{shown}"
    );
    let from = scene.cluster.history.len();
    let own = OwnSession::begin(&scene.cluster, "operator").await?;
    Artefacts::of(&own.session, ROOT)
        .put(digest, &plugin)
        .await?;
    scene.said(from, "counts ").await?;
    scene.end().await
}
