//! Slots of a schedule: none is lost, none changes the state twice, whatever becomes of the host that runs it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::Event;
use soloist_tests::host::{Command, Host};
use soloist_tests::proxy::{Op, Proxy};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, client};
use zookeeper_client::{Acls, Client, CreateMode};

const REPORTS: &str = "/soloist/tasks/beat/state/reports";
const RECORD: &str = "/soloist/tasks/beat/schedules/main";
/// The operation that reads what a node holds.
const GET_DATA: i32 = 4;

/// A host that makes a report every second, and takes so long for each.
fn reporter(cluster: &Cluster, id: &str, takes: &str) -> Result<Command> {
    let plugin = build::artifacts()?.guest("cron-report");
    let command = cluster
        .host_of(id, &plugin)?
        .arg("--allow-state")
        .flag("--task", TASK);
    Ok(command
        .flag("--config", "cron=* * * * * *")
        .flag("--config", "zone=UTC")
        .flag("--config", format!("takes={takes}")))
}

fn says(event: &Event, what: &str) -> bool {
    event.name == "plugin-log" && event.message.starts_with(what)
}

/// Waits until a host has made so many more reports.
async fn until_made(cluster: &Cluster, host: &mut Host, more: usize) -> Result<()> {
    let mut made = 0;
    host.event_after(cluster.history.len(), "plugin-log", |event| {
        made += usize::from(says(event, "made the report"));
        made >= more
    })
    .await?;
    Ok(())
}

/// The second that a slot is.
fn second(slot: &Value) -> Result<u64> {
    let time = humantime::parse_rfc3339(slot.as_str().context("no slot")?)?;
    Ok(time.duration_since(SystemTime::UNIX_EPOCH)?.as_secs())
}

/// A report as the state keeps it.
struct Report {
    second: u64,
    attempt: u64,
    missed: u64,
}

async fn reports(operator: &Client) -> Result<Vec<Report>> {
    let (kept, _) = operator.get_data(REPORTS).await?;
    let kept: Vec<Value> = serde_json::from_slice(&kept)?;
    let report = |report: &Value| {
        Ok(Report {
            second: second(&report["slot"])?,
            attempt: report["attempt"].as_u64().context("no attempt")?,
            missed: report["missed"].as_u64().context("no number")?,
        })
    };
    kept.iter().map(report).collect()
}

/// The seconds that any host has said to be missed.
fn said(cluster: &Cluster) -> Result<BTreeSet<u64>> {
    let mut said = BTreeSet::new();
    for record in cluster.history.since(0) {
        if let Some(event) = record.event().filter(|event| event.name == "slots-missed") {
            let (first, last) = (second(&event.line["first"])?, second(&event.line["last"])?);
            said.extend(first..=last);
        }
    }
    Ok(said)
}

/// Every second from the first report to the last is reported once, or was missed, which the next report knows and a host
/// has said.
fn check(reports: &[Report], said: &BTreeSet<u64>) -> Result<()> {
    for pair in reports.windows(2) {
        let (before, next) = (&pair[0], &pair[1]);
        ensure!(
            before.second < next.second,
            "{} is reported twice",
            next.second
        );
        let missing = before.second + 1..next.second;
        ensure!(
            missing.clone().count() as u64 == next.missed,
            "{missing:?} is missing before {}, which knows of {}",
            next.second,
            next.missed
        );
        for second in missing {
            ensure!(
                said.contains(&second),
                "nobody said that {second} was missed"
            );
        }
    }
    let twice = reports.iter().find(|report| said.contains(&report.second));
    ensure!(
        twice.is_none(),
        "a slot was said to be missed, and is reported"
    );
    Ok(())
}

