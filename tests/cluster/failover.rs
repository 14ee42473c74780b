//! How leadership moves: by request, by death, by another's hand, and by the end of a session.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, DEAF, TASK};
use soloist_tests::history::{Record, What};
use soloist_tests::host::{Command, Host};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, client, eventually, oracle};

/// A leader and a standby.
async fn pair(cluster: &Cluster) -> Result<(Host, Host)> {
    let mut leader = cluster.host("leader")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = cluster.host("standby")?.start(&cluster.history)?;
    standby.event("standby").await?;
    Ok((leader, standby))
}

/// The records of those names, in the order in which they were reported.
fn order<'a>(host: &Host, names: &[&'a str]) -> Vec<&'a str> {
    let records = host.records();
    records
        .iter()
        .filter_map(|record| names.iter().copied().find(|name| record.is(name)))
        .collect()
}

fn after(later: &Record, earlier: &Record) -> Result<Duration> {
    later
        .at
        .duration_since(earlier.at)
        .with_context(|| format!("{later:?} came before {earlier:?}"))
}

/// SIGTERM: the plugin is told and stops, then the node is released, then the next is elected; exit status 0.
#[tokio::test]
async fn a_leader_that_is_asked_to_stop_hands_over_cleanly() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    let status = leader.terminate().await?;
    ensure!(status.code() == Some(0), "{status}: {}", leader.errors());
    let ends = [
        "draining",
        "demoted",
        "revoked",
        "released",
        "session-closed",
    ];
    let seen = order(&leader, &ends);
    ensure!(
        seen == ["draining", "demoted", "released", "session-closed"],
        "{seen:?}"
    );
    leader
        .event_where("draining", |event| event.text("reason") == Some("shutdown"))
        .await?;
    // What `on_demoted` of the plugin says.
    leader
        .event_where("plugin-log", |event| {
            event.message.starts_with("stops after")
        })
        .await?;
    let released = leader.event("demoted").await?;
    after(&standby.event("elected").await?, &released)?;
    standby.event("plugin-log").await?;
    cluster.verdict().check()
}

/// SIGKILL: the next is elected when the session of the dead host has expired, and not before.
#[tokio::test]
async fn a_killed_leader_is_replaced_when_its_session_expires() -> Result<()> {
    let timeout = Duration::from_secs(4);
    let cluster = Cluster::with(Settings::standalone(), timeout).await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    let killed = SystemTime::now();
    leader.kill()?;
    let elected = standby.event("elected").await?;
    let took = elected.at.duration_since(killed)?;
    // The last heartbeat may be a tenth of the timeout old.
    ensure!(
        took > timeout / 2,
        "elected {took:?} after the leader was killed"
    );
    standby.event("plugin-log").await?;
    cluster.verdict().check()
}

/// The master node deleted by somebody else: the leader stops first, the next follows, and the old one queues again.
#[tokio::test]
async fn a_leader_whose_node_is_deleted_stops_before_the_next_begins() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    let operator = cluster.client().await?;
    let deleted = cluster.history.len();
    operator.delete(&Cluster::master(TASK), None).await?;
    leader
        .event_where("draining", |event| {
            event.text("reason") == Some("node-lost")
        })
        .await?;
    let demoted = leader.event("demoted").await?;
    after(&standby.event("elected").await?, &demoted)?;
    leader.event_after(deleted, "standby", |_| true).await?;
    // It leads again when its turn comes.
    ensure!(standby.terminate().await?.success());
    leader.event_after(deleted, "activated", |_| true).await?;
    client::close(operator).await;
    cluster.verdict().check()
}

/// All nodes deleted by somebody else: the host makes them anew, leads again, and its lease is renewed as before.
#[tokio::test]
async fn a_leader_whose_every_node_is_deleted_leads_again_and_stays() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let mut leader = cluster.host("leader")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let operator = cluster.client().await?;
    let deleted = cluster.history.len();
    let heartbeats = "/soloist/hosts/leader";
    // At once, or a heartbeat in between makes a node anew.
    let mut all = operator.new_multi_writer();
    for path in [Cluster::master(TASK).as_str(), heartbeats, "/soloist/hosts"] {
        all.add_delete(path, None)?;
    }
    all.commit().await?;
    leader.event_after(deleted, "activated", |_| true).await?;
    // Ten are sent in a session timeout: without the lease they renew, leadership would have ended by now.
    eventually("twenty heartbeats", PATIENCE, async || {
        operator
            .check_stat(heartbeats)
            .await
            .ok()
            .flatten()
            .filter(|stat| stat.version >= 20)
            .map(drop)
    })
    .await?;
    let expiring = leader
        .records()
        .iter()
        .any(|record| matches!(&record.what, What::Event(event) if event.text("reason") == Some("lease-expiring")));
    ensure!(!expiring, "the lease was not renewed");
    client::close(operator).await;
    cluster.verdict().check()
}

