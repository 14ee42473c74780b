//! The programs that are compared, and how each is started, heard and ended.

use std::path::PathBuf;
use std::process::Command as Program;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::{Command, Host};
use soloist_tests::{PATIENCE, build, client, eventually};
use tempfile::TempDir;

use super::etcd::Etcd;
use crate::SESSION_TIMEOUT;

/// Where Debian has what is written in Java, and what Curator needs of it.
const JAVA: &str = "/usr/share/java";
const JARS: [&str; 9] = [
    "curator-client",
    "curator-framework",
    "curator-recipes",
    "guava",
    "netty-all",
    "slf4j-api",
    "slf4j-nop",
    "zookeeper",
    "zookeeper-jute",
];

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Soloist,
    Bare,
    Kazoo,
    Curator,
    Etcd,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Soloist,
        Self::Bare,
        Self::Kazoo,
        Self::Curator,
        Self::Etcd,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Soloist => "Soloist",
            Self::Bare => "bare contender",
            Self::Kazoo => "kazoo Election",
            Self::Curator => "Curator LeaderLatch",
            Self::Etcd => "etcdctl lock",
        }
    }

    /// The path that its contenders are told of.
    fn path(self) -> &'static str {
        match self {
            Self::Soloist => "/soloist",
            Self::Bare => "/peers/bare",
            Self::Kazoo => "/peers/kazoo",
            Self::Curator => "/peers/curator",
            Self::Etcd => "peers",
        }
    }
}

/// One of them, found on this machine.
pub(super) struct Peer {
    pub(super) kind: Kind,
    /// The folder of the compiled program, for one that had to be compiled.
    compiled: Option<TempDir>,
    etcd: Option<Etcd>,
}

impl Peer {
    /// # Errors
    /// What it needs is not on this machine: the error says what.
    pub(super) async fn find(kind: Kind, cluster: &Cluster) -> Result<Self> {
        let (mut compiled, mut etcd) = (None, None);
        match kind {
            Kind::Soloist => {}
            Kind::Bare => {
                let client = cluster.client().await?;
                client::make_path(&client, "/peers").await?;
                client::close(client).await;
            }
            Kind::Kazoo => {
                let found = Program::new(PYTHON).args(["-c", "import kazoo"]).output();
                let found = found.is_ok_and(|output| output.status.success());
                ensure!(found, "there is no kazoo: apt-get install python3-kazoo");
            }
            Kind::Curator => compiled = Some(compile()?),
            Kind::Etcd => etcd = Some(Etcd::start().await?),
        }
        Ok(Self {
            kind,
            compiled,
            etcd,
        })
    }

    fn command(&self, cluster: &Cluster, id: &str) -> Result<Command> {
        let (servers, path) = (cluster.servers(), self.kind.path());
        let seconds = SESSION_TIMEOUT.as_secs();
        let command = match self.kind {
            Kind::Soloist => cluster
                .host_of(id, &build::artifacts()?.guest("effects"))?
                .flag("--config", "by=waiting")
                .arg("--allow-state")
                .guarded(),
            Kind::Bare => Command::new(id, build::artifacts()?.program("contender"))
                .arg(servers)
                .arg(path)
                .arg(format!("{seconds}s"))
                .arg("--act"),
            Kind::Kazoo => Command::new(id, PYTHON)
                .arg(sources().join("election.py"))
                .arg(servers)
                .arg(path)
                .arg(seconds.to_string())
                .arg(id),
            Kind::Curator => {
                let classes = self.compiled.as_ref().context("is compiled")?.path();
                Command::new(id, "java")
                    .arg("-cp")
                    .arg(format!("{}:{}", class_path(), classes.display()))
                    .arg("Latch")
                    .arg(servers)
                    .arg(path)
                    .arg((seconds * 1000).to_string())
                    .arg(id)
            }
            Kind::Etcd => Command::new(id, "etcdctl")
                .env("ETCDCTL_API", "3")
                .flag("--endpoints", self.etcd()?.endpoint())
                .arg("lock")
                .flag("--ttl", seconds.to_string())
                .arg(path)
                .arg("sh")
                .arg(sources().join("act.sh")),
        };
        Ok(command)
    }

    fn etcd(&self) -> Result<&Etcd> {
        self.etcd.as_ref().context("etcd is not running")
    }

