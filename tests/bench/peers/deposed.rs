//! What a leader that has lost its leadership still does while another leads.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use rustix::process::Signal;
use soloist_tests::PATIENCE;
use soloist_tests::cluster::Cluster;

use super::contenders::{Contender, Peer};
use crate::table::Table;

const ROUNDS: usize = 3;
/// How long its acts are counted.
const WATCHED: Duration = Duration::from_secs(3);

/// How a leader loses its leadership.
#[derive(Clone, Copy)]
enum Loss {
    /// SIGSTOP to all of its processes; SIGCONT once another leads.
    Stopped,
    /// Somebody deletes the node or the key that says that it leads.
    Deleted,
}

pub(super) async fn measure(peer: &Peer, cluster: &Cluster, table: &mut Table) -> Result<()> {
    for (loss, what) in [
        (Loss::Stopped, "stopped, and resumed when another leads"),
        (Loss::Deleted, "its node deleted"),
    ] {
        let mut acts = Vec::new();
        for round in 0..ROUNDS {
            acts.push(acts_of_the_deposed(peer, cluster, loss, round).await?);
        }
        acts.sort_unstable();
        table.row(
            &format!(
                "{}, {what}: acts of the old leader beside the new one, within {WATCHED:?}",
                peer.kind.name()
            ),
            &acts[ROUNDS / 2].to_string(),
            "",
            &ROUNDS.to_string(),
        );
    }
    Ok(())
}

async fn acts_of_the_deposed(
    peer: &Peer,
    cluster: &Cluster,
    loss: Loss,
    round: usize,
) -> Result<usize> {
    let mut old = Contender::start(peer, cluster, 1000 + 2 * round)?;
    old.leads(0).await?;
    let mut next = Contender::start(peer, cluster, 1001 + 2 * round)?;
    next.waits(2).await?;
    let from = cluster.history.len();
    match loss {
        Loss::Stopped => old.signal_all(Signal::STOP)?,
        Loss::Deleted => peer.delete_leader(cluster).await?,
    }
    let elected = old.election();
    let record = cluster
        .history
        .wait_for(from, "an election", PATIENCE, |record| record.is(elected));
    let (began, by) = record.await.map(|record| (record.at, record.pid))?;
    if let Loss::Stopped = loss {
        old.signal_all(Signal::CONT)?;
    }
    // It may have been the first to elect itself again: then it acts beside nobody.
    if by == old.host.pid() {
        return Ok(0);
    }
    tokio::time::sleep(WATCHED).await;
    let ended = SystemTime::now();
    let records = cluster.history.since(from);
    let acts = records.iter().filter(|record| {
        record.pid == old.host.pid() && record.is(old.act()) && (began..ended).contains(&record.at)
    });
    Ok(acts.count())
}
