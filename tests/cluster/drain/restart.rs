//! Hosts that are restarted while they are drained, one after the other.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;

use super::{TASKS, drain_of, has_stood, host, of_task, order, queue, stands, status};

/// Starts a host that is drained: it says so, and stands for nothing.
async fn start(cluster: &Cluster, id: &str) -> Result<Host> {
    let mut host = host(cluster, id)?.start(&cluster.history)?;
    for event in ["host-draining", "host-drained"] {
        host.event(event).await?;
    }
    ensure!(!has_stood(&host), "{:?}", host.records());
    Ok(host)
}

/// The drain outlives the process: the next one stands for nothing, though nobody else is there, until it is drained no more.
#[tokio::test]
async fn a_host_that_is_restarted_while_it_is_drained_stands_for_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = queue(&cluster, &["a"]).await?;
    order(&cluster, &["drain", "a", "--reason", "new disk"]).await?;
    ensure!(hosts[0].terminate().await?.success());
    let absent = drain_of(&status(&cluster).await?, "a");
    ensure!(absent.is_some_and(|it| it["state"] == "absent" && it["reason"] == "new disk"));
    let mut host = start(&cluster, "a").await?;
    ensure!(of_task(&status(&cluster).await?, "one").0.is_none());
    order(&cluster, &["undrain", "a"]).await?;
    host.event("host-undrained").await?;
    host.event("activated").await?;
    cluster.verdict().check()
}

/// The order that GUIDE.md gives: while each host leads a task, all three are restarted, and no task moves more than twice.
#[tokio::test]
async fn a_rolling_restart_of_three_hosts_moves_each_task_at_most_twice() -> Result<()> {
    let cluster = Cluster::start().await?;
    let ids = ["a", "b", "c"];
    let mut hosts: BTreeMap<_, _> = ids.into_iter().zip(queue(&cluster, &ids).await?).collect();
    order(&cluster, &["resign", "two", "--to", "b"]).await?;
    order(&cluster, &["resign", "three", "--to", "c"]).await?;
    for id in ids {
        stands(&cluster, id, &TASKS).await?;
    }
    let mut before = BTreeMap::new();
    for task in TASKS {
        before.insert(task, leaders(&cluster, task).await?.len());
    }
    for (number, id) in ids.into_iter().enumerate() {
        order(&cluster, &["drain", id, "--reason", "new version"]).await?;
        if let Some(host) = hosts.get_mut(id) {
            ensure!(host.terminate().await?.success(), "{}", host.errors());
            *host = start(&cluster, id).await?;
        }
        order(&cluster, &["undrain", id]).await?;
        stands(&cluster, id, &TASKS).await?;
        if number == 0 {
            for later in &ids[1..] {
                order(&cluster, &["drain", later, "--keep"]).await?;
            }
        }
    }
    for task in TASKS {
        let leaders = leaders(&cluster, task).await?;
        let moves = leaders.len() - before[task];
        println!("{task} has moved {moves} times: {leaders:?}");
        ensure!(
            (1..=2).contains(&moves),
            "{task} has moved {moves} times: {leaders:?}"
        );
    }
    let status = status(&cluster).await?;
    ensure!(
        status["drained"].as_array().is_some_and(Vec::is_empty),
        "{status}"
    );
    cluster.verdict().check()
}

/// Who has led the task in each of its terms, as the history has it, the latest one first.
async fn leaders(cluster: &Cluster, task: &str) -> Result<Vec<String>> {
    let history = order(cluster, &["history", task, "--json"]).await?.json()?;
    let terms = history["terms"].as_array().into_iter().flatten();
    Ok(terms
        .map(|term| term["host"].as_str().unwrap_or_default().to_owned())
        .collect())
}
