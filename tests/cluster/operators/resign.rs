//! `soloist resign`: orders that are followed, late, or never.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, client, eventually};
use zookeeper_client::{Acls, CreateMode};

use super::case::{RESIGN, fails, standbys};

/// The next in the queue leads; the host that led stands at its end; the history says why.
#[tokio::test]
async fn a_leader_that_is_asked_to_resigns_in_favour_of_the_next() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut hosts = cluster.queue(&["a", "b", "c"]).await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--reason", "kernel update"])
        .await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("b leads beat now in term 2"),
        "{answer:?}"
    );
    hosts[0]
        .event_where("draining", |event| event.text("reason") == Some("resigned"))
        .await?;
    hosts[0].event("released").await?;
    hosts[1].event("plugin-log").await?;
    let queued = eventually("the old leader to queue", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (standbys(&status) == ["c", "a"] && status["leader"]["host"] == "b").then_some(())
    });
    queued.await?;
    let terms = cluster.terms().await?;
    let end = &terms[1]["end"];
    ensure!(
        end["reason"] == "resigned" && end["detail"] == "kernel update",
        "{terms:?}"
    );
    // The order is fulfilled, so it is gone.
    let observer = cluster.client().await?;
    ensure!(observer.check_stat(RESIGN).await?.is_none());
    client::close(observer).await;
    cluster.verdict().check()
}

/// The last host of the queue leads next, if an operator asks for it; the hosts before it keep their places behind it.
#[tokio::test]
async fn leadership_can_be_handed_to_the_last_in_the_queue() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut hosts = cluster.queue(&["a", "b", "c", "d"]).await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--to", "d"])
        .await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("d leads beat now in term 2"),
        "{answer:?}"
    );
    hosts[3].event("plugin-log").await?;
    let standing = eventually("the others to stand", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (standbys(&status) == ["b", "c", "a"]).then_some(())
    });
    standing.await?;
    // They are good standbys, in their order.
    ensure!(hosts[3].terminate().await?.success());
    cluster
        .history
        .wait_for(0, "term 3", PATIENCE, |record| {
            record.is("activated") && record.event().is_some_and(|event| event.term == Some(3))
        })
        .await?;
    let verdict = cluster.verdict();
    let order: Vec<&str> = verdict
        .activities
        .iter()
        .map(|activity| activity.host.as_str())
        .collect();
    ensure!(order == ["a", "d", "b"], "{order:?}");
    verdict.check()
}

/// With three hundred in the queue, the handover to the last is a step, not three hundred: besides the two hosts of it, only the
/// head of the queue and whoever stood right behind the successor look.
#[tokio::test]
async fn a_handover_past_three_hundred_hosts_is_one_step() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _leader = cluster.queue(&["a"]).await?;
    let operator = cluster.client().await?;
    // Those in between are not there to do anything: if one of them were needed, the handover would not come to be.
    let idle = cluster.client().await?;
    let session = u64::from_ne_bytes(idle.session_id().0.to_ne_bytes());
    let ephemeral = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let _head = cluster.host("b")?.start(&cluster.history)?;
    eventually("b to stand", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (standbys(&status) == ["b"]).then_some(())
    })
    .await?;
    for number in 0..300 {
        let name = format!("/soloist/tasks/{TASK}/candidates/c-{session:016x}-idle{number}-");
        idle.create(&name, b"", &ephemeral).await?;
    }
    let mut last = cluster.host("z")?.start(&cluster.history)?;
    eventually("z to stand", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (standbys(&status).len() == 302).then_some(())
    })
    .await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--to", "z"])
        .await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("z leads beat now in term 2"),
        "{answer:?}"
    );
    last.event("plugin-log").await?;
    let status = cluster.status().await?;
    ensure!(standbys(&status)[0] == "b", "{status}");
    // The master node goes, and the head of the queue still waits for whoever leads.
    operator.delete(&Cluster::master(TASK), None).await?;
    last.event_where("draining", |event| {
        event.text("reason") == Some("node-lost")
    })
    .await?;
    client::close(operator).await;
    client::close(idle).await;
    cluster.verdict().check()
}

/// The successor dies with the handover: whoever is at the head of the queue leads.
#[tokio::test]
async fn a_successor_that_is_gone_holds_nobody_up_for_longer_than_its_session() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut hosts = cluster.queue(&["a", "b", "c", "d"]).await?;
    hosts[3].pause().await?;
    let order = cluster.operator(&[], &["resign", TASK, "--to", "d"]);
    let (answer, ended) = tokio::join!(order, async {
        hosts[0].event("released").await?;
        hosts[3].kill()
    });
    ended?;
    let answer = answer?;
    ensure!(
        answer.stderr.contains("b leads task beat now, not d"),
        "{answer:?}"
    );
    hosts[1].event("plugin-log").await?;
    cluster.verdict().check()
}

