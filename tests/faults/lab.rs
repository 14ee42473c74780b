//! Three ZooKeeper servers and three hosts, each on a node of its own, used by one scenario after another.

mod judgement;

pub use judgement::Run;

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use soloist_tests::certificates::{Certificates, Wanted};
use soloist_tests::clock::Clock;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::deployment::Deployment;
use soloist_tests::history::{History, Record};
use soloist_tests::host::Host;
use soloist_tests::load::Load;
use soloist_tests::netns::{Network, Node};
use soloist_tests::proxy::Proxy;
use soloist_tests::zookeeper::{Settings, ZooKeeper};
use soloist_tests::{build, client};
use zookeeper_client::Client;

/// Short, so that the suite is; the servers' tick is 500 ms, their syncLimit 10 ticks.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(4);

pub const DEMOTE_TIMEOUT: Duration = Duration::from_secs(1);

/// While a majority of the servers stands, another host acts within this time: the session timeout and a tick (4.5 s),
/// after up to 5 s in which a server that was cut off keeps its clients waiting; the rest is for a busy machine.
pub const SUCCESSOR_WITHIN: Duration = Duration::from_secs(15);

/// Once all faults have healed, a leader acts within this time: the servers elect their own leader, which gives every
/// session its whole timeout again (4.5 s), and hosts look for a server; the rest is for a busy machine.
pub const HEALED_WITHIN: Duration = Duration::from_secs(15);

/// Which servers a host is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    All,
    OneFollower,
    EnsembleLeader,
    /// One server, through the proxy.
    Proxy,
}

pub struct Lab {
    pub network: Network,
    pub cluster: Cluster,
    pub servers: Vec<Node>,
    pub sites: Vec<Node>,
    pub hosts: Vec<Host>,
    pub proxy: Option<Proxy>,
    pub load: Option<Load>,
    /// The wall clock of hosts on the first node, if they have one of their own.
    pub clock: Option<Clock>,
    pub demote_timeout: Duration,
    /// The task that hosts take, where it is deployed.
    pub deployment: Option<Deployment>,
    /// When somebody had deleted nodes, and in how many rounds.
    pub deleted: Option<(SystemTime, u32)>,
    /// The follower that hosts of [`Reach::OneFollower`] hang on, and the proxy leads to.
    pub follower: usize,
    /// The ensemble's leader when the scenario began.
    pub leader: usize,
    /// Hosts connect with TLS if there are any.
    certificates: Option<Certificates>,
    root: String,
    runs: u32,
    started: u32,
    by: &'static str,
}

impl Lab {
    /// With TLS, hosts use no other connections.
    pub async fn start(with_tls: bool) -> Result<Self> {
        let mut network = Network::new()?;
        let mut nodes = |prefix: &str| -> Result<Vec<Node>> {
            (1..=3)
                .map(|number| network.node(&format!("{prefix}{number}")))
                .collect()
        };
        let (servers, sites) = (nodes("server")?, nodes("host")?);
        let certificates = with_tls
            .then(|| Certificates::at(servers.iter().map(Node::address)))
            .transpose()?;
        let settings = match &certificates {
            Some(certificates) => Settings::on(&servers).tls(certificates),
            None => Settings::on(&servers),
        };
        let mut cluster = Cluster::with(settings, SESSION_TIMEOUT).await?;
        if let Some(certificates) = &certificates {
            let holder = certificates.holder("host", &Wanted::subject("a host"))?;
            cluster = cluster.over_tls(holder);
        }
        Ok(Self {
            certificates,
            network,
            cluster,
            servers,
            sites,
            hosts: Vec::new(),
            proxy: None,
            load: None,
            clock: None,
            demote_timeout: DEMOTE_TIMEOUT,
            deployment: None,
            deleted: None,
            follower: 0,
            leader: 0,
            root: String::new(),
            runs: 0,
            started: 0,
            by: "waiting",
        })
    }

    /// A leader that acts and two hosts that stand by, below a root of their own.
    pub async fn begin(&mut self, by: &'static str, reach: [Reach; 3]) -> Result<()> {
        self.begin_anew(by).await?;
        for (site, reach) in reach.into_iter().enumerate() {
            let mut host = self.host(site, reach).await?;
            host.event(if site == 0 { "plugin-log" } else { "standby" })
                .await?;
            self.hosts.push(host);
        }
        Ok(())
    }

    /// Everything is there but hosts.
    pub async fn begin_anew(&mut self, by: &'static str) -> Result<()> {
        self.cluster.zookeeper.start_all().await?;
        self.runs += 1;
        self.root = format!("/run-{}", self.runs);
        self.by = by;
        self.cluster.history = History::default();
        self.leader = self.cluster.zookeeper.leader().await?;
        self.follower = (self.leader + 1) % self.servers.len();
        Ok(())
    }

