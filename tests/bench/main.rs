//! The benchmarks: what a failover, a start, a standby, a call of the host, a revocation, a heartbeat and a busy neighbour
//! cost; where there is something bare to compare with, that is measured in the same run. Prints a table in Markdown.
//!
//! `cargo run --release --bin bench -- TOPIC...` measures those topics alone.

mod calls;
mod crowd;
mod deploy;
mod failover;
mod fairness;
mod handover;
mod heartbeats;
mod loading;
mod memory;
mod page;
mod peers;
mod revocation;
mod scale;
mod scrape;
mod start;
mod table;
mod tls;
mod upgrade;

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Command;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, client};
use table::Table;

const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
const NODE: &str = "/bare/master";
const TOPICS: [&str; 17] = [
    "handover",
    "failover",
    "peers",
    "crowd",
    "tls",
    "upgrade",
    "start",
    "loading",
    "memory",
    "calls",
    "fairness",
    "revocation",
    "heartbeats",
    "deploy",
    "scale",
    "scrape",
    "page",
];

#[tokio::main]
async fn main() -> Result<()> {
    let topics: Vec<String> = std::env::args().skip(1).collect();
    let unknown = topics
        .iter()
        .find(|topic| !TOPICS.contains(&topic.as_str()));
    ensure!(
        unknown.is_none(),
        "no such topic: {unknown:?}; there are {TOPICS:?}"
    );
    let chosen = |topic: &str| topics.is_empty() || topics.iter().any(|it| it == topic);
    // As in production: what the ensemble says it has done is on the disk.
    let settings = Settings::standalone().system_property("zookeeper.forceSync", "yes");
    let cluster = Cluster::with(settings, SESSION_TIMEOUT).await?;
    let observer = cluster.client().await?;
    client::make_path(&observer, "/bare").await?;
    let mut table = Table::default();
    if chosen("handover") {
        handover::measure(&cluster, &mut table).await?;
    }
    if chosen("failover") {
        failover::measure(&cluster, &mut table).await?;
    }
    if chosen("peers") {
        peers::measure(&cluster, &mut table).await?;
    }
    if chosen("upgrade") {
        upgrade::measure(&cluster, &mut table).await?;
    }
    if chosen("start") {
        start::measure(&cluster, &mut table).await?;
    }
    if chosen("loading") {
        loading::measure(&mut table)?;
    }
    if chosen("memory") {
        memory::measure(&cluster, &mut table).await?;
    }
    if chosen("calls") {
        calls::measure(&cluster, &mut table).await?;
    }
    if chosen("fairness") {
        fairness::measure(&cluster, &mut table).await?;
    }
    cluster.verdict().check()?;
    if chosen("revocation") {
        revocation::measure(&mut table).await?;
    }
    if chosen("crowd") {
        crowd::measure(&mut table).await?;
    }
    if chosen("tls") {
        tls::measure(&mut table).await?;
    }
    if chosen("heartbeats") {
        heartbeats::measure(&mut table).await?;
    }
    if chosen("deploy") {
        deploy::measure(&mut table).await?;
    }
    if chosen("scale") {
        scale::measure(&mut table).await?;
    }
    if chosen("scrape") {
        scrape::measure(&cluster, &mut table).await?;
    }
    if chosen("page") {
        page::measure(&cluster, &mut table).await?;
    }
    println!("{}", machine(&cluster).await?);
    println!();
    println!("| what | median | p99 | worst | n |\n|---|---:|---:|---:|---:|");
    for row in table.rows {
        println!("{row}");
    }
    Ok(())
}

fn host(cluster: &Cluster, id: &str) -> Result<Command> {
    cluster.host_of(id, &build::artifacts()?.guest("hello"))
}

fn contender(cluster: &Cluster, id: &str) -> Result<Command> {
    let timeout = humantime::format_duration(SESSION_TIMEOUT).to_string();
    let program = build::artifacts()?.program("contender");
    Ok(Command::new(id, program)
        .arg(cluster.servers())
        .arg(NODE)
        .arg(timeout))
}

/// How many packets the server has received and sent.
async fn packets(cluster: &Cluster) -> Result<f64> {
    let told = cluster.zookeeper.ask(0, "srvr").await?;
    let of = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse::<f64>().ok())
            .with_context(|| format!("no {name:?} in {told}"))
    };
    Ok(of("Received:")? + of("Sent:")?)
}

/// The machine, the kernel and the server that the figures hold for.
async fn machine(cluster: &Cluster) -> Result<String> {
    let field = |path: &str, name: &str| -> Option<String> {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let processors = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let server = cluster.zookeeper.ask(0, "srvr").await?;
    let version = server
        .lines()
        .next()
        .and_then(|line| line.split(['-', ',']).next())
        .unwrap_or_default();
    let version = version.trim_start_matches("Zookeeper version: ");
    let timeout = humantime::format_duration(SESSION_TIMEOUT);
    let tick = humantime::format_duration(cluster.zookeeper.tick());
    Ok(format!(
        "{processor}, {processors} processors, Linux {}, ZooKeeper {version} standalone; session timeout {timeout}, \
         tick {tick}",
        kernel.trim()
    ))
}
