//! Private ZooKeeper servers: one alone, or an ensemble, on free loopback ports, with all they write in a directory
//! that goes when they go.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::netns::Node;
use crate::ports::Port;
use crate::process::{self, Process};
use crate::{PATIENCE, eventually};

/// What kind of servers to have.
#[derive(Clone, Debug)]
pub struct Settings {
    servers: usize,
    tick: Duration,
    properties: Vec<(String, String)>,
    system_properties: Vec<(String, String)>,
    nodes: Vec<Node>,
}

impl Settings {
    /// One server alone, with a tick of 500 ms: sessions of 1 to 10 seconds.
    pub fn standalone() -> Self {
        Self {
            servers: 1,
            tick: Duration::from_millis(500),
            properties: Vec::new(),
            system_properties: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// An ensemble of three.
    pub fn ensemble() -> Self {
        Self {
            servers: 3,
            ..Self::standalone()
        }
    }

    /// An ensemble with one server on each of those nodes, rather than on the loopback device.
    pub fn on(nodes: &[Node]) -> Self {
        Self {
            servers: nodes.len(),
            nodes: nodes.to_vec(),
            ..Self::standalone()
        }
    }

    /// Sets the servers' tickTime.
    #[must_use]
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Adds a line to the servers' configuration.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a property of the servers' Java machine.
    #[must_use]
    pub fn system_property(mut self, name: &str, value: &str) -> Self {
        self.system_properties
            .push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a server says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It serves alone.
    Standalone,
    /// It leads the ensemble.
    Leader,
    /// It follows the leader.
    Follower,
    /// It has lost the quorum and serves reads only.
    ReadOnly,
}

/// The servers. Killed, and their files removed, when this is dropped.
#[derive(Debug)]
pub struct ZooKeeper {
    // Before the directory: a server must be gone before its files are.
    servers: Vec<Server>,
    directory: TempDir,
    settings: Settings,
}

#[derive(Debug)]
struct Server {
    client: Port,
    peer: Port,
    election: Port,
    process: Option<Process>,
    node: Option<Node>,
    /// What only this server is told, besides what all are.
    property: Option<(String, String)>,
    clock: Option<Clock>,
}

impl Server {
    fn ip(&self) -> IpAddr {
        self.node
            .as_ref()
            .map_or(Ipv4Addr::LOCALHOST.into(), Node::address)
    }
}

impl ZooKeeper {
    /// Starts the servers and waits until they serve.
    pub async fn start(settings: Settings) -> Result<Self> {
        let mut zookeeper = Self::prepare(settings)?;
        zookeeper.start_all().await?;
        Ok(zookeeper)
    }

    /// Reserves ports and writes the configuration, and starts nothing.
    pub fn prepare(settings: Settings) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("soloist-zookeeper-")
            .tempdir()?;
        let server = |index| -> Result<Server> {
            let node = settings.nodes.get(index).cloned();
            let (client, peer, election) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
            Ok(Server {
                client,
                peer,
                election,
                process: None,
                node,
                property: None,
                clock: None,
            })
        };
        let servers = (0..settings.servers).map(server).collect::<Result<_>>()?;
        let zookeeper = Self {
            servers,
            directory,
            settings,
        };
        for index in 0..zookeeper.servers.len() {
            fs::create_dir(zookeeper.path(index))?;
            zookeeper.write_configuration(index)?;
        }
        Ok(zookeeper)
    }

    /// Starts every server that is not running, and waits until all serve.
    pub async fn start_all(&mut self) -> Result<()> {
        for index in 0..self.servers.len() {
            if self.servers[index].process.is_none() {
                self.launch(index)?;
            }
        }
        for index in 0..self.servers.len() {
            self.serving(index).await?;
        }
        Ok(())
    }

    /// Starts a server and does not wait for it: alone of three it cannot serve.
    pub fn launch(&mut self, index: usize) -> Result<()> {
        let directory = self.path(index);
        let log = fs::File::create(directory.join("log"))?;
        let mut command = process::command_on(self.servers[index].node.as_ref(), java());
        // A small Java machine that starts fast.
        command.args([
            "-Xmx96m",
            "-Xss512k",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
        ]);
        command.args([
            "-Dzookeeper.admin.enableServer=false",
            "-Dzookeeper.preAllocSize=1024",
        ]);
        // What a server promises does not outlive the test, so nothing need reach the disk.
        command.arg("-Dzookeeper.forceSync=no");
        for (name, value) in &self.settings.system_properties {
            command.arg(format!("-D{name}={value}"));
        }
        command.arg("-cp").arg(class_path()?);
        command
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(directory.join("zoo.cfg"));
        command.envs(
            self.servers[index]
                .clock
                .iter()
                .flat_map(Clock::environment),
        );
        command
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.servers[index].process = Some(Process::spawn(
            &format!("ZooKeeper server {}", index + 1),
            command,
        )?);
        Ok(())
    }

    /// Waits until a server serves, and tells in which mode.
    pub async fn serving(&mut self, index: usize) -> Result<Mode> {
        let what = format!("ZooKeeper server {} to serve", index + 1);
        let serving = eventually(&what, PATIENCE, async || {
            let process = self.servers[index].process.as_mut()?;
            match process.status() {
                Ok(None) => self.mode(index).await.ok().map(Ok),
                _ => Some(Err(anyhow::anyhow!(
                    "ZooKeeper server {} has ended",
                    index + 1
                ))),
            }
        });
        serving
            .await
            .and_then(|mode| mode)
            .with_context(|| format!("its log:\n{}", self.log(index)))
    }

    /// Kills a server at once.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        match self.servers[index].process.take() {
            Some(mut process) => process.kill().map(drop),
            None => bail!("ZooKeeper server {} is not running", index + 1),
        }
    }

