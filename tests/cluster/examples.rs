//! The plugins in `plugins/`, each through a failover. (`heartbeat` is the plugin of most other tests, `counter` that of
//! `state`, `python-hello` that of `python`.)

pub(crate) mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::Event;
use soloist_tests::host::{Command, Host};
use soloist_tests::postgres::{self, Postgres};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, build, eventually};

use server::{Reply, Server};

/// How many items are relayed. Leaders are lost at some of them.
const ITEMS: u64 = 40;

/// Servers whose hosts are replaced soon after they were killed.
async fn quick() -> Result<Cluster> {
    Cluster::with(Settings::standalone(), Duration::from_secs(4)).await
}

fn host(cluster: &Cluster, id: &str, plugin: &str) -> Result<Command> {
    let plugin = build::artifacts()?.guest(plugin);
    Ok(cluster.host_of(id, &plugin)?.flag("--task", TASK))
}

/// The plugin may use its state, and reach that server on this machine.
fn reaching(command: Command, server: &Server) -> Command {
    command
        .arg("--allow-state")
        .flag("--allow-http", server.url(""))
        .flag("--allow-networks", "127.0.0.0/8")
}

/// The plugin's lines of that beginning, from this run of the host.
fn lines(host: &Host, beginning: &str) -> Vec<String> {
    let records = host.records();
    let events = records.iter().filter_map(|record| record.event());
    events
        .filter(|event| event.name == "plugin-log" && event.message.starts_with(beginning))
        .map(|event| event.message.clone())
        .collect()
}

fn says(beginning: &'static str) -> impl Fn(&Event) -> bool {
    move |event| event.message.starts_with(beginning)
}

#[tokio::test]
async fn hello_is_said_by_one_host_and_after_its_death_by_the_next() -> Result<()> {
    let cluster = quick().await?;
    let mut first = host(&cluster, "first", "hello")?.start(&cluster.history)?;
    let hello = first.event("plugin-log").await?;
    ensure!(
        hello
            .event()
            .is_some_and(says("hello from first, leader of beat"))
    );
    let mut second = host(&cluster, "second", "hello")?.start(&cluster.history)?;
    second.event("standby").await?;
    ensure!(lines(&second, "hello").is_empty());
    first.kill()?;
    second
        .event_where("plugin-log", says("hello from second"))
        .await?;
    cluster.verdict().check()
}

/// The ETag is in the state: what the first leader has seen is no news to the second one.
#[tokio::test]
async fn the_poller_takes_nothing_for_news_that_a_leader_before_has_seen() -> Result<()> {
    let cluster = quick().await?;
    let has_changed = Arc::new(AtomicBool::new(false));
    let changed = Arc::clone(&has_changed);
    let server = Server::start(move |request| {
        let etag = if changed.load(Ordering::SeqCst) {
            "two"
        } else {
            "one"
        };
        if request.header("if-none-match") == Some(etag) {
            Reply::status(304)
        } else {
            Reply::status(200).header("etag", etag)
        }
    })
    .await?;
    let poller = |id| {
        Ok::<_, anyhow::Error>(
            reaching(host(&cluster, id, "http-poller")?, &server)
                .flag("--config", format!("url={}", server.url("/news")))
                .flag("--config", "interval=100ms"),
        )
    };
    let mut first = poller("first")?.start(&cluster.history)?;
    first
        .event_where("plugin-log", |event| event.message.ends_with("has changed"))
        .await?;
    server.requests(5).await?;
    let mut second = poller("second")?.start(&cluster.history)?;
    second.event("standby").await?;
    first.kill()?;
    second.event("activated").await?;
    // It asks, and hears nothing new; then there is some.
    server.requests(server.seen().len() + 3).await?;
    ensure!(lines(&second, "http").is_empty());
    has_changed.store(true, Ordering::SeqCst);
    second
        .event_where("plugin-log", |event| event.message.ends_with("has changed"))
        .await?;
    let seen = server.seen();
    let unconditional = seen
        .iter()
        .filter(|it| it.header("if-none-match").is_none());
    ensure!(unconditional.count() == 1, "{seen:#?}");
    let told = lines(&first, "http").len() + lines(&second, "http").len();
    ensure!(told == 2, "{told} changes");
    cluster.verdict().check()
}

