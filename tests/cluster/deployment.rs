//! Tasks from `soloist deploy` to the plugin's first statement and back, with real hosts and the commands of operators.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::{Answer, Cluster};
use soloist_tests::deployment::{Deployment, Signer};
use soloist_tests::history::Record;
use soloist_tests::host::Host;
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::Client;

mod failing;

const COUNT: &str = "count";

/// Hosts that take the task from whoever has the key, and an operator who has it.
struct Scene {
    cluster: Cluster,
    /// Before the cluster: hosts are to be dropped first.
    hosts: Vec<Host>,
    deployed: Deployment,
    client: Client,
}

impl Scene {
    async fn start(ids: &[&str]) -> Result<Self> {
        Self::on(Cluster::start().await?, ids).await
    }

    async fn on(cluster: Cluster, ids: &[&str]) -> Result<Self> {
        let client = cluster.client().await?;
        let signers = vec![Signer::new()?];
        let deployed = Deployment::new(cluster.client().await?, COUNT, signers);
        let mut scene = Self {
            cluster,
            hosts: Vec::new(),
            deployed,
            client,
        };
        for id in ids {
            scene.hosts.push(scene.host(id)?);
        }
        Ok(scene)
    }

    /// Starts a host that takes the task, and has fetched nothing before.
    fn host(&self, id: &str) -> Result<Host> {
        let kept = self.cluster.file(&format!("{id}.kept"), "")?;
        let config = self
            .deployed
            .taken_by(&kept.with_extension("dir"), "state = true")?;
        let file = self.cluster.file(&format!("{id}.toml"), config)?;
        let command = self.cluster.host_of(id, &file)?;
        let command = command.env("XDG_CACHE_HOME", kept.with_extension("cache"));
        command.start(&self.cluster.history)
    }

    async fn soloist(&self, args: &[&str]) -> Result<Answer> {
        self.cluster.operator(&[], args).await
    }

    async fn succeeds(&self, args: &[&str]) -> Result<String> {
        let answer = self.soloist(args).await?;
        ensure!(answer.code == Some(0), "{args:?}: {answer:?}");
        Ok(answer.stdout)
    }

    /// Writes the text of a generation of this plugin, a guest or the path of a file, signs it, and deploys it with these flags.
    async fn deploy(&self, name: &str, plugin: &str, keys: &str, flags: &[&str]) -> Result<Answer> {
        let plugin: PathBuf = match plugin {
            path if path.starts_with('/') => path.into(),
            guest => build::artifacts()?.guest(guest),
        };
        let plugin = plugin.display().to_string();
        let restart = if keys.contains("restart") {
            ""
        } else {
            "restart = { max_restarts = 0 }"
        };
        let toml = format!(
            "healthy_after = \"1s\"\n[[task]]\nname = \"{COUNT}\"\nplugin = {plugin:?}\nallow.state = true\n\
             {restart}\n{keys}\n"
        );
        let file = |name: &str, text: &str| -> Result<String> {
            Ok(self.cluster.file(name, text)?.display().to_string())
        };
        let toml = file(&format!("{name}.toml"), &toml)?;
        let text = file(&format!("{name}.json"), "")?;
        self.succeeds(&["deploy", &toml, "--out", &text]).await?;
        let signature = self.deployed.sign(&std::fs::read_to_string(&text)?)?;
        let signature = file(&format!("{name}.minisig"), &signature)?;
        let deploy = [
            "deploy",
            &plugin,
            "--manifest",
            &text,
            "--signature",
            &signature,
        ];
        self.soloist(&[&deploy, flags].concat()).await
    }

    /// What `soloist tasks` says of the task.
    async fn listed(&self) -> Result<Value> {
        let list: Value = serde_json::from_str(&self.succeeds(&["tasks", "--json"]).await?)?;
        let tasks = list["tasks"].as_array().context("no tasks")?;
        let task = tasks.iter().find(|task| task["task"] == COUNT);
        task.cloned().context("the task is not listed")
    }

    /// The number that the plugin has counted to, as it is kept.
    async fn count(&self) -> Result<u64> {
        let path = format!("/soloist/tasks/{COUNT}/state/count");
        let (data, _) = self.client.get_data(&path).await?;
        Ok(serde_json::from_slice(&data)?)
    }

    /// Waits until the plugin has said what this looks for, from that position of the history on.
    async fn said(&self, from: usize, what: &str) -> Result<Record> {
        let says = |record: &Record| {
            record
                .event()
                .is_some_and(|event| event.name == "plugin-log" && event.message.contains(what))
        };
        self.cluster
            .history
            .wait_for(from, what, PATIENCE, says)
            .await
    }

    async fn end(mut self) -> Result<()> {
        for host in &mut self.hosts {
            ensure!(host.terminate().await?.success(), "{}", host.errors());
        }
        client::close(self.client).await;
        self.deployed.close().await;
        self.cluster.verdict().check()
    }
}

const FAST: &str = "config = { interval = \"20ms\" }";