    /// Adds a line to the configuration of one server, in place of one added before; heeded when it is next started.
    pub fn configure(&mut self, index: usize, property: Option<(&str, &str)>) -> Result<()> {
        self.servers[index].property =
            property.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.write_configuration(index)
    }

    /// Gives a server, from its next start on, a wall clock of its own.
    pub fn set_clock(&mut self, index: usize, clock: Clock) {
        self.servers[index].clock = Some(clock);
    }

    /// The wall clock of a server, if it has one of its own.
    pub fn clock(&self, index: usize) -> Option<&Clock> {
        self.servers[index].clock.as_ref()
    }

    /// Stops a server where it stands.
    pub async fn pause(&mut self, index: usize) -> Result<()> {
        self.process(index)?.pause(PATIENCE).await
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self, index: usize) -> Result<()> {
        self.process(index)?.resume()
    }

    fn process(&mut self, index: usize) -> Result<&mut Process> {
        self.servers[index]
            .process
            .as_mut()
            .with_context(|| format!("ZooKeeper server {} is not running", index + 1))
    }

    /// How many servers there are, running or not.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether there are no servers; there always are.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// The connect string for all servers.
    pub fn connect_string(&self) -> String {
        let servers: Vec<String> = (0..self.servers.len())
            .map(|index| self.server(index))
            .collect();
        servers.join(",")
    }

    /// The connect string for one server.
    pub fn server(&self, index: usize) -> String {
        self.address(index).to_string()
    }

    /// The address at which one server waits for clients.
    pub fn address(&self, index: usize) -> SocketAddr {
        let server = &self.servers[index];
        SocketAddr::new(server.ip(), server.client.number())
    }

    /// Which server leads the ensemble (or serves alone).
    pub async fn leader(&self) -> Result<usize> {
        eventually("the ensemble to have a leader", PATIENCE, async || {
            for index in 0..self.servers.len() {
                if let Ok(Mode::Leader | Mode::Standalone) = self.mode(index).await {
                    return Some(index);
                }
            }
            None
        })
        .await
    }

