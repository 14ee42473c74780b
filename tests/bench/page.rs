//! What the page of a host costs with ten thousand tasks: how soon a browser shows it, how soon it shows a change, and what it does to
//! heartbeats. The tasks are records in the ensemble, as hosts write them.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use soloist_core::records;
use soloist_tests::browser::Browser;
use soloist_tests::cluster::Cluster;
use soloist_tests::pages::Pages;
use soloist_tests::{client, tools};
use zookeeper_client::{Acls, Client, CreateMode};

use crate::table::{Samples, Table};

const TASKS: [usize; 2] = [10, 10_000];
/// How many tasks one transaction writes.
const AT_ONCE: usize = 50;
const LOADS: usize = 10;
const CHANGES: usize = 20;
const VIEWERS: usize = 20;
const BEATS: Duration = Duration::from_secs(20);

pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let client = cluster.client().await?;
    let mut host = cluster
        .host("seen")?
        .flag("--listen", "127.0.0.1:0")
        .start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    host.event("plugin-log").await?;
    let browser = Browser::start().await?.context("there is no chromium");
    let Some(mut browser) = tools::or_skipped(browser, "chromium")? else {
        return Ok(());
    };
    let mut written = 0;
    for tasks in TASKS {
        write(&client, written..tasks).await?;
        written = tasks;
        answers(&pages, tasks, table).await?;
        shown(&mut browser, &pages, tasks, table).await?;
        changed(&mut browser, &client, tasks, table).await?;
    }
    beats(&pages, table).await?;
    ensure!(host.terminate().await?.success());
    client::close(client).await;
    Ok(())
}

fn path(number: usize) -> String {
    format!("/soloist/tasks/team-{:02}.report-{number:05}", number % 17)
}

/// Tasks that somebody leads and two others stand for, with a history; one of ten has failed before.
async fn write(client: &Client, tasks: std::ops::Range<usize>) -> Result<()> {
    client::make_path(client, "/soloist/tasks").await?;
    let (stays, goes) = (CreateMode::Persistent, CreateMode::Ephemeral);
    let (stays, goes) = (
        stays.with_acls(Acls::anyone_all()),
        goes.with_acls(Acls::anyone_all()),
    );
    let session = client.session_id().0;
    let numbers: Vec<_> = tasks.collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let mut multi = client.new_multi_writer();
        for number in numbers {
            let (task, host) = (path(*number), format!("host-{:03}", number % 100));
            let term = |number: u64| json!({ "number": number, "host": host, "since": records::timestamp() });
            let ended = |number: u64| {
                let mut term = term(number);
                term["fencing_token"] = number.into();
                term["end"] = json!({ "at": records::timestamp(), "reason": "resigned", "detail": "kernel upgrade" });
                term
            };
            let history: Vec<_> = (1..=20).rev().map(ended).collect();
            let mut record = term(21);
            record["state"] = "active".into();
            multi.add_create(&task, b"", &stays)?;
            multi.add_create(
                &format!("{task}/term"),
                record.to_string().as_bytes(),
                &stays,
            )?;
            let master = json!({ "host": host, "term": 21 }).to_string();
            multi.add_create(&format!("{task}/master"), master.as_bytes(), &goes)?;
            multi.add_create(
                &format!("{task}/history"),
                Value::from(history).to_string().as_bytes(),
                &stays,
            )?;
            multi.add_create(&format!("{task}/candidates"), b"", &stays)?;
            for (sequence, standby) in ["one", "two"].into_iter().enumerate() {
                let name = format!("c-{session:016x}-{standby}-{sequence:010}");
                multi.add_create(&format!("{task}/candidates/{name}"), b"{}", &goes)?;
            }
            if number % 10 == 0 {
                let failed = json!({ "terms": 1, "term": 20, "host": host, "at": records::timestamp(), "cause": "error", "detail": "no such table" });
                multi.add_create(
                    &format!("{task}/failed"),
                    failed.to_string().as_bytes(),
                    &stays,
                )?;
            }
        }
        multi.commit().await?;
    }
    Ok(())
}