/// A leader frozen for longer than its session: it is revoked when it wakes, without one more effect, and stands again.
#[tokio::test]
async fn a_leader_frozen_past_its_session_has_no_effect_when_it_wakes() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    let paused = std::time::Instant::now();
    leader.pause().await?;
    standby.event("plugin-log").await?;
    let woken = cluster.history.len();
    leader.resume()?;
    let revoked = leader.event_after(woken, "revoked", |_| true).await?;
    let overdue = revoked.event().and_then(|event| event.duration("overdue"));
    // The session was gone before it woke, and the lease before the session; when it was paused there was a lease.
    let most = paused.elapsed();
    ensure!(
        overdue.is_some_and(|overdue| overdue > Duration::ZERO && overdue < most),
        "{revoked}"
    );
    leader
        .event_after(woken, "session-expired", |_| true)
        .await?;
    leader.event_after(woken, "standby", |_| true).await?;
    cluster.verdict().check()?;
    // It is a good standby: it takes over in its turn.
    ensure!(standby.terminate().await?.success());
    leader.event_after(woken, "activated", |_| true).await?;
    ensure!(leader.terminate().await?.success());
    oracle::judge_ended(&cluster.history).check()
}

/// `successor_delay`: whoever follows a leader that never said that it had stopped waits for so long, and for nobody else.
#[tokio::test]
async fn a_successor_waits_for_effects_of_a_leader_that_never_said_it_had_stopped() -> Result<()> {
    let delay = Duration::from_secs(5);
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let start = |id| {
        cluster
            .host(id)?
            .flag("--successor-delay", "5s")
            .start(&cluster.history)
    };
    let mut first = start("first")?;
    first.event("plugin-log").await?;
    let mut second = start("second")?;
    second.event("standby").await?;
    let observer = cluster.client().await?;
    first.kill()?;
    // The last moment at which the first leader is known to have held the node.
    let mut held = SystemTime::now();
    eventually(
        "the session of the first leader to expire",
        PATIENCE,
        async || {
            let asked = SystemTime::now();
            let owner = client::owner(&observer, &Cluster::master(TASK))
                .await
                .ok()?;
            held = if owner.is_some() { asked } else { held };
            owner.is_none().then_some(())
        },
    )
    .await?;
    let waited = second.event("elected").await?.at.duration_since(held)?;
    ensure!(
        waited >= delay,
        "elected {waited:?} after the first leader was gone"
    );
    let mut third = start("third")?;
    third.event("standby").await?;
    ensure!(second.terminate().await?.success());
    let (elected, released) = (
        third.event("elected").await?,
        second.event("released").await?,
    );
    // The successor may hear of the release before the one who released.
    let handover = elected.at.duration_since(released.at).unwrap_or_default();
    ensure!(handover < delay, "elected {handover:?} after a release");
    client::close(observer).await;
    cluster.verdict().check()
}

/// A plugin that ignores its demotion is stopped by force after `demote_timeout`; only then is the node released.
#[tokio::test]
async fn a_plugin_that_ignores_its_demotion_is_revoked() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = cluster.file("deaf.wat", DEAF)?;
    let limit = Duration::from_millis(500);
    let command = |id| -> Result<Command> {
        Ok(cluster
            .host_of(id, &plugin)?
            .flag("--task", TASK)
            .flag("--demote-timeout", "500ms"))
    };
    let mut leader = command("leader")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = command("standby")?.start(&cluster.history)?;
    standby.event("standby").await?;
    let status = leader.terminate().await?;
    ensure!(status.code() == Some(0), "{status}: {}", leader.errors());
    let seen = order(&leader, &["draining", "demoted", "revoked", "released"]);
    ensure!(seen == ["draining", "revoked", "released"], "{seen:?}");
    let revoked = leader.event("revoked").await?;
    let took = after(&revoked, &leader.event("draining").await?)?;
    // Far less than anything else that could have ended it; a busy machine is late.
    ensure!(
        took >= limit && took < limit + Duration::from_secs(5),
        "revoked after {took:?}"
    );
    after(&standby.event("activated").await?, &revoked)?;
    cluster.verdict().check()
}
