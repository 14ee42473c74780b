//! One ZooKeeper server: its ports, its files, its process, and what it says of itself.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use super::Settings;
use super::installation::{class_path, java};
use super::words::{self, Mode};
use crate::clock::Clock;
use crate::netns::Node;
use crate::ports::Port;
use crate::process::{self, Process};
use crate::{PATIENCE, eventually};

/// A server, running or not.
#[derive(Debug)]
pub(super) struct Server {
    /// What the ensemble calls it: 1 is the first.
    number: usize,
    directory: PathBuf,
    client: Port,
    /// For clients that speak TLS.
    secure: Port,
    peer: Port,
    election: Port,
    process: Option<Process>,
    node: Option<Node>,
    /// A line of the configuration of this server alone.
    pub(super) property: Option<(String, String)>,
    pub(super) clock: Option<Clock>,
}

impl Server {
    /// Reserves the ports of a server that keeps its files in `directory`, and starts nothing.
    pub(super) fn prepare(number: usize, directory: PathBuf, node: Option<Node>) -> Result<Self> {
        fs::create_dir(&directory)?;
        Ok(Self {
            number,
            directory,
            client: Port::reserve()?,
            secure: Port::reserve()?,
            peer: Port::reserve()?,
            election: Port::reserve()?,
            process: None,
            node,
            property: None,
            clock: None,
        })
    }

    fn ip(&self) -> IpAddr {
        self.node
            .as_ref()
            .map_or(Ipv4Addr::LOCALHOST.into(), Node::address)
    }

    /// Where the server waits for clients.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.client.number())
    }

    /// Where the server waits for clients that speak TLS, if it does.
    pub(super) fn secure_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.secure.number())
    }

    /// The line by which the servers of an ensemble know this one.
    pub(super) fn member(&self) -> String {
        let (peer, election) = (self.peer.number(), self.election.number());
        format!("server.{}={}:{peer}:{election}", self.number, self.ip())
    }

    /// Writes what the server reads at its start. A server without `members` is alone.
    pub(super) fn write_configuration(
        &self,
        settings: &Settings,
        members: &[String],
    ) -> Result<()> {
        fs::write(self.directory.join("myid"), self.number.to_string())?;
        let mut text = format!(
            "tickTime={}\ninitLimit=20\nsyncLimit=10\ndataDir={}\nclientPort={}\nclientPortAddress={}\n\
             maxClientCnxns=0\n4lw.commands.whitelist=*\n",
            settings.tick.as_millis(),
            self.directory.display(),
            self.client.number(),
            self.ip(),
        );
        if settings.secure {
            let (port, ip) = (self.secure.number(), self.ip());
            writeln!(
                text,
                "secureClientPort={port}\nsecureClientPortAddress={ip}"
            )?;
        }
        for (name, value) in settings.properties.iter().chain(&self.property) {
            writeln!(text, "{name}={value}")?;
        }
        for member in members {
            writeln!(text, "{member}")?;
        }
        Ok(fs::write(self.directory.join("zoo.cfg"), text)?)
    }

    /// Starts the server and does not wait until it serves.
    pub(super) fn launch(&mut self, system_properties: &[(String, String)]) -> Result<()> {
        let log = fs::File::create(self.directory.join("log"))?;
        let mut command = process::command_on(self.node.as_ref(), java());
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
        for (name, value) in system_properties {
            command.arg(format!("-D{name}={value}"));
        }
        command.arg("-cp").arg(class_path()?);
        command
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(self.directory.join("zoo.cfg"));
        command.envs(self.clock.iter().flat_map(Clock::environment));
        command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let name = format!("ZooKeeper server {}", self.number);
        self.process = Some(Process::spawn(&name, command)?);
        Ok(())
    }

    /// Whether the server was started, and has not been killed since.
    pub(super) fn is_launched(&self) -> bool {
        self.process.is_some()
    }

    /// The process id, unless the server was never started or was killed.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The server's process, to be paused and resumed.
    pub(super) fn process(&mut self) -> Result<&mut Process> {
        self.process
            .as_mut()
            .with_context(|| format!("ZooKeeper server {} is not running", self.number))
    }

    /// Kills the server at once.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.process()?.kill()?;
        self.process = None;
        Ok(())
    }

    /// Waits until the server serves, with TLS too if it does so, and tells in which mode.
    pub(super) async fn serving(&mut self, with_tls: bool) -> Result<Mode> {
        let what = format!("ZooKeeper server {} to serve", self.number);
        let serving = eventually(&what, PATIENCE, async || {
            match self.process.as_mut()?.status() {
                Ok(None) => {
                    let mode = words::mode(self.address()).await.ok()?;
                    if with_tls {
                        // It opens this port after the other one.
                        TcpStream::connect(self.secure_address()).await.ok()?;
                    }
                    Some(Ok(mode))
                }
                _ => Some(Err(anyhow::anyhow!(
                    "ZooKeeper server {} has ended",
                    self.number
                ))),
            }
        });
        serving
            .await
            .and_then(|mode| mode)
            .with_context(|| format!("its log:\n{}", self.log()))
    }

    /// What the server has logged since it was last started.
    pub(super) fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}
