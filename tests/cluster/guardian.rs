//! What a guardian does when the process that it guards is dead, and what it does not.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::certificates::Certificates;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::Record;
use soloist_tests::host::Host;
use soloist_tests::proxy::{Proxy, Traffic};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, build, client, eventually};

/// Far longer than anything here takes: what happens sooner does not come of a session that has expired.
const TIMEOUT: Duration = Duration::from_secs(40);

async fn cluster() -> Result<Cluster> {
    Cluster::with(
        Settings::standalone().property("maxSessionTimeout", "60000"),
        TIMEOUT,
    )
    .await
}

/// A leader with a guardian, and a standby.
async fn pair(cluster: &Cluster) -> Result<(Host, Host)> {
    let mut leader = cluster.host("leader")?.guarded().start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = cluster.host("standby")?.guarded().start(&cluster.history)?;
    standby.event("standby").await?;
    Ok((leader, standby))
}

/// The ends of terms in the history, the latest first.
async fn ends(cluster: &Cluster) -> Result<Vec<(String, String)>> {
    let terms = cluster.terms().await?;
    let text = |term: &serde_json::Value, name: &str| {
        let end = term["end"].get(name).and_then(|it| it.as_str());
        end.unwrap_or_default().to_owned()
    };
    Ok(terms
        .iter()
        .map(|term| (text(term, "reason"), text(term, "detail")))
        .collect())
}

/// SIGKILL: the next one leads at once, by the history of a release; the dead one comes back, and stands behind it.
#[tokio::test]
async fn a_leader_whose_process_is_killed_is_replaced_at_once_and_comes_back() -> Result<()> {
    let cluster = cluster().await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    let killed = (cluster.history.len(), SystemTime::now());
    leader.signal_guarded(Signal::KILL).await?;
    standby.event("elected").await?;
    let took = standby
        .event("activated")
        .await?
        .at
        .duration_since(killed.1)?;
    println!("killed to activated: {took:?}");
    ensure!(took < TIMEOUT / 4, "{took:?}");
    let died = leader.event("host-died").await?;
    let how = died.event().and_then(|event| event.text("how"));
    ensure!(how == Some("killed: signal 9"), "{died}");
    let freed = leader.event("given-back").await?;
    let freed = &freed.event().context("no event")?.line;
    println!("{freed}");
    ensure!(
        freed["terms"] == 1 && freed["nodes"] == 1 && freed["left"] == 0,
        "{freed}"
    );
    let back = leader.event_after(killed.0, "standby", |_| true).await?;
    let took = back.at.duration_since(killed.1)?;
    ensure!(took < TIMEOUT / 4, "it waited for its own id: {took:?}");
    let ends = ends(&cluster).await?;
    // The first is that of the term that goes on.
    ensure!(ends[1] == ("killed".into(), "signal 9".into()), "{ends:?}");
    cluster.verdict().check()?;
    // It is as good as before.
    ensure!(standby.terminate().await?.code() == Some(0));
    leader.event_after(killed.0, "activated", |_| true).await?;
    ensure!(
        leader.terminate().await?.code() == Some(0),
        "{}",
        leader.errors()
    );
    cluster.verdict().check()
}

/// Its place in the queue goes with it: nobody waits behind a dead standby.
#[tokio::test]
async fn a_standby_whose_process_is_killed_leaves_the_queue_at_once() -> Result<()> {
    let cluster = cluster().await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    let mut third = cluster.host("third")?.guarded().start(&cluster.history)?;
    third.event("standby").await?;
    standby.signal_guarded(Signal::KILL).await?;
    let freed = standby.event("given-back").await?;
    let freed = &freed.event().context("no event")?.line;
    ensure!(freed["terms"] == 0 && freed["places"] == 1, "{freed}");
    let begun = SystemTime::now();
    ensure!(leader.terminate().await?.code() == Some(0));
    let took = third.event("activated").await?.at.duration_since(begun)?;
    ensure!(took < TIMEOUT / 4, "{took:?}");
    cluster.verdict().check()
}

