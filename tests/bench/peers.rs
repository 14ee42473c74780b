//! Soloist beside those who elect leaders in other ways, in one run: a bare contender of the plain recipe, kazoo's Election,
//! Curator's LeaderLatch, `etcdctl lock`. How long nobody leads, and what a deposed leader still does.

mod contenders;
mod deposed;
mod etcd;
mod plot;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Map, Value, json};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;

use crate::table::{Samples, Table};
use contenders::{Contender, Kind, Peer};

const HANDOVERS: usize = 30;
/// Those that are not counted: servers and runtimes compile what they run often.
const WARM_UP: usize = 5;
/// Fewer, as all but one wait for a session to end each time.
const KILLS: usize = 5;
const KILLS_GUARDED: usize = 30;
/// What a process that has just started asks of the ensemble, and writes there, is done after this time.
const SETTLING: Duration = Duration::from_millis(300);

/// Where the plots and the samples lie that they were made of.
fn figures() -> PathBuf {
    build::workspace().join("target/figures")
}

pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let mut peers = Vec::new();
    for kind in Kind::ALL {
        match Peer::find(kind, cluster).await {
            Ok(peer) => peers.push(peer),
            Err(reason) => table.row(&format!("{}: skipped, {reason:#}", kind.name()), "", "", ""),
        }
    }
    let mut samples = Map::new();
    for (what, file, signal) in [
        (
            "handover: SIGTERM of the leader → first statement of the next",
            "handover",
            Signal::TERM,
        ),
        (
            "failover: SIGKILL of the leader → first statement of the next",
            "sigkill",
            Signal::KILL,
        ),
    ] {
        let mut curves = Vec::new();
        for peer in &peers {
            let gaps = gaps(peer, cluster, signal).await?;
            table.times(&format!("{}, {what}", peer.kind.name()), &gaps);
            curves.push((peer.kind.name(), gaps.milliseconds()));
        }
        fs::create_dir_all(figures())?;
        plot::distributions(&figures().join(format!("{file}.svg")), what, &curves)?;
        let curves: Map<String, Value> = curves
            .into_iter()
            .map(|(name, milliseconds)| (name.to_owned(), json!(milliseconds)))
            .collect();
        samples.insert(file.to_owned(), curves.into());
    }
    let file = figures().join("peers.json");
    fs::write(&file, serde_json::to_vec_pretty(&samples)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    for peer in &peers {
        deposed::measure(peer, cluster, table).await?;
    }
    Ok(())
}

/// How long nobody leads when the leader gets that signal, each time another leader.
async fn gaps(peer: &Peer, cluster: &Cluster, signal: Signal) -> Result<Samples> {
    let (rounds, warm_up) = match (signal, peer.kind) {
        (Signal::KILL, Kind::Soloist) => (KILLS_GUARDED, WARM_UP),
        (Signal::KILL, _) => (KILLS, 0),
        _ => (HANDOVERS, WARM_UP),
    };
    let mut samples = Samples::default();
    let mut leader = Contender::start(peer, cluster, 0)?;
    leader.leads(0).await?;
    for round in 1..=warm_up + rounds {
        let mut next = Contender::start(peer, cluster, round)?;
        next.waits(2).await?;
        tokio::time::sleep(SETTLING).await;
        let from = cluster.history.len();
        let asked = SystemTime::now();
        leader.signal(signal).await?;
        let spoke = next.leads(from).await?;
        if round > warm_up {
            samples.add(spoke.duration_since(asked)?);
        }
        leader = next;
    }
    Ok(samples)
}
