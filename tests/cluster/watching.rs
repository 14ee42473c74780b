//! `soloist status --watch`: what it bounds, and what changes while no node does.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{History, Record, What};
use soloist_tests::host::{Command, Host};
use soloist_tests::proxy::{Proxy, Traffic};
use soloist_tests::{PATIENCE, build, client};
use zookeeper_client::{Acls, Client, CreateMode};

/// `soloist status --watch --json` on these servers.
fn watcher(servers: &str, seen: &History) -> Result<Host> {
    let command = Command::new("watcher", &build::artifacts()?.soloist)
        .arg("status")
        .arg("--watch")
        .arg("--json");
    command.flag("--zookeeper", servers).start(seen)
}

/// Waits until something was printed that fits.
async fn printed(seen: &History, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Record> {
    let fits = |record: &Record| match &record.what {
        What::Unreadable(line) => serde_json::from_str(line).is_ok_and(|status| fits(&status)),
        _ => false,
    };
    seen.wait_for(0, what, PATIENCE, fits).await
}

/// Adds tasks in which nobody has ever been elected.
async fn make_tasks(client: &Client, numbers: std::ops::Range<u32>) -> Result<()> {
    client::make_path(client, "/soloist/tasks").await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let mut multi = client.new_multi_writer();
    for number in numbers {
        multi.add_create(&format!("/soloist/tasks/task-{number:04}"), b"", &options)?;
    }
    multi.commit().await?;
    Ok(())
}

/// The client library cannot set so many watches anew after a connection is lost: they are looked at now and then.
#[tokio::test]
async fn more_tasks_than_one_session_can_watch_are_looked_at_again_and_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    make_tasks(&client, 0..1_100).await?;
    let seen = History::default();
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let mut watcher = watcher(&proxy.connect_string(), &seen)?;
    printed(&seen, "the beginning", |status| {
        status["tasks"] == Value::Array(Vec::new())
    })
    .await?;
    let term = br#"{"number":0,"host":"","since":"","state":"released"}"#;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for task in ["task-0007", "task-1099"] {
        let path = format!("/soloist/tasks/{task}/term");
        client.create(&path, term, &options).await?;
        // Nothing that is watched has changed.
        printed(&seen, "the task", |status| {
            let tasks = status["tasks"].as_array();
            tasks.is_some_and(|tasks| tasks.iter().any(|it| it["task"] == task))
        })
        .await?;
        proxy.set(Traffic::Cut);
        proxy.set(Traffic::Passes);
    }
    let errors = watcher.errors();
    ensure!(errors.contains("1100 tasks are more"), "{errors}");
    watcher.signal(Signal::TERM)?;
    ensure!(watcher.ended().await?.success());
    client::close(client).await;
    Ok(())
}

/// As many as are allowed are watched on after the connection was lost.
#[tokio::test]
async fn as_many_tasks_as_are_allowed_outlive_a_lost_connection() -> Result<()> {
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    make_tasks(&client, 0..1_000).await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let seen = History::default();
    let mut watcher = watcher(&proxy.connect_string(), &seen)?;
    printed(&seen, "the beginning", |status| {
        status["tasks"] == Value::Array(Vec::new())
    })
    .await?;
    proxy.set(Traffic::Cut);
    proxy.set(Traffic::Passes);
    let term = br#"{"number":0,"host":"","since":"","state":"released"}"#;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client
        .create("/soloist/tasks/task-0007/term", term, &options)
        .await?;
    printed(&seen, "the task", |status| {
        status["tasks"][0]["task"] == "task-0007"
    })
    .await?;
    ensure!(watcher.errors().is_empty(), "{}", watcher.errors());
    watcher.signal(Signal::TERM)?;
    ensure!(watcher.ended().await?.success());
    client::close(client).await;
    Ok(())
}

/// The host that was to try again is gone: once the time has passed, nobody is told to wait for it.
#[tokio::test]
async fn a_time_to_try_again_that_has_passed_is_shown_no_more() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let restart = r#"{ initial = "10ms", max = "1s", healthy_after = "1m", max_restarts = 0 }"#;
    let task = format!("[[task]]\nname = \"{TASK}\"\nplugin = {plugin:?}\nrestart = {restart}\n");
    let more = "config = { do = \"error\" }\nallow = { state = true, tcp = [] }\n";
    let file = cluster.file("fails.toml", task + more)?;
    let seen = History::default();
    let mut watcher = watcher(cluster.servers(), &seen)?;
    let mut host = cluster.host_of("a", &file)?.start(&cluster.history)?;
    // Its place in the queue is given back, so that nothing changes any more.
    host.event("released").await?;
    host.kill()?;
    let passed = |status: &Value| {
        let task = &status["tasks"][0];
        task["state"] == "failed"
            && task["failure"]["retry_at"].is_null()
            && task["standbys"] == serde_json::json!([])
    };
    // No node changes when that time has come.
    printed(&seen, "the time to have passed", passed).await?;
    let text = cluster.operator(&[], &["status"]).await?.stdout;
    let row = text
        .lines()
        .find(|line| line.contains("failed  error"))
        .unwrap_or_default();
    let times = row
        .split_whitespace()
        .filter(|cell| humantime::parse_rfc3339(cell).is_ok());
    ensure!(
        times.count() == 1,
        "not the time of the failure alone: {text}"
    );
    watcher.signal(Signal::TERM)?;
    ensure!(
        watcher
            .ended_within(Duration::from_secs(30))
            .await?
            .success()
    );
    Ok(())
}