/// A process that is stopped is not dead, however long it stays so: its guardian gives nothing back.
#[tokio::test]
async fn nothing_is_given_back_while_the_process_is_only_stopped() -> Result<()> {
    let cluster = cluster().await?;
    let (leader, mut standby) = pair(&cluster).await?;
    let observer = cluster.client().await?;
    let before = client::owner(&observer, &Cluster::master(TASK)).await?;
    leader.signal_guarded(Signal::STOP).await?;
    let from = cluster.history.len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = client::owner(&observer, &Cluster::master(TASK)).await?;
    ensure!(before == after && before.is_some(), "{before:?} {after:?}");
    ensure!(
        !cluster
            .history
            .since(from)
            .iter()
            .any(|it| it.is("elected")),
        "elected"
    );
    // Stopped, and then killed: now it is dead.
    leader.signal_guarded(Signal::KILL).await?;
    standby.event("activated").await?;
    client::close(observer).await;
    cluster.verdict().check()
}

/// The guardian is killed: the process hears it, hands over and ends.
#[tokio::test]
async fn a_process_whose_guardian_is_killed_hands_over_and_ends() -> Result<()> {
    let cluster = cluster().await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    let guarded = leader.guarded_pid().await?;
    leader.signal(Signal::KILL)?;
    standby.event("activated").await?;
    eventually("the end of the process", PATIENCE, async || {
        rustix::process::test_kill_process(guarded).err()
    })
    .await?;
    let ends = ends(&cluster).await?;
    ensure!(ends[1].0 == "shutdown", "{ends:?}");
    cluster.verdict().check()
}

/// With `--on-death exit` the guardian ends as its process has ended, once it has given back.
#[tokio::test]
async fn a_guardian_ends_as_its_process_if_it_is_told_to() -> Result<()> {
    let cluster = cluster().await?;
    let mut leader = cluster
        .host("leader")?
        .guarded()
        .flag("--on-death", "exit")
        .start(&cluster.history)?;
    leader.event("plugin-log").await?;
    leader.signal_guarded(Signal::KILL).await?;
    let status = leader.ended().await?;
    ensure!(status.code() == Some(137), "{status}");
    leader.event("given-back").await?;
    let observer = cluster.client().await?;
    for path in [&Cluster::master(TASK), "/soloist/hosts/leader"] {
        ensure!(client::owner(&observer, path).await?.is_none(), "{path}");
    }
    client::close(observer).await;
    cluster.verdict().check()
}

/// A guardian that is stopped while its process dies gives nothing back. Once it goes on, the session has expired and somebody
/// else leads: it takes nothing from them.
#[tokio::test]
async fn a_guardian_that_comes_too_late_takes_nothing_from_whoever_leads_by_then() -> Result<()> {
    let short = Duration::from_secs(4);
    let cluster = Cluster::with(Settings::standalone(), short).await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    leader.signal(Signal::STOP)?;
    let killed = SystemTime::now();
    leader.signal_guarded(Signal::KILL).await?;
    let elected = standby.event("elected").await?;
    ensure!(elected.at.duration_since(killed)? > short / 2, "{elected}");
    standby.event("activated").await?;
    let from = cluster.history.len();
    leader.signal(Signal::CONT)?;
    let freed = leader.event("given-back").await?;
    let freed = &freed.event().context("no event")?.line;
    ensure!(freed["terms"] == 0 && freed["nodes"] == 0, "{freed}");
    leader.event_after(from, "standby", |_| true).await?;
    let observer = cluster.client().await?;
    ensure!(
        client::owner(&observer, &Cluster::master(TASK))
            .await?
            .is_some()
    );
    let ends = |it: &Record| it.is("draining") || it.is("demoted") || it.is("revoked");
    ensure!(
        !cluster.history.since(from).iter().any(ends),
        "it has stopped"
    );
    client::close(observer).await;
    Ok(())
}

/// A guardian that the ensemble cannot be reached from tries again, until the session must have expired.
#[tokio::test]
async fn a_guardian_that_is_cut_off_leaves_the_rest_to_the_end_of_the_session() -> Result<()> {
    let short = Duration::from_secs(4);
    let cluster = Cluster::with(Settings::standalone(), short).await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let servers = proxy.connect_string();
    let leader = cluster.host_at(&servers, "leader", &plugin)?.guarded();
    let mut leader = leader.flag("--task", TASK).start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = cluster.host("standby")?.guarded().start(&cluster.history)?;
    standby.event("standby").await?;
    proxy.set(Traffic::Lost);
    leader.signal_guarded(Signal::KILL).await?;
    standby.event("activated").await?;
    let freed = leader.event("given-back").await?;
    let freed = &freed.event().context("no event")?.line;
    ensure!(freed["terms"] == 0 && freed["left"] == 2, "{freed}");
    let from = cluster.history.len();
    proxy.set(Traffic::Passes);
    leader.event_after(from, "standby", |_| true).await?;
    cluster.verdict().check()
}