    /// Starts a host on that node.
    pub async fn host(&mut self, site: usize, reach: Reach) -> Result<Host> {
        self.started += 1;
        let zookeeper = &self.cluster.zookeeper;
        let one = |index| match self.certificates {
            Some(_) => zookeeper.secure_address(index).to_string(),
            None => zookeeper.server(index),
        };
        let servers = match reach {
            Reach::All => self.cluster.servers().to_owned(),
            Reach::OneFollower => one(self.follower),
            Reach::EnsembleLeader => one(self.leader),
            Reach::Proxy => {
                let server = self.cluster.zookeeper.address(self.follower);
                let proxy = match self.proxy.take() {
                    Some(proxy) => proxy,
                    None => Proxy::start_at(self.sites[site].router(), server).await?,
                };
                self.proxy.insert(proxy).connect_string()
            }
        };
        let id = format!("{}-{}", self.sites[site], self.started);
        if let Some(deployment) = &self.deployment {
            let kept = self.cluster.file(&format!("{id}.kept"), "")?;
            let config = deployment.taken_by(&kept.with_extension("dir"), "state = true")?;
            let file = self.cluster.file(&format!("{id}.toml"), config)?;
            let command = self.cluster.host_at(&servers, &id, &file)?;
            let command = command.on(&self.sites[site]).flag("--root", &self.root);
            return command.start(&self.cluster.history);
        }
        let plugin = build::artifacts()?.guest("effects");
        let command = self
            .cluster
            .host_at(&servers, &id, &plugin)?
            .on(&self.sites[site])
            .arg("--allow-state");
        let command = command
            .flag("--root", &self.root)
            .flag("--task", TASK)
            .flag("--config", format!("by={}", self.by));
        let command = match self.clock.as_ref().filter(|_| site == 0) {
            Some(clock) => command.clock(clock),
            None => command,
        };
        let demote_timeout = humantime::format_duration(self.demote_timeout).to_string();
        command
            .flag("--demote-timeout", demote_timeout)
            .start(&self.cluster.history)
    }

    /// The proxy that hosts of [`Reach::Proxy`] are behind.
    pub fn proxy(&self) -> Result<&Proxy> {
        self.proxy.as_ref().context("no host is behind the proxy")
    }

    pub fn master(&self) -> String {
        format!("{}/master", self.task())
    }

    pub fn task(&self) -> String {
        format!("{}/tasks/{TASK}", self.root)
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    /// A client that no cut reaches.
    pub async fn operator(&self) -> Result<Client> {
        let servers = self.cluster.zookeeper.connect_string();
        client::connect(&servers, Duration::from_secs(10)).await
    }

    /// The largest fencing token that has acted so far.
    pub fn token(&self) -> u64 {
        let records = self.cluster.history.since(0);
        let tokens = records.iter().filter(|record| record.is("plugin-log"));
        tokens
            .filter_map(|record| record.event()?.fencing_token)
            .max()
            .unwrap_or_default()
    }

    /// Waits until a later leader than that of `token` acts.
    pub async fn successor(&self, token: u64) -> Result<()> {
        let acts = |record: &Record| {
            record.is("plugin-log")
                && record.event().and_then(|event| event.fencing_token) > Some(token)
        };
        let next = self
            .cluster
            .history
            .wait_for(0, "the next leader to act", SUCCESSOR_WITHIN, acts)
            .await;
        // The latest records would be effects, and the whole story is shown anyway.
        next.map(drop)
            .map_err(|_| anyhow!("no other leader has acted within {SUCCESSOR_WITHIN:?}"))
    }

    /// Which host acted last.
    pub fn acting(&self) -> Result<usize> {
        let records = self.cluster.history.since(0);
        let last = records
            .iter()
            .rfind(|record| record.is("plugin-log"))
            .context("nobody has acted")?;
        self.hosts
            .iter()
            .position(|host| host.pid() == last.pid)
            .context("whoever acted last is gone")
    }

    /// Starts a server anew, with this line in its configuration alone, or without.
    pub async fn restart(&mut self, server: usize, property: Option<(&str, &str)>) -> Result<()> {
        let zookeeper = &mut self.cluster.zookeeper;
        zookeeper.configure(server, property)?;
        zookeeper.kill(server)?;
        zookeeper.start_all().await
    }

    /// How many writes a second the ensemble commits for each host, while nothing happens.
    pub async fn writes_per_host(&mut self, time: Duration) -> Result<f64> {
        let server = self.cluster.zookeeper.leader().await?;
        let committed = async |zookeeper: &ZooKeeper| -> Result<u32> {
            let answer = zookeeper.ask(server, "srvr").await?;
            let zxid = answer
                .lines()
                .find_map(|line| line.strip_prefix("Zxid: 0x"))
                .context("srvr names no zxid")?;
            // The lower half counts the transactions of this leader of the ensemble.
            Ok((u64::from_str_radix(zxid, 16)? & u64::from(u32::MAX)).try_into()?)
        };
        let before = committed(&self.cluster.zookeeper).await?;
        tokio::time::sleep(time).await;
        let writes = committed(&self.cluster.zookeeper).await? - before;
        let hosts = u32::try_from(self.hosts.len())?;
        Ok(f64::from(writes) / f64::from(hosts) / time.as_secs_f64())
    }

    /// All that has happened in the present scenario, but for effects.
    pub fn story(&self) -> String {
        let records = self.cluster.history.in_order();
        let lines = records
            .iter()
            .filter(|record| !record.is("plugin-log"))
            .map(|record| format!("    {record}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Clears up after a scenario, however it ended.
    pub fn clear(&mut self) -> Result<()> {
        self.hosts.clear();
        self.load = None;
        self.proxy = None;
        self.clock = None;
        self.demote_timeout = DEMOTE_TIMEOUT;
        self.deployment = None;
        self.deleted = None;
        for index in 0..self.servers.len() {
            // One that is down is started when the next scenario begins.
            let _ = self.cluster.zookeeper.resume(index);
            if let Some(clock) = self.cluster.zookeeper.clock(index) {
                clock.set_wrong_by(0)?;
            }
        }
        self.network.heal()
    }
}
