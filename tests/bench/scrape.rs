//! What it takes to be watched: a scrape of many tasks, what it does to heartbeats, and what a host occupies more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use soloist_admin::{Listener, Pages, Told};
use soloist_core::clock;
use soloist_core::election::Stage;
use soloist_core::meter::{Effect, Outcome, Reading};
use soloist_core::permit::{Permit, SharedDeadline};
use soloist_core::records::TaskPaths;
use soloist_core::roster::{self, Enlisted, Roster};
use soloist_tests::cluster::Cluster;
use soloist_tests::session::OwnSession;
use soloist_tests::{build, pages};

use crate::memory::Memory;
use crate::table::{Samples, Table};

const TASKS: [usize; 3] = [1, 1000, 10_000];
const SCRAPES: usize = 50;

/// How long heartbeats are watched, with scrapes and without.
const BEATS: Duration = Duration::from_secs(20);

pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    // What this process measures of its own session is what a host would.
    let roster = roster::start();
    let own = OwnSession::begin(cluster, "scraped").await?;
    let told = Arc::new(Told::new(Arc::clone(&roster)));
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let pages = pages::Pages::at(listener.address()?);
    let shown = Pages::new("scraped".into(), Arc::clone(&roster), told, None, false);
    let _serving = listener.serve(shown)?;
    let deadline = own.session.deadline();
    let mut tasks = Vec::new();
    for number in TASKS {
        while tasks.len() < number {
            tasks.push(task(&roster, deadline, tasks.len()));
        }
        let (mut times, mut bytes) = (Samples::default(), 0);
        for _ in 0..SCRAPES {
            let begun = Instant::now();
            bytes = pages.get("/metrics").await?.body.len();
            times.add(begun.elapsed());
        }
        table.times(
            &format!("a scrape of {number} tasks, half of them led here"),
            &times,
        );
        let kib = format!("{} KiB", bytes / 1024);
        table.row(&format!("its size, with {number} tasks"), &kib, "", "1");
    }
    let before = roster.heartbeats();
    tokio::time::sleep(BEATS).await;
    let alone = since(&before, &roster.heartbeats());
    let before = roster.heartbeats();
    let (begun, mut times) = (Instant::now(), 0);
    while begun.elapsed() < BEATS {
        pages.get("/metrics").await?;
        times += 1;
    }
    let scraped = since(&before, &roster.heartbeats());
    beats(table, "nobody scrapes", &alone);
    beats(
        table,
        &format!("10000 tasks are scraped without a pause, {times} times"),
        &scraped,
    );
    ensure!(own.view.borrow().session.is_some(), "the session is lost");
    occupied(cluster, table).await
}

/// A task as a host has it: every second one is led.
fn task(roster: &Arc<Roster>, deadline: &SharedDeadline, number: usize) -> Enlisted {
    let name: Arc<str> = format!("team-{}/report-{number}", number % 17).into();
    let paths = Arc::new(TaskPaths::new("/soloist", &name, None));
    let enlisted = roster.enlist(&name, &paths);
    let member = enlisted.member();
    let mut standing = member.standing();
    if number % 2 == 1 {
        standing.at(Stage::Standby, true, clock::now());
        standing.ahead = Some(1);
        drop(standing);
        return enlisted;
    }
    standing.at(Stage::Leading, true, clock::now());
    let permit = Permit::new(deadline.clone());
    standing.permit = Some(permit.clone());
    drop(standing);
    let meter = &member.meter;
    let permit = permit.measured(Some(Arc::clone(meter)));
    for _ in 0..10 {
        let _ = permit.enter();
    }
    permit.count(Effect::State, Outcome::Done);
    permit.count(Effect::Http, Outcome::Done);
    meter.has_memory(1 << 20);
    meter.ran(Duration::from_millis(number as u64));
    meter.count("terms", "released", 1);
    meter.count("log_lines", "", 7);
    enlisted
}

/// What a histogram has counted since.
fn since(before: &Reading, now: &Reading) -> Reading {
    let mut since = now.clone();
    for ((_, count), (_, earlier)) in since.buckets.iter_mut().zip(&before.buckets) {
        *count -= earlier;
    }
    since.count -= before.count;
    since.sum -= before.sum;
    since
}

/// How long heartbeats took: the mean, and a bound that none has passed.
fn beats(table: &mut Table, when: &str, reading: &Reading) {
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let mean = reading.sum / reading.count.max(1) as f64;
    let all = reading
        .buckets
        .iter()
        .find(|(_, count)| *count == reading.count);
    let worst = all.map_or("beyond 2.5 s".into(), |(bound, _)| {
        format!("at most {} ms", bound * 1e3)
    });
    let count = reading.count.to_string();
    table.row(
        &format!("a heartbeat is committed, while {when}: mean"),
        &format!("{:.2} ms", mean * 1e3),
        &worst,
        &count,
    );
}

/// What a host with one task occupies, with `--listen` and without.
async fn occupied(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let plugin = build::artifacts()?.guest("hello");
    for (id, task, listens) in [("unwatched", "quiet", false), ("watched", "told", true)] {
        let mut command = cluster.host_of(id, &plugin)?.flag("--task", task);
        if listens {
            command = command.flag("--listen", "127.0.0.1:0");
        }
        let mut host = command.start(&cluster.history)?;
        host.event("plugin-log").await?;
        if listens {
            let pages = pages::Pages::of(&mut host).await?;
            let told = pages.metrics().await?;
            told.value("soloist_tasks").context("no metrics")?;
        }
        let with = if listens { "with" } else { "without" };
        let what = format!(
            "memory of a host with one task that is active, {with} --listen: resident / proportional"
        );
        table.row(&what, &Memory::of(host.pid())?.show(), "", "1");
        ensure!(host.terminate().await?.success());
    }
    Ok(())
}
