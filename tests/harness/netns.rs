//! A network of this program's own: every node a network namespace, this program the router between them, and cuts.
//!
//! The program that wants one is started again in a network and a mount namespace of its own ([`isolate`]), as root or,
//! where the machine allows that, as root of an unprivileged user namespace. Addresses, rules and the names of the
//! nodes exist in there alone: nothing of the machine's own network is touched, two programs cannot get into each
//! other's way, and the kernel removes all of it when the last process in there has ended, however it ended.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Set in the environment of a program that has been started again in namespaces of its own.
const ISOLATED: &str = "SOLOIST_TESTS_ISOLATED";

/// Tried in the namespaces before the program is started again: all that a [`Network`] needs.
const PROBE: &str = "mount -t tmpfs none /run && ip netns add probe && \
                     ip link add probe type veth peer name eth0 netns probe && \
                     ip rule add from 10.0.0.1 to 10.0.0.2 blackhole && nsenter --net=/run/netns/probe true && \
                     echo 1 > /proc/sys/net/ipv4/ip_forward";

/// Starts this program again in namespaces of its own, unless that has been done: so it returns only in there, or
/// where the machine does not allow it.
///
/// # Errors
/// When the machine does not allow it: what was tried, and what it said.
pub fn isolate() -> Result<()> {
    if std::env::var_os(ISOLATED).is_some() {
        return Ok(());
    }
    let root = rustix::process::geteuid().is_root();
    let flags: &[&str] = if root {
        &["--net", "--mount"]
    } else {
        &["--map-root-user", "--net", "--mount"]
    };
    let probe = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", PROBE])
        .stdin(Stdio::null())
        .output();
    let probe = probe.context("cannot run `unshare` of util-linux")?;
    ensure!(
        probe.status.success(),
        "no network namespaces {}: {}",
        if root {
            "as root"
        } else {
            "without root, in a user namespace"
        },
        String::from_utf8_lossy(&probe.stderr).trim()
    );
    let program = std::env::current_exe()?;
    let error = Command::new("unshare")
        .args(flags)
        .arg("--")
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(ISOLATED, "1")
        .exec();
    Err(error).context("cannot start this program again in namespaces of its own")
}

/// A node of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    name: String,
    address: Ipv4Addr,
    router: Ipv4Addr,
}

impl Node {
    /// The node's address.
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// This program's own address, as the node sees it.
    pub fn router(&self) -> IpAddr {
        self.router.into()
    }

    /// What to put in front of a program so that it runs on this node, as the same process.
    pub fn enter(&self) -> [String; 2] {
        [
            "nsenter".to_owned(),
            format!("--net=/run/netns/{}", self.name),
        ]
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The network: a star, with this program in the middle, which reaches every node whatever is cut.
#[derive(Debug)]
pub struct Network {
    nodes: u8,
    /// From whom to whom packets are lost.
    cuts: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl Network {
    /// An empty network. The program must be [isolated](isolate).
    pub fn new() -> Result<Self> {
        ensure!(
            std::env::var_os(ISOLATED).is_some(),
            "a network is made only in namespaces of its own"
        );
        // Where names of namespaces are kept: nobody outside sees this.
        run("mount", ["-t", "tmpfs", "none", "/run"])?;
        ip("link set lo up")?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
            .context("cannot make this namespace a router")?;
        Ok(Self {
            nodes: 0,
            cuts: Vec::new(),
        })
    }

    /// Adds a node.
    pub fn node(&mut self, name: &str) -> Result<Node> {
        self.nodes = self.nodes.checked_add(1).context("too many nodes")?;
        let subnet = |host| Ipv4Addr::new(10, 77, self.nodes, host);
        let (router, address) = (subnet(1), subnet(2));
        let link = format!("node{}", self.nodes);
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {link} type veth peer name eth0 netns {name}"
        ))?;
        ip(&format!("addr add {router}/24 dev {link}"))?;
        ip(&format!("link set {link} up"))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        ip(&format!("-n {name} route add default via {router}"))?;
        Ok(Node {
            name: name.to_owned(),
            address,
            router,
        })
    }

    /// Loses all packets from one node to another, silently and on the way: neither end is told.
    pub fn cut_one_way(&mut self, from: &Node, to: &Node) -> Result<()> {
        let cut = (from.address, to.address);
        if !self.cuts.contains(&cut) {
            ip(&format!("rule add from {} to {} blackhole", cut.0, cut.1))?;
            self.cuts.push(cut);
        }
        Ok(())
    }

    /// Loses all packets between two nodes.
    pub fn cut(&mut self, one: &Node, other: &Node) -> Result<()> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Lets all packets pass again.
    pub fn heal(&mut self) -> Result<()> {
        for (from, to) in self.cuts.drain(..) {
            ip(&format!("rule del from {from} to {to} blackhole"))?;
        }
        Ok(())
    }
}

fn ip(args: &str) -> Result<()> {
    run("ip", args.split(' '))
}

fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("cannot run `{program}`"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