    /// What a server says it is.
    pub async fn mode(&self, index: usize) -> Result<Mode> {
        let answer = self.ask(index, "srvr").await?;
        match answer.lines().find_map(|line| line.strip_prefix("Mode: ")) {
            Some("standalone") => Ok(Mode::Standalone),
            Some("leader") => Ok(Mode::Leader),
            Some("follower") => Ok(Mode::Follower),
            Some("read-only") => Ok(Mode::ReadOnly),
            _ => bail!("ZooKeeper server {} does not serve: {answer}", index + 1),
        }
    }

    /// The servers' tickTime.
    pub fn tick(&self) -> Duration {
        self.settings.tick
    }

    /// The process ids of the running servers.
    pub fn pids(&self) -> Vec<u32> {
        self.servers
            .iter()
            .filter_map(|server| server.process.as_ref())
            .map(Process::pid)
            .collect()
    }

    /// Where the servers' files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sends one of the four-letter words to a server, for its answer.
    pub async fn ask(&self, index: usize, word: &str) -> Result<String> {
        let asking = async {
            let mut stream = TcpStream::connect(self.address(index)).await?;
            stream.write_all(word.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        tokio::time::timeout(Duration::from_secs(5), asking).await?
    }

    /// What a server has logged since it was last started.
    pub fn log(&self, index: usize) -> String {
        let log = fs::read(self.path(index).join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn path(&self, index: usize) -> PathBuf {
        self.directory.path().join((index + 1).to_string())
    }

    fn write_configuration(&self, index: usize) -> Result<()> {
        let directory = self.path(index);
        fs::write(directory.join("myid"), (index + 1).to_string())?;
        let mut text = format!(
            "tickTime={}\ninitLimit=20\nsyncLimit=10\ndataDir={}\nclientPort={}\nclientPortAddress={}\n\
             maxClientCnxns=0\n4lw.commands.whitelist=*\n",
            self.settings.tick.as_millis(),
            directory.display(),
            self.servers[index].client.number(),
            self.servers[index].ip(),
        );
        for (name, value) in self
            .settings
            .properties
            .iter()
            .chain(&self.servers[index].property)
        {
            writeln!(text, "{name}={value}")?;
        }
        if self.servers.len() > 1 {
            for (other, server) in self.servers.iter().enumerate() {
                let (peer, election) = (server.peer.number(), server.election.number());
                writeln!(
                    text,
                    "server.{}={}:{peer}:{election}",
                    other + 1,
                    server.ip()
                )?;
            }
        }
        Ok(fs::write(directory.join("zoo.cfg"), text)?)
    }
}

fn java() -> PathBuf {
    match std::env::var_os("JAVA_HOME") {
        Some(home) => Path::new(&home).join("bin/java"),
        None => PathBuf::from("java"),
    }
}

/// Where ZooKeeper is installed: `ZOOKEEPER_HOME` as unpacked from the project's archive, or Debian's package.
fn class_path() -> Result<String> {
    if let Some(home) = std::env::var_os("ZOOKEEPER_HOME") {
        let home = PathBuf::from(home);
        ensure!(
            home.join("lib").is_dir(),
            "no ZooKeeper at ZOOKEEPER_HOME: {} has no lib directory",
            home.display()
        );
        // `conf` holds the logging configuration.
        let parts = [home.join("conf"), home.join("lib/*"), home.join("*")];
        return Ok(parts.map(|part| part.display().to_string()).join(":"));
    }
    let debian = Path::new("/usr/share/java");
    ensure!(
        debian.join("zookeeper.jar").is_file(),
        "no ZooKeeper on this machine: install the package `libzookeeper-java` (Debian, Ubuntu), or unpack a release \
         from zookeeper.apache.org and set ZOOKEEPER_HOME to where it is"
    );
    // The archive names what it needs; only the logging is a matter of choice.
    Ok(["zookeeper.jar", "slf4j-simple.jar"]
        .map(|jar| debian.join(jar).display().to_string())
        .join(":"))
}
