//! Orders that come while something else goes wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::proxy::{Proxy, Traffic};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, client, eventually};
use zookeeper_client::{Acls, CreateMode};

use super::{drain_of, order, status};

/// The head of the queue is about to be elected when it is drained: the one behind it leads.
#[tokio::test]
async fn a_host_that_is_drained_during_its_election_lets_the_next_one_lead() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let mut hosts = Vec::new();
    for (id, stands) in [("a", "activated"), ("b", "standby"), ("c", "standby")] {
        // From when the leader is lost the next one waits for so long.
        let command = cluster.host(id)?.flag("--successor-delay", "5s");
        let mut host = command.start(&cluster.history)?;
        host.event(stands).await?;
        hosts.push(host);
    }
    hosts[0].kill()?;
    eventually("the session to expire", PATIENCE, async || {
        let task = cluster.status().await.ok()?;
        (task["leader"].is_null() && task["standbys"][0] == "b").then_some(())
    })
    .await?;
    order(&cluster, &["drain", "b"]).await?;
    hosts[2].event("activated").await?;
    let led = hosts[1].records().iter().any(|it| it.is("activated"));
    ensure!(!led, "a drained host has led");
    cluster.verdict().check()
}

/// A host hears of an order, and of its end, that was given while the host was cut off.
#[tokio::test]
async fn an_order_that_comes_while_the_connection_is_lost_is_heard_after_it() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let plugin = soloist_tests::build::artifacts()?.guest("heartbeat");
    let mut hidden = cluster
        .host_at(&proxy.connect_string(), "a", &plugin)?
        .flag("--task", TASK)
        .flag("--config", "interval=100ms")
        .start(&cluster.history)?;
    hidden.event("activated").await?;
    let mut standby = cluster.host("b")?.start(&cluster.history)?;
    standby.event("standby").await?;
    let mut from = 0;
    for (args, heard) in [
        (&["drain", "a", "--timeout", "1ms"][..], "host-drained"),
        (&["undrain", "a"], "host-undrained"),
        (&["drain", "a", "--timeout", "1ms"], "host-drained"),
    ] {
        proxy.set(Traffic::Cut);
        hidden
            .event_after(from, "session-disconnected", |_| true)
            .await?;
        from = cluster.history.len();
        let answer = cluster.operator(&[], args).await?;
        ensure!([Some(0), Some(4)].contains(&answer.code), "{answer:?}");
        proxy.set(Traffic::Passes);
        hidden.event_after(from, heard, |_| true).await?;
    }
    standby.event("activated").await?;
    cluster.verdict().check()
}

/// An order that the host may not read: it says so and goes on as before, and hears the next one that it can read.
#[tokio::test]
async fn an_order_that_the_host_cannot_read_changes_nothing_and_is_named() -> Result<()> {
    let cluster = Cluster::start().await?;
    let stranger = cluster.client_as("stranger:secret").await?;
    client::make_path(&stranger, "/soloist/drained").await?;
    let node = "/soloist/drained/a";
    let options = CreateMode::Persistent.with_acls(Acls::creator_all());
    let body = br#"{"version":1,"by":"x","at":"y"}"#;
    stranger.create(node, body, &options).await?;
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    let error = hosts[0]
        .event_where("session-error", |event| event.message.contains(node))
        .await?;
    let message = &error.event().context("no event")?.message;
    ensure!(
        message.contains("goes on as before") && message.contains("ACL"),
        "{message}"
    );
    // Nobody else is kept from asking.
    let unreadable = drain_of(&status(&cluster).await?, "a").context("not shown")?;
    ensure!(
        unreadable["by"].is_null() && unreadable["state"] == "ordered",
        "{unreadable}"
    );
    let refused = cluster.operator(&[], &["drain", "a"]).await?;
    ensure!(
        refused.code == Some(1) && refused.stderr.contains(node),
        "{refused:?}"
    );
    ensure!(cluster.operator(&[], &["undrain", "a"]).await?.code == Some(1));
    stranger.delete(node, None).await?;
    order(&cluster, &["drain", "a"]).await?;
    hosts[1].event("activated").await?;
    client::close(stranger).await;
    cluster.verdict().check()
}

/// Garbage and the order of a newer operator are no order that this host knows: it says so, and they are not written over.
#[tokio::test]
async fn what_is_no_order_that_the_host_knows_is_named_and_can_be_removed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = cluster.queue(&["a"]).await?;
    let observer = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let node = "/soloist/drained/a";
    for (body, told) in [
        (&b"what"[..], "delete the node, and drain the host again"),
        (br#"{"version":2,"hosts":"all"}"#, "update this host"),
    ] {
        let from = cluster.history.len();
        observer.create(node, body, &options).await?;
        hosts[0]
            .event_after(from, "session-error", |event| event.message.contains(told))
            .await?;
        let refused = cluster.operator(&[], &["drain", "a"]).await?;
        ensure!(
            refused.code == Some(1) && refused.stderr.contains(told),
            "{refused:?}"
        );
        ensure!(observer.get_data(node).await?.0 == body);
        order(&cluster, &["undrain", "a"]).await?;
    }
    let led = cluster.status().await?;
    ensure!(
        led["leader"]["host"] == "a" && led["leader"]["term"] == 1,
        "{led}"
    );
    order(&cluster, &["drain", "a"]).await?;
    // The order goes with all that is deleted, and its parent comes back with the next session or order.
    observer.delete(node, None).await?;
    observer.delete("/soloist/drained", None).await?;
    hosts[0].event("host-undrained").await?;
    order(&cluster, &["drain", "a"]).await?;
    client::close(observer).await;
    cluster.verdict().check()
}