/// Answers that have to be read from the ensemble: nobody has looked for a while.
async fn answers(pages: &Pages, tasks: usize, table: &mut Table) -> Result<()> {
    let (mut times, mut bytes) = (Samples::default(), 0);
    for query in [
        "",
        "?q=report-00",
        "?sort=failure&down=true",
        "?page=150",
        "?health=unwell",
    ] {
        let begun = Instant::now();
        let answer = pages.get(&format!("/api/tasks{query}")).await?;
        times.add(begun.elapsed());
        ensure!(answer.status == 200, "{answer:?}");
        bytes = bytes.max(answer.body.len());
    }
    table.times(
        &format!(
            "the page of a host, {tasks} tasks: rows are answered, {} KiB",
            bytes / 1024
        ),
        &times,
    );
    Ok(())
}

/// How soon a browser has painted something, and how soon it has shown rows, from when it was told to go there.
async fn shown(
    browser: &mut Browser,
    pages: &Pages,
    tasks: usize,
    table: &mut Table,
) -> Result<()> {
    browser.look(1280, 900, false).await?;
    let (mut paint, mut rows) = (Samples::default(), Samples::default());
    for _ in 0..LOADS {
        browser.open("about:blank").await?;
        browser.open(&format!("http://{}/", pages.address)).await?;
        let at = |expression: &str| {
            format!("(() => {{ const it = {expression}; return it && it.startTime + 0.001; }})()")
        };
        let row = browser
            .until(&at("performance.getEntriesByName('soloist-rows')[0]"))
            .await?;
        let painted = browser
            .until(&at(
                "performance.getEntriesByName('first-contentful-paint')[0]",
            ))
            .await?;
        rows.add(milliseconds(&row)?);
        paint.add(milliseconds(&painted)?);
    }
    table.times(
        &format!("the page of a host, {tasks} tasks: first paint"),
        &paint,
    );
    table.times(
        &format!("the page of a host, {tasks} tasks: rows are there"),
        &rows,
    );
    Ok(())
}

/// How soon a browser shows what has been committed in the ensemble.
async fn changed(
    browser: &mut Browser,
    client: &Client,
    tasks: usize,
    table: &mut Table,
) -> Result<()> {
    let mut times = Samples::default();
    for change in 0..CHANGES {
        let cause = format!("cause-{tasks}-{change}");
        let watch = format!(
            "window.shown = new Promise(done => {{ const look = () => document.getElementById('rows').textContent.includes({cause:?}) \
             && done(Date.now()); new MutationObserver(look).observe(document.getElementById('rows'), \
             {{ childList: true, subtree: true, characterData: true }}); }}); true"
        );
        browser.eval(&watch).await?;
        let failed = json!({ "terms": 1, "term": 20, "host": "x", "at": records::timestamp(), "cause": cause, "detail": "" });
        client
            .set_data(
                &format!("{}/failed", path(0)),
                failed.to_string().as_bytes(),
                None,
            )
            .await?;
        let committed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let shown = milliseconds(&browser.eval("window.shown").await?)?;
        times.add(shown.saturating_sub(committed));
    }
    table.times(
        &format!("the page of a host, {tasks} tasks: a change is shown after it was committed"),
        &times,
    );
    Ok(())
}

fn milliseconds(told: &Value) -> Result<Duration> {
    let told = told.as_f64().context("no number")?;
    Ok(Duration::from_secs_f64(told / 1e3))
}

/// What it does to the heartbeats of the host that so many look at its page.
async fn beats(pages: &Pages, table: &mut Table) -> Result<()> {
    let mean = async || {
        let before = pages.metrics().await?;
        tokio::time::sleep(BEATS).await;
        let after = pages.metrics().await?;
        let since = |name: &str| Some(after.value(name)? - before.value(name)?);
        let sum = since("soloist_heartbeat_seconds_sum").context("no heartbeats")?;
        let count = since("soloist_heartbeat_seconds_count").context("no heartbeats")?;
        anyhow::Ok((sum / count * 1e3, count))
    };
    let (alone, count) = mean().await?;
    table.row(
        "a heartbeat is committed, while nobody looks at the page: mean",
        &format!("{alone:.2} ms"),
        "",
        &count.to_string(),
    );
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let mut events = pages.listen("/api/live").await?;
        viewers.push(tokio::spawn(
            async move { while events.next().await.is_ok() {} },
        ));
    }
    let (seen, count) = mean().await?;
    let what = format!(
        "the same while {VIEWERS} look at a page of {} tasks: mean",
        TASKS[1]
    );
    table.row(&what, &format!("{seen:.2} ms"), "", &count.to_string());
    viewers.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}