    /// Deletes the node, or the key, that says who leads.
    pub(super) async fn delete_leader(&self, cluster: &Cluster) -> Result<()> {
        let path = self.kind.path();
        if self.kind == Kind::Etcd {
            return self.etcd()?.delete_first(path);
        }
        let client = cluster.client().await?;
        let node = match self.kind {
            Kind::Soloist => Cluster::master("effects"),
            Kind::Bare => path.to_owned(),
            _ => {
                let mut children = client.list_children(path).await?;
                // The names end with a number of ten digits.
                children.sort_by_key(|name| name[name.len().saturating_sub(10)..].to_owned());
                format!("{path}/{}", children.first().context("nobody stands")?)
            }
        };
        client.delete(&node, None).await?;
        client::close(client).await;
        Ok(())
    }
}

/// Debian's own Python, which has Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

fn sources() -> PathBuf {
    build::workspace().join("tests/bench/peers")
}

fn class_path() -> String {
    let jars = JARS.map(|name| format!("{JAVA}/{name}.jar"));
    jars.join(":")
}

fn compile() -> Result<TempDir> {
    for name in JARS {
        let jar = PathBuf::from(format!("{JAVA}/{name}.jar"));
        ensure!(
            jar.exists(),
            "there is no {}: apt-get install libcurator-recipes-java",
            jar.display()
        );
    }
    let classes = tempfile::tempdir()?;
    let compiler = Program::new("javac")
        .args(["-cp", &class_path(), "-d"])
        .arg(classes.path())
        .arg(sources().join("Latch.java"))
        .output()
        .context("there is no javac: apt-get install default-jdk-headless")?;
    let told = String::from_utf8_lossy(&compiler.stderr);
    ensure!(compiler.status.success(), "javac: {told}");
    Ok(classes)
}

/// A process of one of them. Killed when dropped, with what it has started.
pub(super) struct Contender<'a> {
    peer: &'a Peer,
    pub(super) host: Host,
}

impl<'a> Contender<'a> {
    pub(super) fn start(peer: &'a Peer, cluster: &Cluster, round: usize) -> Result<Self> {
        let id = format!("{:?}-{round}", peer.kind).to_lowercase();
        let host = peer.command(cluster, &id)?.start(&cluster.history)?;
        Ok(Self { peer, host })
    }

    /// The event of its first statement as a leader.
    fn statement(&self) -> &'static str {
        match self.peer.kind {
            Kind::Soloist => "plugin-log",
            _ => "leading",
        }
    }

    /// The event of its election.
    pub(super) fn election(&self) -> &'static str {
        match self.peer.kind {
            Kind::Soloist => "elected",
            _ => "leading",
        }
    }

    /// The event of each of its acts.
    pub(super) fn act(&self) -> &'static str {
        match self.peer.kind {
            Kind::Soloist => "plugin-log",
            _ => "act",
        }
    }

    /// Waits for its first statement from that position of the history on.
    pub(super) async fn leads(&mut self, from: usize) -> Result<SystemTime> {
        let statement = self.statement();
        Ok(self.host.event_after(from, statement, |_| true).await?.at)
    }

    /// Waits until it stands, one of so many.
    pub(super) async fn waits(&mut self, contenders: usize) -> Result<()> {
        match self.peer.kind {
            Kind::Soloist => {
                self.host.event("standby").await?;
            }
            Kind::Etcd => {
                let (etcd, path) = (self.peer.etcd()?, self.peer.kind.path());
                eventually("contenders to stand", PATIENCE, async || {
                    (etcd.keys(path).ok()? >= contenders).then_some(())
                })
                .await?;
            }
            Kind::Bare | Kind::Kazoo | Kind::Curator => {
                self.host.event("waiting").await?;
            }
        }
        Ok(())
    }

    /// Sends the signal as it comes in practice: a kill to what has the plugin or the program in it, anything else to what a
    /// supervisor knows. What `etcdctl` has started gets it as well.
    pub(super) async fn signal(&mut self, signal: Signal) -> Result<()> {
        match (self.peer.kind, signal) {
            (Kind::Soloist, Signal::KILL) => self.host.signal_guarded(signal).await,
            (Kind::Soloist, Signal::STOP | Signal::CONT) => bail!("ask for its group"),
            (Kind::Etcd, _) => self.signal_all(signal),
            _ => self.host.signal(signal),
        }
    }

    /// Sends the signal to all of its processes.
    pub(super) fn signal_all(&self, signal: Signal) -> Result<()> {
        let group = i32::try_from(self.host.pid())?;
        let group = Pid::from_raw(group).context("no process")?;
        kill_process_group(group, signal).context("cannot signal a group of processes")
    }
}

impl Drop for Contender<'_> {
    fn drop(&mut self) {
        // One that has ended has no group.
        let _ = self.signal_all(Signal::KILL);
        // The history is to have it, or what it led would seem to go on.
        let _ = self.host.kill();
    }
}
