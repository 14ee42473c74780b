//! Private ZooKeeper servers: one alone, or an ensemble, on free loopback ports, with all they write in a directory
//! that goes when they go.

mod embedded;
mod installation;
mod server;
mod settings;
mod words;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use server::Server;
use settings::Place;
pub use settings::Settings;
use soloist_dev::ensemble::{self, Ensemble};
use tempfile::TempDir;
pub use words::Mode;

use crate::clock::Clock;
use crate::{PATIENCE, eventually, process};

/// ZooKeeper's own command line, which `zkCli.sh` runs, for the server at that address.
pub fn command_line(server: SocketAddr) -> Result<Command> {
    let mut command = process::command(installation::java());
    command.arg("-cp").arg(installation::class_path()?);
    command.args(["org.apache.zookeeper.ZooKeeperMain", "-server"]);
    command.arg(server.to_string());
    Ok(command)
}

/// The servers. Killed, and their files removed, when this is dropped.
#[derive(Debug)]
pub struct ZooKeeper {
    // Before the directory: a server must be gone before its files are.
    servers: Vec<Server>,
    directory: TempDir,
    settings: Settings,
    /// What stands for them, if they are not real: then there are none.
    embedded: Option<Ensemble>,
}

/// What a test lacks that asks the embedded ensemble for a fault of a server.
const NO_FAULTS: &str = "the embedded ensemble is no server: ask for `Settings::real()`";

impl ZooKeeper {
    /// Starts the servers and waits until they serve.
    pub async fn start(settings: Settings) -> Result<Self> {
        let is_embedded = match settings.place {
            Place::Embedded => embedded::is_wanted(true)?,
            Place::Apart => embedded::is_wanted(false)?,
            Place::Real => false,
        };
        if is_embedded {
            let tick = settings.tick;
            let none = Settings {
                servers: 0,
                ..settings
            };
            let mut zookeeper = Self::prepare(none)?;
            let settings = ensemble::Settings {
                tick,
                ..ensemble::Settings::default()
            };
            zookeeper.embedded = Some(embedded::start(settings).await?);
            return Ok(zookeeper);
        }
        let mut zookeeper = Self::prepare(settings)?;
        zookeeper.start_all().await?;
        Ok(zookeeper)
    }

    /// Reserves ports and writes the configuration, and starts nothing.
    pub fn prepare(settings: Settings) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("soloist-zookeeper-")
            .tempdir()?;
        let server = |index: usize| {
            let number = index + 1;
            let files = directory.path().join(number.to_string());
            Server::prepare(number, files, settings.nodes.get(index).cloned())
        };
        let servers = (0..settings.servers).map(server).collect::<Result<_>>()?;
        let zookeeper = Self {
            servers,
            directory,
            settings,
            embedded: None,
        };
        for index in 0..zookeeper.servers.len() {
            zookeeper.write_configuration(index)?;
        }
        Ok(zookeeper)
    }

    /// Starts every server that is not running, and waits until all serve.
    pub async fn start_all(&mut self) -> Result<()> {
        for index in 0..self.servers.len() {
            if !self.servers[index].is_launched() {
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
        let properties = self.settings.system_properties.clone();
        self.server_mut(index)?.launch(&properties)
    }

    /// Waits until a server serves, and tells in which mode.
    pub async fn serving(&mut self, index: usize) -> Result<Mode> {
        let with_tls = self.settings.secure;
        self.server_mut(index)?.serving(with_tls).await
    }

    /// Kills a server at once.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        self.server_mut(index)?.kill()
    }

    /// Adds a line to the configuration of one server, in place of one added before; heeded when it is next started.
    pub fn configure(&mut self, index: usize, property: Option<(&str, &str)>) -> Result<()> {
        self.server_mut(index)?.property =
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
        self.server_mut(index)?.process()?.pause(PATIENCE).await
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self, index: usize) -> Result<()> {
        self.server_mut(index)?.process()?.resume()
    }

    /// How many servers there are, running or not.
    pub fn len(&self) -> usize {
        self.servers.len() + usize::from(self.embedded.is_some())
    }

    /// Whether there are no servers; there always are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connect string for all servers.
    pub fn connect_string(&self) -> String {
        let servers: Vec<String> = (0..self.len()).map(|index| self.server(index)).collect();
        servers.join(",")
    }

    /// The connect string for one server.
    pub fn server(&self, index: usize) -> String {
        self.address(index).to_string()
    }

    /// The connect string for all servers, for clients that speak TLS.
    pub fn secure_connect_string(&self) -> String {
        let servers: Vec<String> = (0..self.len())
            .map(|index| self.secure_address(index).to_string())
            .collect();
        servers.join(",")
    }

    /// The address at which one server waits for clients that speak TLS: see [`Settings::tls`].
    pub fn secure_address(&self, index: usize) -> SocketAddr {
        self.servers[index].secure_address()
    }

    /// The address at which one server waits for clients.
    pub fn address(&self, index: usize) -> SocketAddr {
        match &self.embedded {
            Some(ensemble) => ensemble.address(),
            None => self.servers[index].address(),
        }
    }

    /// Which server leads the ensemble (or serves alone).
    pub async fn leader(&self) -> Result<usize> {
        eventually("the ensemble to have a leader", PATIENCE, async || {
            for index in 0..self.len() {
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
        words::mode(self.address(index)).await
    }

    /// The servers' tickTime.
    pub fn tick(&self) -> Duration {
        self.settings.tick
    }

    /// The process ids of the running servers.
    pub fn pids(&self) -> Vec<u32> {
        self.servers.iter().filter_map(Server::pid).collect()
    }

    /// Where the servers' files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sends one of the four-letter words to a server, for its answer.
    pub async fn ask(&self, index: usize, word: &str) -> Result<String> {
        words::ask(self.address(index), word).await
    }

    /// What a server has logged since it was last started.
    pub fn log(&self, index: usize) -> String {
        self.servers.get(index).map(Server::log).unwrap_or_default()
    }

    fn server_mut(&mut self, index: usize) -> Result<&mut Server> {
        self.servers.get_mut(index).context(NO_FAULTS)
    }

    fn write_configuration(&self, index: usize) -> Result<()> {
        let members: Vec<String> = match &self.servers[..] {
            [_] => Vec::new(),
            all => all.iter().map(Server::member).collect(),
        };
        self.servers[index].write_configuration(&self.settings, &members)
    }
}
