//! `soloist retry`: a task that has failed for good, and rests for hours on every host, is tried again when an operator says so.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::Event;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::{Acls, CreateMode};

/// A plugin that does `what`, whose hosts rest for an hour when it has failed once.
fn config(cluster: &Cluster, what: &str) -> Result<PathBuf> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let restart = r#"{ initial = "10ms", max = "1h", healthy_after = "1h", max_restarts = 0 }"#;
    cluster.file(
        &format!("{what}.toml"),
        format!(
            "[[task]]\nname = \"{TASK}\"\nplugin = {plugin:?}\nrestart = {restart}\n\
             config = {{ do = \"{what}\" }}\nallow = {{ state = true, tcp = [] }}\n"
        ),
    )
}

async fn fails(cluster: &Cluster, code: i32, args: &[&str], words: &[&str]) -> Result<()> {
    let answer = cluster.operator(&[], args).await?;
    ensure!(answer.code == Some(code), "not {code}: {answer:?}");
    for word in words {
        ensure!(answer.stderr.contains(word), "no {word:?}: {answer:?}");
    }
    Ok(())
}

/// Both hosts rest. The order has both stand, whichever has failed last, and another failure counts as the first.
#[tokio::test]
async fn hosts_that_rest_stand_again_when_an_operator_says_so() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let file = config(&cluster, "error")?;
    let mut hosts = Vec::new();
    for id in ["a", "b"] {
        let mut host = cluster.host_of(id, &file)?.start(&cluster.history)?;
        host.event("released").await?;
        hosts.push(host);
    }
    let seen = cluster.status().await?;
    ensure!(
        seen["health"] == "failed" && seen["failure"]["terms"] == 2,
        "{seen}"
    );
    let args = ["retry", TASK, "--reason", "the disk \u{1b}[2J is back"];
    let answer = cluster.operator(&[], &args).await?;
    // Somebody may be seen to lead before the plugin fails again.
    ensure!(
        answer.stderr.contains("failed again: this went wrong")
            || answer.stdout.contains("leads beat now in term"),
        "{answer:?}"
    );
    for host in &mut hosts {
        let retried = host.event("retried").await?;
        let event = retried.event().context("no event")?;
        ensure!(
            event.text("reason") == Some("the disk \\u{1b}[2J is back")
                && event.text("by").is_some_and(|by| by.contains('@')),
            "{event:?}"
        );
    }
    let counted =
        |event: &Event| event.name == "failed" && event.term == Some(3) && event.line["terms"] == 1;
    cluster
        .history
        .wait_for(0, "the third term", PATIENCE, |record| {
            record.event().is_some_and(counted)
        })
        .await?;
    cluster.verdict().check()
}

/// The order is heard in another session than the one in which the host began to rest; then the plugin runs.
#[tokio::test]
async fn an_order_is_heard_in_a_later_session() -> Result<()> {
    let cluster = Cluster::with(Settings::embedded(), Duration::from_secs(4)).await?;
    let file = config(&cluster, "third-term")?;
    let client = cluster.client().await?;
    let mut host = cluster.host_of("a", &file)?.start(&cluster.history)?;
    host.event("released").await?;
    let answer = cluster.operator(&[], &["retry", TASK]).await?;
    ensure!(
        (answer.stdout.clone() + &answer.stderr).contains("in term 2"),
        "{answer:?}"
    );
    host.event_where("released", |event| event.term == Some(2))
        .await?;
    host.pause().await?;
    eventually("the session to expire", PATIENCE, async || {
        let node = client.check_stat("/soloist/hosts/a").await.ok()?;
        node.is_none().then_some(())
    })
    .await?;
    // It stands for as long as nobody hears it.
    let args = ["retry", TASK, "--timeout", "100ms"];
    fails(&cluster, 4, &args, &["nobody leads", "the order stands"]).await?;
    host.resume()?;
    host.event("session-expired").await?;
    let led = eventually("the third term", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (status["leader"]["term"] == 3).then_some(status)
    });
    let led = led.await?;
    ensure!(
        led["health"] == "failing" && led["leader"]["host"] == "a",
        "{led}"
    );
    client::close(client).await;
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}

/// The leader is named as soon as there is one.
#[tokio::test]
async fn who_leads_then_is_told() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let file = config(&cluster, "third-term")?;
    let mut hosts = Vec::new();
    for id in ["a", "b"] {
        let mut host = cluster.host_of(id, &file)?.start(&cluster.history)?;
        host.event("released").await?;
        hosts.push(host);
    }
    let answer = cluster.operator(&[], &["retry", TASK]).await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("leads beat now in term 3"),
        "{answer:?}"
    );
    // The other one stands by, and not in an hour.
    eventually("a standby", PATIENCE, async || {
        let status = cluster.status().await.ok()?;
        (status["standbys"].as_array()?.len() == 1).then_some(())
    })
    .await?;
    fails(&cluster, 1, &["retry", TASK], &["nothing to try again"]).await?;
    cluster.verdict().check()
}

/// Where there is nothing to be tried again, the message says what there is.
#[tokio::test]
async fn what_has_not_failed_is_not_tried_again() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    fails(&cluster, 1, &["retry", TASK], &["no task beat"]).await?;
    let mut hosts = cluster.queue(&["a"]).await?;
    let led = ["a leads task beat", "soloist resign beat"];
    fails(&cluster, 1, &["retry", TASK], &led).await?;
    ensure!(hosts[0].terminate().await?.success());
    let vacant = ["has not failed for good", "soloist history beat"];
    fails(&cluster, 1, &["retry", TASK], &vacant).await?;
    // A mark that nobody can read is none.
    let client = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client
        .create("/soloist/tasks/beat/failed", b"\x1b[2J", &options)
        .await?;
    fails(&cluster, 1, &["retry", TASK], &vacant).await?;
    client::close(client).await;
    Ok(())
}
