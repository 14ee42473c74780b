//! `soloist describe`: one task, with all that is known of it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::{Acls, CreateMode};

use super::case::{deploy, fails, succeeds};

async fn described(cluster: &Cluster) -> Result<Value> {
    let answer = cluster.operator(&[], &["describe", TASK, "--json"]).await?;
    answer.json()
}

/// Leader, session, queue, state, schedules and terms, as text and as JSON; what others wrote drives no terminal.
#[tokio::test]
async fn a_task_is_described_with_all_that_is_known_of_it() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    fails(&cluster, &["describe", TASK], &["no task beat"]).await?;
    let hosts = cluster.queue(&["a", "b"]).await?;
    let client = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let own = "/soloist/tasks/beat";
    for (node, data) in [
        ("state", &b""[..]),
        ("state/small", b"1"),
        ("state/large", &[b'x'; 70]),
        ("schedules", b""),
        (
            "schedules/nightly",
            br#"{"version":1,"rule":"cron 0 2 * * * UTC","after":"2026-01-01T02:00:00Z","slot":{"at":"2026-01-01T02:00:00Z","attempt":2,"token":7,"done":true},"missed":3}"#,
        ),
        ("schedules/odd", b"\x1b[2J"),
        ("resign", br#"{"term":9,"to":"\u001b[2J"}"#),
    ] {
        client
            .create(&format!("{own}/{node}"), data, &options)
            .await?;
    }
    let seen = described(&cluster).await?;
    let status = cluster.status().await?;
    ensure!(
        seen["leader"] == status["leader"]
            && seen["health"] == "healthy"
            && seen["latest_term"] == 1,
        "{seen}"
    );
    ensure!(seen["session"]["host"]["pid"] == hosts[0].pid(), "{seen}");
    for time in [
        &seen["session"]["heartbeat_at"],
        &seen["queue"][0]["since"],
        &seen["schedules"][0]["next"][0],
    ] {
        humantime::parse_rfc3339(time.as_str().context("no time")?)?;
    }
    let queue: Vec<_> = seen["queue"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|place| (place["host"].as_str(), place["leads"].as_bool()))
        .collect();
    ensure!(
        queue == [(Some("a"), Some(true)), (Some("b"), Some(false))],
        "{seen}"
    );
    ensure!(
        seen["state"]["keys"] == 2
            && seen["state"]["bytes"] == 71
            && seen["state"]["largest"]["key"] == "large",
        "{seen}"
    );
    let nightly = &seen["schedules"][0];
    ensure!(nightly["done"] == true && nightly["missed"] == 3, "{seen}");
    ensure!(seen["schedules"][1]["problem"].is_string(), "{seen}");
    ensure!(
        seen["terms"][0]["number"] == 1 && seen["rollout"].is_null(),
        "{seen}"
    );
    let text = succeeds(&cluster, &["describe", TASK]).await?;
    for word in [
        "a, term 1, token",
        "lease renewed",
        "2 keys, 71 bytes; the largest is large",
        "cron 0 2 * * * UTC",
        "stands by",
        "to resign from term 9",
    ] {
        ensure!(text.contains(word), "no {word:?}: {text}");
    }
    ensure!(!text.contains('\u{1b}'), "{text:?}");
    client::close(client).await;
    Ok(())
}

/// A plugin that has failed for good, and a rollout that cannot be read, are told as well.
#[tokio::test]
async fn failures_and_rollouts_are_described() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let restart = r#"{ initial = "10ms", max = "1h", healthy_after = "1h", max_restarts = 0 }"#;
    let task = format!("[[task]]\nname = \"{TASK}\"\nplugin = {plugin:?}\nrestart = {restart}\n");
    let more = "config = { do = \"error\" }\nallow = { state = true, tcp = [] }\n";
    let file = cluster.file("fails.toml", task + more)?;
    let mut host = cluster.host_of("a", &file)?.start(&cluster.history)?;
    host.event("released").await?;
    eventually("the end of the term", PATIENCE, async || {
        let seen = described(&cluster).await.ok()?;
        (seen["leader"].is_null() && seen["health"] == "failed").then_some(())
    })
    .await?;
    let text = succeeds(&cluster, &["describe", TASK]).await?;
    for word in [
        "nobody, since",
        "on a in term 1: this went wrong",
        "for good in 1 terms in a row",
        "or by `soloist retry`",
        "queue: nobody stands",
    ] {
        ensure!(text.contains(word), "no {word:?}: {text}");
    }
    ensure!(host.terminate().await?.success());
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    let text = succeeds(&cluster, &["describe", TASK]).await?;
    ensure!(
        text.contains("\nrollout\n") && text.contains("wanted"),
        "{text}"
    );
    Ok(())
}
