//! Who leads, and who waits behind whom.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::Client;

/// Of three hosts that start together exactly one leads; the others stand by, and ZooKeeper names the leader.
#[tokio::test]
async fn one_of_three_is_elected() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = Vec::new();
    for id in ["a", "b", "c"] {
        hosts.push(cluster.host(id)?.start(&cluster.history)?);
    }
    let elected = cluster
        .history
        .wait_for(0, "an activation", PATIENCE, |record| {
            record.is("activated")
        })
        .await?;
    for host in hosts.iter_mut().filter(|host| host.pid() != elected.pid) {
        host.event("standby").await?;
    }
    let client = cluster.client().await?;
    let (data, _) = client.get_data(&Cluster::master(TASK)).await?;
    let master: serde_json::Value = serde_json::from_slice(&data)?;
    ensure!(
        master["host"] == *elected.host && master["term"] == 1,
        "the master node says {master}"
    );
    client::close(client).await;
    // The leader has had time to act, and nobody else has acted.
    let leader = hosts
        .iter_mut()
        .find(|host| host.pid() == elected.pid)
        .context("an unknown host leads")?;
    leader.event("plugin-log").await?;
    ensure!(cluster.verdict().activities.len() == 1);
    cluster.verdict().check()
}

/// A host that stands by says who leads.
#[tokio::test]
async fn a_standby_names_the_leader() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut leader = cluster.host("the-leader")?.start(&cluster.history)?;
    leader.event("activated").await?;
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby
        .event_where("standby", |event| {
            event.text("leader") == Some("the-leader")
        })
        .await?;
    Ok(())
}

/// First come, first served: leadership goes through the queue in the order in which hosts joined it.
#[tokio::test]
async fn leadership_follows_the_queue() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = cluster.queue(&["a", "b", "c", "d"]).await?;
    for host in &mut hosts {
        host.event("activated").await?;
        ensure!(host.terminate().await?.success(), "{}", host.errors());
    }
    let verdict = cluster.verdict();
    let order: Vec<&str> = verdict
        .activities
        .iter()
        .map(|activity| activity.host.as_str())
        .collect();
    ensure!(order == ["a", "b", "c", "d"], "{order:?}");
    let terms: Vec<u64> = verdict
        .activities
        .iter()
        .map(|activity| activity.term)
        .collect();
    ensure!(terms == [1, 2, 3, 4], "{terms:?}");
    verdict.check()
}

/// No herd: each candidate watches its predecessor and nothing else; the leader its own master node, and orders to
/// resign.
#[tokio::test]
async fn each_candidate_watches_only_itself_and_its_predecessor() -> Result<()> {
    let cluster = Cluster::real().await?;
    let _hosts = cluster.queue(&["a", "b", "c", "d"]).await?;
    let client = cluster.client().await?;
    let queue = queue(&client).await?;
    ensure!(queue.len() == 4, "{queue:?}");
    let of_the_task = |node: &str| format!("/soloist/tasks/{TASK}/{node}");
    let of_the_leader = [
        Cluster::master(TASK),
        of_the_task("term"),
        of_the_task("resign"),
        queue[0].0.clone(),
    ];
    let of_the_leader = BTreeSet::from(of_the_leader);
    let mut expected = BTreeMap::from([(queue[0].1, of_the_leader)]);
    for pair in queue.windows(2) {
        expected.insert(
            pair[1].1,
            BTreeSet::from([pair[0].0.clone(), pair[1].0.clone()]),
        );
    }
    // Each host hears of an order to drain it.
    for (session, host) in queue.iter().map(|it| it.1).zip(["a", "b", "c", "d"]) {
        let watched = expected.entry(session).or_default();
        watched.insert(format!("/soloist/drained/{host}"));
    }
    // A host says that it stands by before its watch is set.
    let mut seen = BTreeMap::new();
    let settled = eventually("the watches to be set", PATIENCE, async || {
        seen = watches(&cluster.zookeeper.ask(0, "wchc").await.ok()?);
        (seen == expected).then_some(())
    });
    let settled = settled.await;
    settled.with_context(|| format!("sessions watch {seen:#?}, where {expected:#?} was expected"))
}

/// The paths of the candidates in the order of the queue, with the sessions that own them.
async fn queue(client: &Client) -> Result<Vec<(String, i64)>> {
    let parent = format!("/soloist/tasks/{TASK}/candidates");
    let mut candidates = Vec::new();
    for name in client.list_children(&parent).await? {
        let path = format!("{parent}/{name}");
        let stat = client
            .check_stat(&path)
            .await?
            .context("a candidate left")?;
        candidates.push((stat.czxid, path, stat.ephemeral_owner));
    }
    candidates.sort();
    Ok(candidates
        .into_iter()
        .map(|(_, path, owner)| (path, owner))
        .collect())
}

/// Which session watches what, from the answer to `wchc`.
fn watches(answer: &str) -> BTreeMap<i64, BTreeSet<String>> {
    let mut watches = BTreeMap::<i64, BTreeSet<String>>::new();
    let mut session = 0;
    for line in answer.lines() {
        match line.trim() {
            "" => {}
            path if path.starts_with('/') => {
                watches.entry(session).or_default().insert(path.to_owned());
            }
            id => {
                session = i64::from_str_radix(id.trim_start_matches("0x"), 16).unwrap_or_default();
            }
        }
    }
    watches
}

/// One host stands for several tasks at once, and they are elected and move independently of each other.
#[tokio::test]
async fn one_host_stands_for_several_tasks() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let task = |name: &str| {
        format!(
            "[[task]]\nname = {name:?}\nplugin = {:?}\n",
            plugin.display().to_string()
        )
    };
    let only_one = cluster.file("one.toml", task("one"))?;
    let all = cluster.file("all.toml", ["one", "two", "three"].map(task).concat())?;
    let mut first = cluster
        .host_of("first", &only_one)?
        .start(&cluster.history)?;
    first.event("activated").await?;
    let mut second = cluster.host_of("second", &all)?.start(&cluster.history)?;
    for name in ["two", "three"] {
        second
            .event_where("plugin-log", |event| event.task.as_deref() == Some(name))
            .await?;
    }
    second
        .event_where("standby", |event| event.task.as_deref() == Some("one"))
        .await?;
    ensure!(first.terminate().await?.success());
    second
        .event_where("plugin-log", |event| event.task.as_deref() == Some("one"))
        .await?;
    ensure!(second.terminate().await?.success());
    ensure!(cluster.verdict().activities.len() == 4);
    cluster.verdict().check()
}