/// One command, and three hosts that knew nothing of the task run it, one of them; the plugin speaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_task_runs_on_one_of_three_hosts() -> Result<()> {
    let scene = Scene::start(&["a", "b", "c"]).await?;
    let answer = scene.deploy("first", "counter", FAST, &["--json"]).await?;
    let answer = answer.json()?;
    let leader = answer["running"]["host"].as_str().context("no leader")?;
    ensure!(
        answer["generation"] == 1 && answer["running"]["generation"] == 1,
        "{answer}"
    );
    let said = scene.said(0, "counts 1 ").await?;
    ensure!(said.host == leader, "{} and not {leader} speaks", said.host);
    let all_ready = eventually("all hosts to be ready", PATIENCE, async || {
        let listed = scene.listed().await.ok()?;
        (listed["ready"] == 3 && listed["hosts"] == 3).then_some(listed)
    });
    let listed = all_ready.await?;
    ensure!(
        listed["leader"] == leader && listed["generation"] == 1,
        "{listed}"
    );
    let shown = scene.succeeds(&["tasks", "show", COUNT]).await?;
    ensure!(
        shown.contains("1 signatures") && shown.matches(" ready ").count() == 3,
        "{shown}"
    );
    scene.end().await
}

/// The second generation goes on with the state of the first, and is healthy after a while.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_with_the_state() -> Result<()> {
    upgrade(Scene::start(&["a", "b"]).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_with_the_state_in_the_embedded_ensemble() -> Result<()> {
    upgrade(Scene::on(Cluster::embedded().await?, &["a", "b"]).await?).await
}

async fn upgrade(scene: Scene) -> Result<()> {
    let healthy = ["--wait-for", "healthy"];
    let first = scene.deploy("first", "counter", FAST, &healthy).await?;
    ensure!(
        first.code == Some(0) && first.stdout.contains("healthy"),
        "{first:?}"
    );
    let before = scene.count().await?;
    let slower = "config = { interval = \"21ms\" }";
    let second = scene.deploy("second", "counter", slower, &healthy).await?;
    ensure!(
        second.code == Some(0) && second.stdout.contains("generation 2"),
        "{second:?}"
    );
    let after = scene.count().await?;
    ensure!(after > before, "{after} after {before}");
    let listed = scene.listed().await?;
    ensure!(
        listed["generation"] == 2 && listed["stage"] == "healthy",
        "{listed}"
    );
    ensure!(listed["back"] == 1 && listed["runs"] == 2, "{listed}");
    let diff = scene.succeeds(&["diff", COUNT]).await?;
    ensure!(diff.contains("+ task.config.interval = \"21ms\""), "{diff}");
    scene.end().await
}

/// While a task is paused nobody runs it; whoever takes a generation back sees the one before run again; what is undeployed
/// stops, and its state stays until it is purged.
#[tokio::test(flavor = "multi_thread")]
async fn orders_are_followed_by_hosts() -> Result<()> {
    let scene = Scene::start(&["a", "b"]).await?;
    let healthy = ["--wait-for", "healthy"];
    let first = scene.deploy("first", "counter", FAST, &healthy).await?;
    ensure!(first.code == Some(0), "{first:?}");
    scene
        .succeeds(&["pause", COUNT, "--reason", "a look"])
        .await?;
    let paused = scene.count().await?;
    let listed = scene.listed().await?;
    ensure!(
        listed["leader"] == Value::Null && listed["paused"] == "a look",
        "{listed}"
    );
    let resumed = scene.cluster.history.len();
    scene.succeeds(&["resume", COUNT]).await?;
    let counts = format!("counts {} ", paused + 1);
    scene.said(resumed, &counts).await?;

    let slower = "config = { interval = \"21ms\" }";
    let second = scene.deploy("second", "counter", slower, &[]).await?;
    ensure!(second.code == Some(0), "{second:?}");
    let told = scene
        .succeeds(&["rollback", COUNT, "--reason", "odd"])
        .await?;
    ensure!(
        told.contains("generation 1 runs again") && told.contains("runs generation 1 in term"),
        "{told}"
    );
    let listed = scene.listed().await?;
    ensure!(
        listed["stage"] == "rolled-back" && listed["runs"] == 1,
        "{listed}"
    );

    scene.succeeds(&["undeploy", COUNT]).await?;
    let last = scene.count().await?;
    let listed = scene.listed().await?;
    ensure!(
        listed["stage"] == "undeployed" && listed["leader"] == Value::Null,
        "{listed}"
    );
    // Its numbers go on, and its state.
    let from = scene.cluster.history.len();
    let third = scene.deploy("third", "counter", FAST, &[]).await?;
    ensure!(third.code == Some(0), "{third:?}");
    scene.said(from, &format!("counts {} ", last + 1)).await?;
    let told = scene
        .succeeds(&["undeploy", COUNT, "--purge-state", "--yes"])
        .await?;
    ensure!(told.contains("the state of count is deleted"), "{told}");
    let told = scene.succeeds(&["forget", COUNT, "--yes"]).await?;
    ensure!(told.contains("--generation 4 or higher"), "{told}");
    // Hosts remember what they have accepted.
    let from = scene.cluster.history.len();
    let old = scene
        .deploy("old", "counter", FAST, &["--timeout", "10s"])
        .await?;
    ensure!(
        old.code == Some(4) && old.stderr.contains("generation 1 is old"),
        "{old:?}"
    );
    ensure!(
        scene
            .cluster
            .history
            .since(from)
            .iter()
            .all(|record| !record.is_of("activated", COUNT)),
        "an old generation ran"
    );
    scene.end().await
}