/// Leaders that are asked to stop, killed between claim and completion, killed at any moment, and frozen past their session.
#[tokio::test]
async fn every_slot_changes_the_state_once_whatever_becomes_of_its_leader() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let operator = cluster.client().await?;
    let mut hosts = Vec::new();
    for (id, takes) in [
        ("a", "100ms"),
        ("b", "1h"),
        ("c", "10ms"),
        ("d", "10ms"),
        ("e", "10ms"),
    ] {
        let mut host = reporter(&cluster, id, takes)?.start(&cluster.history)?;
        let first = if id == "a" { "activated" } else { "standby" };
        host.event(first).await?;
        hosts.push(host);
    }
    let [first, stuck, again, frozen, last] = &mut hosts[..] else {
        unreachable!("there are five of them")
    };
    until_made(&cluster, first, 2).await?;
    ensure!(first.terminate().await?.success(), "{}", first.errors());

    let claimed = stuck
        .event_where("plugin-log", |event| says(event, "making the report"))
        .await?;
    let key = |event: &Event| event.line["fields"]["key"].as_str().map(str::to_owned);
    let key_of_b = claimed.event().and_then(key).context("no key")?;
    stuck.kill()?;
    let rerun = again
        .event_where("plugin-log", |event| says(event, "making the report"))
        .await?;
    let rerun = rerun.event().context("no event")?;
    ensure!(
        key(rerun).as_ref() == Some(&key_of_b) && rerun.line["fields"]["attempt"] == "2",
        "{key_of_b} was not run again first: {}",
        rerun.line
    );
    until_made(&cluster, again, 2).await?;
    again.kill()?;

    frozen
        .event_where("plugin-log", |event| says(event, "made the report"))
        .await?;
    frozen.pause().await?;
    last.event_where("plugin-log", |event| says(event, "made the report"))
        .await?;
    let woken = cluster.history.len();
    frozen.resume()?;
    frozen.event_after(woken, "revoked", |_| true).await?;
    until_made(&cluster, last, 2).await?;
    for host in [last, frozen] {
        ensure!(host.terminate().await?.success(), "{}", host.errors());
    }

    let reports = reports(&operator).await?;
    check(&reports, &said(&cluster)?)?;
    let slot = key_of_b.rsplit_once('@').context("no slot")?.1;
    let slot = second(&slot.into())?;
    let of_b: Vec<_> = reports.iter().filter(|it| it.second == slot).collect();
    ensure!(of_b.len() == 1 && of_b[0].attempt == 2, "{key_of_b}");
    ensure!(reports.len() >= 8 && reports[0].attempt == 1);
    client::close(operator).await;
    cluster.verdict().check()
}

/// Answers that are lost, of claims and of completions: each is done once.
#[tokio::test]
async fn a_claim_and_a_completion_whose_answers_were_lost_are_done_once() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let operator = cluster.client().await?;
    let cluster = cluster.through(proxy.connect_string());
    let mut host = reporter(&cluster, "a", "10ms")?.start(&cluster.history)?;
    until_made(&cluster, &mut host, 1).await?;
    for round in 1..=6 {
        let is_completion = round % 2 == 0;
        proxy.lose_reply_to(move |request| {
            request.op == Op::Multi
                && request.mentions(RECORD)
                && request.mentions(REPORTS) == is_completion
        });
        proxy.replies_lost(round).await?;
        until_made(&cluster, &mut host, 1).await?;
    }
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    let reports = reports(&operator).await?;
    check(&reports, &said(&cluster)?)?;
    ensure!(
        reports.iter().all(|report| report.attempt == 1),
        "a slot was claimed again, though its host was never lost"
    );
    // A claim and a completion for each, and one more claim at the end; the first write says where the schedule begins.
    let (_, stat) = operator.get_data(RECORD).await?;
    let writes = u64::try_from(stat.version)?;
    let most = 2 * reports.len() as u64 + 2;
    ensure!(
        writes <= most,
        "{writes} writes for {} reports",
        reports.len()
    );
    client::close(operator).await;
    cluster.verdict().check()
}

/// What somebody has put in the place of a record, as large as a message can be, is never fetched: the plugin is told what to
/// do, and the schedule begins anew once that is done.
#[tokio::test]
async fn a_record_that_is_too_large_is_not_read_but_told() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let operator = cluster.client().await?;
    let cluster = cluster.through(proxy.connect_string());
    let (parent, _) = RECORD.rsplit_once('/').context("no parent")?;
    client::make_path(&operator, parent).await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let large = vec![b' '; 1_000_000];
    operator.create(RECORD, &large, &options).await?;
    let reads = Arc::new(AtomicUsize::new(0));
    proxy.lose_reply_to({
        let reads = reads.clone();
        move |request| {
            let is_read = request.op == Op::Other(GET_DATA) && request.mentions(RECORD);
            reads.fetch_add(usize::from(is_read), Ordering::Relaxed);
            false
        }
    });
    let mut host = reporter(&cluster, "a", "10ms")?.start(&cluster.history)?;
    let told = |event: &Event| {
        let line = event.line.to_string();
        line.contains(RECORD) && line.contains("1000000 bytes") && line.contains("delete the node")
    };
    for _ in 0..2 {
        let before = cluster.history.len();
        host.event_after(before, "plugin-failed", told).await?;
    }
    ensure!(reads.load(Ordering::Relaxed) == 0, "it was fetched");
    operator.delete(RECORD, None).await?;
    until_made(&cluster, &mut host, 1).await?;
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    client::close(operator).await;
    cluster.verdict().check()
}