/// An order that cannot be fulfilled is not given: it says who could lead, and changes nothing.
#[tokio::test]
async fn nobody_resigns_in_favour_of_a_host_that_does_not_stand() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let _hosts = cluster.queue(&["a", "b", "c"]).await?;
    let before = cluster.status().await?;
    fails(
        &cluster,
        &["resign", TASK, "--to", "z"],
        &["host z does not stand", "b, c"],
    )
    .await?;
    fails(
        &cluster,
        &["resign", TASK, "--to", "a"],
        &["host a leads", "already"],
    )
    .await?;
    let after = cluster.status().await?;
    ensure!(before == after, "{before} has become {after}");
    let observer = cluster.client().await?;
    ensure!(
        observer.check_stat(RESIGN).await?.is_none(),
        "an order was left behind"
    );
    client::close(observer).await;
    Ok(())
}

/// An order for a term that has ended, and what is no order at all, mean nothing; the next true one is still heard.
#[tokio::test]
async fn orders_for_another_term_mean_nothing() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let _hosts = cluster.queue(&["a", "b"]).await?;
    ensure!(cluster.operator(&[], &["resign", TASK]).await?.code == Some(0));
    let observer = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    observer
        .create(RESIGN, br#"{"term":1,"to":"a","reason":"stale"}"#, &options)
        .await?;
    observer.set_data(RESIGN, b"{\"term\":", None).await?;
    observer
        .set_data(RESIGN, br#"{"term":3,"reason":"early"}"#, None)
        .await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--reason", "true"])
        .await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let terms = cluster.terms().await?;
    let numbers: Vec<_> = terms.iter().map(|term| term["number"].as_u64()).collect();
    ensure!(numbers == [Some(3), Some(2), Some(1)], "{terms:?}");
    ensure!(
        terms[1]["host"] == "b" && terms[1]["end"]["detail"] == "true",
        "{terms:?}"
    );
    client::close(observer).await;
    cluster.verdict().check()
}

/// A node for orders that the leader may not read is said to be in the way, once; when it is gone orders are heard again.
#[tokio::test]
async fn orders_that_cannot_be_read_are_reported_and_come_through_when_they_can() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let stranger = cluster.client_as("stranger:secret").await?;
    client::make_path(&stranger, "/soloist/tasks/beat").await?;
    let options = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger.create(RESIGN, b"", &options).await?;
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    let names = |message: &str| message.contains(RESIGN) && message.contains("ACL");
    hosts[0]
        .event_where("election-error", |event| names(&event.message))
        .await?;
    stranger.delete(RESIGN, None).await?;
    let answer = cluster.operator(&[], &["resign", TASK]).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let errors = hosts[0]
        .records()
        .into_iter()
        .filter(|record| record.is("election-error"));
    ensure!(errors.count() == 1);
    client::close(stranger).await;
    cluster.verdict().check()
}

/// A leader that does not answer: the command says so, and the order is followed as soon as the leader can.
#[tokio::test]
async fn an_order_stands_until_the_leader_follows_it() -> Result<()> {
    // However long a busy machine takes over the command, the leader still has its lease when it goes on.
    let settings = Settings::embedded().tick(Duration::from_secs(2));
    let cluster = Cluster::with(settings, Duration::from_secs(40)).await?;
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    hosts[0].pause().await?;
    fails(
        &cluster,
        &["resign", TASK, "--timeout", "200ms"],
        &["a was asked", "the order stands"],
    )
    .await?;
    hosts[0].resume()?;
    hosts[0]
        .event_where("draining", |event| event.text("reason") == Some("resigned"))
        .await?;
    hosts[1].event("plugin-log").await?;
    cluster.verdict().check()
}

/// The next in the queue cannot lead, and holds the others back until its session is over.
#[tokio::test]
async fn an_order_after_which_nobody_leads_is_not_fulfilled() -> Result<()> {
    let settings = Settings::standalone().property("maxSessionTimeout", "60000");
    let cluster = Cluster::with(settings, Duration::from_secs(60)).await?;
    let mut hosts = cluster.queue(&["a", "b"]).await?;
    hosts[1].pause().await?;
    fails(
        &cluster,
        &["resign", TASK, "--timeout", "15s"],
        &["a has resigned", "nobody leads task beat"],
    )
    .await?;
    hosts[1].resume()?;
    hosts[1].event("plugin-log").await?;
    cluster.verdict().check()
}

/// The host that shall lead is gone before its turn comes.
#[tokio::test]
async fn an_order_after_which_another_leads_is_not_fulfilled() -> Result<()> {
    let cluster = Cluster::with(Settings::embedded(), Duration::from_secs(4)).await?;
    let mut hosts = cluster.queue(&["a", "b", "c"]).await?;
    hosts[2].pause().await?;
    fails(
        &cluster,
        &["resign", TASK, "--to", "c"],
        &["leads task beat now, not c"],
    )
    .await?;
    hosts[2].resume()?;
    cluster.verdict().check()
}

/// The only host resigns and leads again, in a term of its own.
#[tokio::test]
async fn a_host_alone_leads_again() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let _hosts = cluster.queue(&["a"]).await?;
    let answer = cluster.operator(&[], &["resign", TASK]).await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("a leads beat now in term 2"),
        "{answer:?}"
    );
    cluster.verdict().check()
}