/// Killed while it starts, joins, elects, is asked to stop, releases or tells its guardian: whatever it had is given back, and
/// nobody waits for a session to expire. Each round draws its moments anew.
#[tokio::test]
async fn a_process_may_be_killed_at_any_moment() -> Result<()> {
    const ROUNDS: u32 = 16;
    let cluster = cluster().await?;
    let mut random = soloist_seed::Random::new(soloist_seed::seed());
    let start = |id: &str| cluster.host(id)?.guarded().start(&cluster.history);
    let mut hosts = [start("a")?, start("b")?];
    let begun = std::time::Instant::now();
    for round in 0..ROUNDS {
        let host = &mut hosts[usize::try_from(random.below(2))?];
        tokio::time::sleep(Duration::from_millis(random.below(120))).await;
        let asked = random.below(2) == 0;
        let shot = async {
            if asked {
                host.signal_guarded(Signal::TERM).await?;
                tokio::time::sleep(Duration::from_micros(random.below(8_000))).await;
            }
            host.signal_guarded(Signal::KILL).await
        };
        // One that was asked to stop may be quicker. Then its guardian ends as well.
        if let Err(error) = shot.await
            && !host.has_ended()?
        {
            return Err(error.context(format!("round {round}")));
        }
        if asked {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if host.has_ended()? {
            *host = start(host.id())?;
        }
    }
    for host in &mut hosts {
        if host.has_ended()? {
            *host = start(host.id())?;
        }
    }
    let observer = cluster.client().await?;
    let candidates = format!("/soloist/tasks/{TASK}/candidates");
    eventually("both, and nothing of the dead", PATIENCE, async || {
        let names = observer.list_children(&candidates).await.ok()?;
        let led = client::owner(&observer, &Cluster::master(TASK))
            .await
            .ok()?;
        (names.len() == 2 && led.is_some()).then_some(())
    })
    .await?;
    println!("{ROUNDS} rounds in {:?}", begun.elapsed());
    ensure!(
        begun.elapsed() < TIMEOUT * ROUNDS / 4,
        "sessions have expired"
    );
    let left = |it: &Record| {
        it.event()
            .is_some_and(|it| it.name == "given-back" && it.line["left"] != 0)
    };
    let left: Vec<_> = cluster.history.since(0).into_iter().filter(left).collect();
    ensure!(left.is_empty(), "{left:?}");
    client::close(observer).await;
    cluster.verdict().check()
}

/// Under `nohup` the end of the terminal changes nothing, and a death is noticed all the same.
#[tokio::test]
async fn a_guardian_under_nohup_goes_on_without_its_terminal_and_gives_back_what_the_dead_had()
-> Result<()> {
    let cluster = cluster().await?;
    let leader = cluster.host("leader")?.guarded().nohup();
    let mut leader = leader.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = cluster.host("standby")?.guarded().start(&cluster.history)?;
    standby.event("standby").await?;
    let guarded = leader.guarded_pid().await?;
    leader.signal(Signal::HUP)?;
    leader.signal_guarded(Signal::HUP).await?;
    // What either does at a signal, it does before the plugin has said several more things.
    for _ in 0..3 {
        let from = cluster.history.len();
        leader.event_after(from, "plugin-log", |_| true).await?;
    }
    ensure!(leader.guarded_pid().await? == guarded, "another process");
    leader.signal_guarded(Signal::KILL).await?;
    standby.event("activated").await?;
    let freed = leader.event("given-back").await?;
    let freed = &freed.event().context("no event")?.line;
    ensure!(freed["terms"] == 1 && freed["left"] == 0, "{freed}");
    ensure!(standby.terminate().await?.code() == Some(0));
    ensure!(leader.terminate().await?.code() == Some(0));
    cluster.verdict().check()
}

/// The guardian has the certificates of the host, and asks for its session with TLS.
#[tokio::test]
async fn a_guardian_gives_back_over_tls_as_well() -> Result<()> {
    let certificates = Certificates::new()?;
    let cluster = super::tls::secure(&certificates).await?;
    let (mut leader, mut standby) = pair(&cluster).await?;
    leader.signal_guarded(Signal::KILL).await?;
    standby.event("activated").await?;
    let freed = leader.event("given-back").await?;
    let freed = &freed.event().context("no event")?.line;
    ensure!(
        freed["terms"] == 1 && freed["nodes"] == 1 && freed["left"] == 0,
        "{freed}"
    );
    ensure!(standby.terminate().await?.code() == Some(0));
    cluster.verdict().check()
}
