//! `soloist history`: the terms of a task, and how each ended.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::zookeeper::Settings;

/// A history that somebody deletes, or writes something else to, begins anew; leadership does not depend on it.
#[tokio::test]
async fn a_history_that_is_lost_begins_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = cluster.queue(&["a", "b"]).await?;
    let observer = cluster.client().await?;
    let node = "/soloist/tasks/beat/history";
    for term in 1..=4 {
        match term {
            2 => observer.delete(node, None).await?,
            4 => drop(
                observer
                    .set_data(node, b"[{\"number\":\"what\"", None)
                    .await?,
            ),
            _ => {}
        }
        ensure!(cluster.operator(&[], &["resign", TASK]).await?.code == Some(0));
        let terms = cluster.terms().await?;
        let numbers: Vec<_> = terms
            .iter()
            .filter_map(|term| term["number"].as_u64())
            .collect();
        let expected: &[u64] = match term {
            1 => &[2, 1],
            2 => &[3, 2],
            3 => &[4, 3, 2],
            _ => &[5, 4],
        };
        ensure!(numbers == expected, "after term {term}: {terms:?}");
    }
    client::close(observer).await;
    cluster.verdict().check()
}

/// Each way in which a term ends has its name in the history, and each term the token that it had.
#[tokio::test]
async fn the_history_says_how_each_term_ended() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let mut hosts = cluster.queue(&["a", "b", "c"]).await?;
    ensure!(hosts[0].terminate().await?.success());
    hosts[1].event("plugin-log").await?;
    hosts[1].kill()?;
    hosts[2].event("plugin-log").await?;
    let observer = cluster.client().await?;
    observer.delete(&Cluster::master(TASK), None).await?;
    hosts[2]
        .event_where("activated", |event| event.term == Some(4))
        .await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--reason", "moving \u{1b}[2J house"])
        .await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    hosts[2]
        .event_where("activated", |event| event.term == Some(5))
        .await?;

    let terms = cluster.terms().await?;
    let ends: Vec<_> = terms
        .iter()
        .map(|term| (term["host"].as_str(), term["end"]["reason"].as_str()))
        .collect();
    let (a, b, c) = (Some("a"), Some("b"), Some("c"));
    let expected = [
        (c, None),
        (c, Some("resigned")),
        (c, Some("node-lost")),
        (b, Some("lost")),
        (a, Some("shutdown")),
    ];
    ensure!(ends == expected, "{terms:#?}");
    let tokens: Vec<_> = terms
        .iter()
        .filter_map(|term| term["fencing_token"].as_u64())
        .collect();
    let activities = cluster.verdict().activities;
    let held: Vec<_> = activities
        .iter()
        .rev()
        .map(|activity| activity.fencing_token)
        .collect();
    ensure!(
        tokens == held,
        "{tokens:?} in the history, {held:?} in the events"
    );
    for term in &terms[1..] {
        let (from, to) = (
            term["since"].as_str().context("no since")?,
            term["end"]["at"].as_str().context("no end")?,
        );
        ensure!(
            humantime::parse_rfc3339(from)? <= humantime::parse_rfc3339(to)?,
            "{term}"
        );
        ensure!(
            term["seconds"]
                .as_f64()
                .is_some_and(|seconds| seconds >= 0.0),
            "{term}"
        );
    }
    ensure!(
        terms[1]["end"]["detail"] == "moving \u{1b}[2J house",
        "{terms:#?}"
    );

    let text = cluster.operator(&[], &["history", TASK]).await?;
    ensure!(
        text.code == Some(0) && text.stdout.lines().count() == 6,
        "{text:?}"
    );
    ensure!(
        text.stdout.contains("moving \\u{1b}[2J house") && !text.stdout.contains('\u{1b}'),
        "{text:?}"
    );
    client::close(observer).await;
    cluster.verdict().check()
}
