//! Hosts whose plugin counts in the state of its task.

use anyhow::Result;
use soloist_tests::build;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::{Command, Host};

/// A host that counts in the task's state, every few milliseconds.
pub(super) fn counter(cluster: &Cluster, id: &str) -> Result<Command> {
    let plugin = build::artifacts()?.guest("counter");
    // No more lines than a plugin may write.
    Ok(cluster
        .host_of(id, &plugin)?
        .arg("--allow-state")
        .flag("--task", TASK)
        .flag("--config", "interval=10ms"))
}

/// The counts that a host has told so far.
pub(super) fn counts(host: &Host) -> Vec<u64> {
    let records = host.records();
    let lines = records
        .iter()
        .filter_map(|record| record.event())
        .filter(|event| event.name == "plugin-log");
    lines
        .filter_map(|event| event.line["fields"]["count"].as_str()?.parse().ok())
        .collect()
}

/// Waits until the host has told so many counts more.
pub(super) async fn until_counted(host: &mut Host, more: usize) -> Result<()> {
    let enough = counts(host).len() + more;
    let mut told = 0;
    host.event_where("plugin-log", |_| {
        told += 1;
        told >= enough
    })
    .await?;
    Ok(())
}

/// Whether no number is missing, and none is there twice.
pub(super) fn are_consecutive(counts: &[u64]) -> bool {
    counts.windows(2).all(|pair| pair[1] == pair[0] + 1)
}