/// A host that relays.
fn relay(cluster: &Cluster, id: &str, database: &Postgres, server: &Server) -> Result<Command> {
    let address = database.address();
    let mut command = reaching(host(cluster, id, "outbox-relay")?, server)
        .flag("--allow-tcp", address.to_string())
        .flag("--secret", "PGPASSWORD")
        .env("PGPASSWORD", postgres::PASSWORD);
    for entry in [
        format!("address={address}"),
        format!("user={}", postgres::ROLE),
        format!("database={}", postgres::DATABASE),
        format!("target={}", server.url("/events")),
        "interval=50ms".into(),
    ] {
        command = command.flag("--config", entry);
    }
    Ok(command)
}

/// Leaders die while the server has an item but has not answered, are asked to stop between items, and are replaced. Every
/// item reaches the server in its order; what is sent twice bears the same key, by which the server knows it.
#[tokio::test]
async fn the_relay_loses_nothing_and_does_nothing_twice_whichever_leader_is_lost() -> Result<()> {
    let Some(database) = Postgres::start().await? else {
        println!("SKIPPED: PostgreSQL is not to be had here");
        return Ok(());
    };
    let schema = build::workspace().join("plugins/outbox-relay/schema.sql");
    database.query(&std::fs::read_to_string(schema)?).await?;
    let fill = format!("SELECT count(enqueue('item ' || n)) FROM generate_series(1, {ITEMS}) n");
    database.query(&fill).await?;

    // The tenth and the twentieth item are taken, and their first sender never hears of it.
    let server = Server::start(|request| {
        let is_lost = ["item 10", "item 20"].contains(&request.body.as_str());
        if is_lost && request.earlier_of_key == 0 {
            Reply::never()
        } else {
            Reply::status(202)
        }
    })
    .await?;
    let cluster = quick().await?;
    let mut first = relay(&cluster, "first", &database, &server)?.start(&cluster.history)?;
    server.body("item 10").await?;
    let mut second = relay(&cluster, "second", &database, &server)?.start(&cluster.history)?;
    second.event("standby").await?;
    first.kill()?;
    server.body("item 20").await?;
    let mut third = relay(&cluster, "third", &database, &server)?.start(&cluster.history)?;
    third.event("standby").await?;
    // While the request hangs: the host cuts it.
    ensure!(second.terminate().await?.success());
    eventually("all to be relayed", PATIENCE, async || {
        let left = database
            .query("SELECT count(*) FROM outbox WHERE relayed_by IS NULL")
            .await;
        (left.ok()? == "0").then_some(())
    })
    .await?;

    // Each began where the one before had come to.
    for (host, after) in [(&first, 0), (&second, 9), (&third, 19)] {
        let began = lines(host, "relays what comes after");
        ensure!(
            began == [format!("relays what comes after {after}")],
            "{began:?}"
        );
    }
    let seen = server.seen();
    let mut times = BTreeMap::<String, u32>::new();
    for request in &seen {
        let key = request.header("idempotency-key").context("no key")?;
        *times.entry(key.to_owned()).or_default() += 1;
    }
    let twice: Vec<&str> = times
        .iter()
        .filter(|(_, times)| **times > 1)
        .map(|(key, _)| key.as_str())
        .collect();
    ensure!(
        times.len() as u64 == ITEMS && twice == ["beat/10", "beat/20"],
        "{times:?}"
    );
    let order: Vec<&str> = seen.iter().map(|request| request.body.as_str()).collect();
    ensure!(
        order.is_sorted_by_key(|body| body["item ".len()..].parse::<u64>().ok()),
        "{order:?}"
    );
    // The database has the token of whoever relayed an item, and tokens only grow.
    let marks = "SELECT string_agg(DISTINCT relayed_by::text, ' ') FROM outbox";
    ensure!(database.query(marks).await?.split(' ').count() == 3);
    let backwards = "SELECT count(*) FROM outbox a JOIN outbox b ON a.id < b.id AND a.relayed_by > b.relayed_by";
    ensure!(database.query(backwards).await? == "0");

    // A leader that does not know that it is one of the past: the database takes no mark of it.
    database
        .query("UPDATE relay SET token = 4611686018427387904")
        .await?;
    database.query("SELECT enqueue('one more')").await?;
    let refused = third.event("plugin-failed").await?;
    let message = refused
        .event()
        .map(|event| event.message.clone())
        .unwrap_or_default();
    ensure!(message.contains("a later leader is at work"), "{message}");
    ensure!(
        database
            .query("SELECT count(*) FROM outbox WHERE relayed_by IS NULL")
            .await?
            == "1"
    );
    cluster.verdict().check()
}
