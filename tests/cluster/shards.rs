//! Hosts with more tasks than one session can watch: they have several, and each stands for its tasks alone.
//!
//! Long paths make sessions small: with these roots a dozen tasks fill one, as hundreds do with usual paths.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::{Command, Host};
use soloist_tests::proxy::{Proxy, Traffic};
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::Client;

/// How many tasks there are: enough for three sessions.
const TASKS: usize = 56;

fn root() -> String {
    format!("/{}", "r".repeat(1000))
}

fn name(number: usize) -> String {
    format!("task-{number:02}")
}

/// The configuration of a host with the first so many tasks.
fn config(cluster: &Cluster, file: &str, tasks: usize) -> Result<std::path::PathBuf> {
    let plugin = build::artifacts()?.guest("hello").display().to_string();
    let task = |number| {
        format!(
            "[[task]]\nname = \"{}\"\nplugin = {plugin:?}\n",
            name(number)
        )
    };
    let tasks: String = (0..tasks).map(task).collect();
    cluster.file(file, format!("[zookeeper]\nroot = \"{}\"\n{tasks}", root()))
}

fn host(cluster: &Cluster, id: &str) -> Result<Command> {
    cluster.host_of(id, &config(cluster, "tasks.toml", TASKS)?)
}

/// Starts a host, and waits until it has reported that event for each task.
async fn settled(cluster: &Cluster, id: &str, event: &str) -> Result<Host> {
    let mut host = host(cluster, id)?.start(&cluster.history)?;
    of_each(&mut host, 0, event).await?;
    Ok(host)
}

/// Waits until the host has reported that event for each task, from that position of the history on.
async fn of_each(host: &mut Host, from: usize, event: &str) -> Result<()> {
    for number in 0..TASKS {
        let task = name(number);
        host.event_after(from, event, |event| event.task.as_ref() == Some(&task))
            .await?;
    }
    Ok(())
}

/// The session that holds the master node of each task.
async fn holders(client: &Client) -> Result<Vec<i64>> {
    let mut holders = Vec::new();
    for number in 0..TASKS {
        let path = format!("{}/tasks/{}/master", root(), name(number));
        let owner = client::owner(client, &path).await?;
        holders.push(owner.with_context(|| format!("nobody leads {}", name(number)))?);
    }
    Ok(holders)
}

/// The node of a further session.
fn shard(number: u32, host: &str) -> String {
    format!("{}/shards/{number}/{host}", root())
}

#[tokio::test]
async fn the_end_of_one_session_of_a_host_ends_the_terms_of_its_tasks_alone() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let client = cluster.client().await?;
    let cluster = cluster.through(proxy.connect_string());
    let _first = settled(&cluster, "a", "activated").await?;
    let before = holders(&client).await?;
    let sessions: BTreeSet<_> = before.iter().copied().collect();
    ensure!(sessions.len() == 3, "{sessions:x?}");
    let hosts = client.list_children(&format!("{}/hosts", root())).await?;
    ensure!(hosts == ["a"], "sessions are taken for hosts: {hosts:?}");
    let mut second = settled(&cluster, "b", "standby").await?;
    let lost = client::owner(&client, &shard(2, "a")).await?;
    let lost = lost.context("there is no second session")?;
    let from = cluster.history.len();
    proxy.close_session(lost).await?;
    for number in (0..TASKS).filter(|number| before[*number] == lost) {
        let task = name(number);
        second
            .event_after(from, "activated", |event| {
                event.task.as_ref() == Some(&task)
            })
            .await?;
    }
    let after = holders(&client).await?;
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        ensure!(
            (before == after) == (*before != lost),
            "{} has moved from {before:x} to {after:x}, and {lost:x} was closed",
            name(number)
        );
    }
    // The host has another session for them, and stands by.
    eventually("another second session", PATIENCE, async || {
        let owner = client::owner(&client, &shard(2, "a")).await.ok()??;
        (owner != lost).then_some(())
    })
    .await?;
    cluster.verdict().check()
}

