//! A private ZooKeeper with hosts that contend on it, and the history of all of them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use zookeeper_client::Client;

use crate::certificates::Holder;
use crate::history::History;
use crate::host::{Command, Host};
use crate::oracle::{self, Verdict};
use crate::zookeeper::{Settings, ZooKeeper};
use crate::{build, client, host, process};

/// The task that hosts stand for unless told otherwise.
pub const TASK: &str = "beat";

/// A plugin that says so when it is entered, then never returns and never waits. It could ask whether it should stop, and does
/// not.
pub const DEAF: &str = r#"(module
  (import "soloist" "should_stop" (func (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\08\00\00\00entered\n")
  (func (export "on_elected")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (loop (br 0)))
  (func (export "on_demoted")))"#;

/// How a command of an operator ended.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Answer {
    /// What was printed, as JSON, by a command that has succeeded.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.code == Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }
}

/// A host whose plugin, once it has said something, waits in a call that the system does not come back from.
pub fn stuck(cluster: &Cluster, task: &str, granted: &Path) -> Result<Command> {
    // Whoever opens it waits for somebody who writes.
    let made = std::process::Command::new("mkfifo")
        .arg(granted.join("pipe"))
        .status()?;
    ensure!(made.success(), "mkfifo: {made}");
    let plugin = build::artifacts()?.guest("granted").display().to_string();
    let granted = granted.display().to_string();
    let config = format!(
        "[[task]]\nname = \"{task}\"\nplugin = {plugin:?}\n\
         config = {{ do = \"files\", steps = \"list /data\\nread /data/pipe\" }}\n\
         allow = {{ dirs = [{{ host = {granted:?}, guest = \"/data\" }}] }}\n"
    );
    cluster.host_of("stuck", &cluster.file("stuck.toml", config)?)
}

/// The servers, and what hosts need to find them. Hosts are to be dropped before it.
#[derive(Debug)]
pub struct Cluster {
    /// The servers.
    pub zookeeper: ZooKeeper,
    /// What all hosts report.
    pub history: History,
    /// The session timeout that hosts and clients ask for.
    pub session_timeout: Duration,
    directory: TempDir,
    servers: String,
    /// Who hosts and operators are, if they connect with TLS. Clients do not.
    holder: Option<Holder>,
}

impl Cluster {
    /// One server alone, and a session timeout so long that a busy machine does not expire it.
    pub async fn start() -> Result<Self> {
        Self::with(Settings::standalone(), Duration::from_secs(10)).await
    }

    /// The same with the ensemble in this process, for what does not depend on how ZooKeeper comes by its answers.
    pub async fn embedded() -> Result<Self> {
        Self::with(Settings::embedded(), Duration::from_secs(10)).await
    }

    /// The same with a server that can be killed, configured anew, or asked for what only a real one knows.
    pub async fn real() -> Result<Self> {
        Self::with(Settings::standalone().real(), Duration::from_secs(10)).await
    }

    /// The servers and the session timeout of one's choice.
    pub async fn with(settings: Settings, session_timeout: Duration) -> Result<Self> {
        // First what takes long: a server that waits costs memory.
        build::artifacts()?;
        Self::around(ZooKeeper::start(settings).await?, session_timeout)
    }

    /// Around servers that may not be running.
    pub fn around(zookeeper: ZooKeeper, session_timeout: Duration) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("soloist-cluster-")
            .tempdir()?;
        let servers = zookeeper.connect_string();
        Ok(Self {
            zookeeper,
            history: History::default(),
            session_timeout,
            directory,
            servers,
            holder: None,
        })
    }

    /// Lets hosts and clients that are made from here on connect there instead: through a proxy, or with a chroot.
    #[must_use]
    pub fn through(mut self, servers: impl Into<String>) -> Self {
        self.servers = servers.into();
        self
    }

    /// Lets hosts and operators connect with TLS, as that holder. Clients of the tests do not.
    #[must_use]
    pub fn over_tls(mut self, holder: Holder) -> Self {
        self.servers = self.zookeeper.secure_connect_string();
        self.holder = Some(holder);
        self
    }

    /// Lets hosts report to a history that is there already.
    #[must_use]
    pub fn recording(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// The connect string in use.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// A host that stands for [`TASK`] with the plugin `heartbeat`, which says ten times a second that it leads.
    pub fn host(&self, id: &str) -> Result<Command> {
        let plugin = build::artifacts()?.guest("heartbeat");
        Ok(self
            .host_of(id, &plugin)?
            .flag("--task", TASK)
            .flag("--config", "interval=100ms"))
    }

    /// Starts such hosts one after the other. They queue in this order: the first one leads, and its plugin acts.
    pub async fn queue(&self, ids: &[&str]) -> Result<Vec<Host>> {
        let mut hosts = Vec::new();
        for id in ids {
            let mut host = self.host(id)?.start(&self.history)?;
            let stands = if hosts.is_empty() {
                "plugin-log"
            } else {
                "standby"
            };
            host.event(stands).await?;
            hosts.push(host);
        }
        Ok(hosts)
    }

    /// A host that runs the plugin or the configuration at `target`.
    pub fn host_of(&self, id: &str, target: &Path) -> Result<Command> {
        self.host_at(&self.servers, id, target)
    }

    /// Like [`Cluster::host_of`], for one that is told of other servers.
    pub fn host_at(&self, servers: &str, id: &str, target: &Path) -> Result<Command> {
        let timeout = humantime::format_duration(self.session_timeout).to_string();
        let tick = humantime::format_duration(self.zookeeper.tick()).to_string();
        let command = Command::run(id, target)?
            .flag("--zookeeper", servers)
            .flag("--session-timeout", timeout)
            .flag("--tick-time", tick);
        let variables = self.holder.iter().flat_map(Holder::variables);
        let command = variables.fold(command, |command, (name, path)| command.env(name, path));
        // What a host keeps for its next start stays with the cluster.
        Ok(command.env("XDG_CACHE_HOME", self.directory.path().join("cache")))
    }

    /// Runs `soloist` with these arguments to its end, as an operator who has set these variables.
    pub async fn operator(&self, variables: &[(&str, &str)], args: &[&str]) -> Result<Answer> {
        let mut command = process::command(&build::artifacts()?.soloist);
        host::clear_settings(&mut command);
        command
            .env("SOLOIST_ZOOKEEPER", &self.servers)
            .envs(self.holder.iter().flat_map(Holder::variables))
            .envs(variables.iter().copied());
        command.args(args).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output())
            .await?
            .context("cannot run soloist")?;
        let text = |bytes| String::from_utf8(bytes).context("soloist prints what is not text");
        Ok(Answer {
            code: output.status.code(),
            stdout: text(output.stdout)?,
            stderr: text(output.stderr)?,
        })
    }

    /// What `soloist status` says of [`TASK`].
    pub async fn status(&self) -> Result<Value> {
        let answer = self.operator(&[], &["status", TASK, "--json"]).await?;
        let status = answer.json()?;
        let tasks = status["tasks"].as_array().map(Vec::as_slice);
        let Some([task]) = tasks else {
            bail!("not one task alone: {status}")
        };
        Ok(task.clone())
    }

    /// What `soloist history` says of the terms of [`TASK`], the latest one first.
    pub async fn terms(&self) -> Result<Vec<Value>> {
        let answer = self.operator(&[], &["history", TASK, "--json"]).await?;
        let history = answer.json()?;
        ensure!(history["task"] == TASK, "{history}");
        history["terms"].as_array().cloned().context("no terms")
    }

    /// Writes a file for hosts to read.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A client of the same servers.
    pub async fn client(&self) -> Result<Client> {
        client::connect(&self.plain_servers(), self.session_timeout).await
    }

    /// The connect string of clients, which do not speak TLS.
    fn plain_servers(&self) -> String {
        match self.holder {
            Some(_) => self.zookeeper.connect_string(),
            None => self.servers.clone(),
        }
    }

    /// Like [`Cluster::client`], with the credentials `user:password` of the digest scheme.
    pub async fn client_as(&self, credentials: &str) -> Result<Client> {
        client::connect_as(
            &self.plain_servers(),
            self.session_timeout,
            Some(credentials),
        )
        .await
    }

    /// The master node of a task in its usual place.
    pub fn master(task: &str) -> String {
        format!("/soloist/tasks/{task}/master")
    }

    /// What the oracle says of all that has happened so far.
    pub fn verdict(&self) -> Verdict {
        oracle::judge(&self.history)
    }
}