/// One session would have more to watch than the client library can tell a server at once.
#[tokio::test]
async fn all_sessions_outlive_a_lost_connection_and_hear_of_changes_after_it() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let client = cluster.client().await?;
    let mut leader = settled(&cluster, "a", "activated").await?;
    let cluster = cluster.through(proxy.connect_string());
    let mut standby = settled(&cluster, "b", "standby").await?;
    let of_standby = |from| {
        let events = cluster.history.since(from);
        let names = ["session-expired", "session-closed", "session-error"];
        let ended = names.map(|name| events.iter().filter(|it| it.is(name)).count());
        ended.iter().sum::<usize>()
    };
    let from = cluster.history.len();
    for _ in 0..3 {
        let cut = cluster.history.len();
        for (traffic, seen) in [
            (Traffic::Cut, "session-disconnected"),
            (Traffic::Passes, "session-connected"),
        ] {
            proxy.set(traffic);
            for shard in [None, Some(2), Some(3)] {
                standby
                    .event_after(cut, seen, |event| event.line["shard"].as_u64() == shard)
                    .await?;
            }
        }
    }
    ensure!(of_standby(from) == 0, "a session has not come back");
    ensure!(leader.terminate().await?.success());
    of_each(&mut standby, from, "activated").await?;
    client::close(client).await;
    cluster.verdict().check()
}

#[tokio::test]
async fn a_second_process_of_the_same_id_stands_in_no_session() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let mut first = settled(&cluster, "a", "activated").await?;
    let mut second = host(&cluster, "a")?.start(&cluster.history)?;
    second.event("session-error").await?;
    for number in 0..TASKS {
        let queue = format!("{}/tasks/{}/candidates", root(), name(number));
        let queue = client.list_children(&queue).await?;
        ensure!(queue.len() == 1, "{queue:?}");
    }
    ensure!(first.terminate().await?.success());
    of_each(&mut second, 0, "activated").await?;
    cluster.verdict().check()
}

#[tokio::test]
async fn sessions_come_and_go_with_the_tasks_of_a_reload() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let mut host = settled(&cluster, "a", "activated").await?;
    let before = holders(&client).await?;
    let reload = async |host: &mut Host, tasks| {
        config(&cluster, "tasks.toml", tasks)?;
        let from = cluster.history.len();
        host.signal(Signal::HUP)?;
        host.event_after(from, "reloaded", |_| true).await
    };
    reload(&mut host, 20).await?;
    for number in [2, 3] {
        eventually("the session to be closed", PATIENCE, async || {
            let left = client::owner(&client, &shard(number, "a")).await.ok()?;
            left.is_none().then_some(())
        })
        .await?;
    }
    let from = cluster.history.len();
    reload(&mut host, TASKS).await?;
    for number in 20..TASKS {
        let task = name(number);
        host.event_after(from, "activated", |event| {
            event.task.as_ref() == Some(&task)
        })
        .await?;
    }
    let after = holders(&client).await?;
    ensure!(before[..20] == after[..20], "a task that stays has moved");
    ensure!(after.iter().collect::<BTreeSet<_>>().len() == 3);
    ensure!(host.terminate().await?.success());
    client::close(client).await;
    cluster.verdict().check()
}

/// A host is empty only when nothing is left in any of its sessions.
#[tokio::test]
async fn a_drained_host_hands_over_what_it_has_in_all_sessions() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    let _first = settled(&cluster, "a", "activated").await?;
    let mut second = settled(&cluster, "b", "standby").await?;
    let from = cluster.history.len();
    let root = root();
    let args = ["drain", "a", "--root", &root];
    let answer = cluster.operator(&[], &args).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    of_each(&mut second, from, "activated").await?;
    let sessions = [shard(2, "b"), shard(3, "b"), format!("{root}/hosts/b")];
    let mut of_second = BTreeSet::new();
    for path in &sessions {
        of_second.extend(client::owner(&client, path).await?);
    }
    ensure!(
        holders(&client)
            .await?
            .iter()
            .all(|it| of_second.contains(it))
    );
    client::close(client).await;
    cluster.verdict().check()
}
