//! Tasks that are done once, by one host of all, or by each.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::zookeeper::Settings;

use super::case::{activations, done, done_by, host, once};

#[tokio::test]
async fn a_plugin_that_is_run_once_is_given_back_when_it_has_completed() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut leader = host(&cluster, "leader", "wait")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = once(&cluster, "once", "complete")?.start(&cluster.history)?;
    standby.event("standby").await?;
    ensure!(leader.terminate().await?.success());
    let ended = standby.ended().await?;
    ensure!(ended.code() == Some(0), "{ended}: {}", standby.errors());
    standby
        .event_where("plugin-log", |event| {
            event.message == "demoted: Demotion::Resigned"
        })
        .await?;
    let story = [
        "activated",
        "plugin-completed",
        "draining",
        "demoted",
        "released",
        "session-closed",
    ];
    let records = standby.records();
    let seen: Vec<_> = records
        .iter()
        .filter_map(|record| story.iter().copied().find(|name| record.is(name)))
        .collect();
    ensure!(seen == story, "{seen:?}");
    let status = cluster.status().await?;
    ensure!(
        status["state"] == "vacant" && status["failure"].is_null(),
        "{status}"
    );
    let terms = cluster.terms().await?;
    ensure!(terms[0]["end"]["reason"] == "resigned", "{terms:#?}");
    ensure!(
        terms[0]["end"]["detail"] == "the plugin has completed",
        "{terms:#?}"
    );
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_is_demoted_before_it_has_completed_stands_again() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = once(&cluster, "a", "second-term")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    // The command does not wait for the next leader: the second term is short.
    cluster
        .operator(&[], &["resign", TASK, "--timeout", "1ms"])
        .await?;
    let ended = host.ended().await?;
    ensure!(ended.code() == Some(0), "{ended}: {}", host.errors());
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_is_run_once_and_fails_is_a_failure_of_the_command() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = host(&cluster, "a", "error")?
        .env("SOLOIST_ONCE", "1")
        .start(&cluster.history)?;
    let ended = host.ended().await?;
    let errors = host.errors();
    ensure!(ended.code() == Some(1), "{ended}: {errors}");
    ensure!(
        errors.contains("(error)")
            && errors.contains("this went wrong")
            && errors.contains("1 times"),
        "{errors}"
    );
    host.event("released").await?;
    let status = cluster.status().await?;
    let failure = &status["failure"];
    ensure!(
        status["state"] == "failed" && failure["cause"] == "error" && failure["retry_at"].is_null(),
        "{status}"
    );
    cluster.verdict().check()
}

/// A task that was interrupted is not taken for done.
#[tokio::test]
async fn a_plugin_that_is_run_once_and_interrupted_has_not_completed() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut host = once(&cluster, "a", "wait")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let ended = host.terminate().await?;
    ensure!(
        ended.code() == Some(1) && host.errors().contains("before the plugin had completed"),
        "{ended}"
    );
    cluster.verdict().check()
}

/// The standbys end as well, and so does a host that comes later: once means once for the task, not for each host.
#[tokio::test]
async fn a_task_that_is_done_once_is_done_by_one_host() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let mut leader = host(&cluster, "leader", "wait")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut hosts = Vec::new();
    for id in ["a", "b", "c"] {
        let mut host = once(&cluster, id, "complete")?.start(&cluster.history)?;
        host.event("standby").await?;
        hosts.push(host);
    }
    ensure!(leader.terminate().await?.success());
    for host in &mut hosts {
        done(host).await?;
    }
    ensure!(
        activations(&cluster) == 2 && done_by(&hosts[0]).is_none(),
        "{:?}",
        cluster.verdict().activities
    );
    let mut late = once(&cluster, "late", "complete")?.start(&cluster.history)?;
    done(&mut late).await?;
    for host in hosts[1..].iter().chain([&late]) {
        ensure!(
            done_by(host).as_deref() == Some("a"),
            "{}: {:?}",
            host.id(),
            host.records()
        );
    }
    ensure!(
        activations(&cluster) == 2 && late.records().iter().all(|record| !record.is("elected"))
    );
    // A host without `--once` runs the plugin all the same, and the completion stays known.
    let mut another = host(&cluster, "another", "wait")?.start(&cluster.history)?;
    another.event("plugin-log").await?;
    ensure!(another.terminate().await?.success());
    let mut late = once(&cluster, "later", "complete")?.start(&cluster.history)?;
    done(&mut late).await?;
    ensure!(done_by(&late).as_deref() == Some("a"));
    cluster.verdict().check()
}

/// A task is done again under another name, and each name is remembered.
#[tokio::test]
async fn what_is_done_once_is_done_again_under_another_name() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    for (id, name, by) in [
        ("a", None, None),
        ("b", Some("monday"), None),
        ("c", Some("tuesday"), None),
        ("d", Some("monday"), Some("b")),
        ("e", None, Some("a")),
    ] {
        let command = host(&cluster, id, "complete")?;
        let command = match name {
            Some(name) => command.env("SOLOIST_ONCE_FOR", name),
            None => command.arg("--once"),
        };
        let mut host = command.start(&cluster.history)?;
        done(&mut host).await?;
        ensure!(
            done_by(&host).as_deref() == by,
            "{id}: {:?}",
            host.records()
        );
    }
    ensure!(activations(&cluster) == 3);
    cluster.verdict().check()
}

/// A leader that dies before its plugin has completed has done nothing: the next leader does the task.
#[tokio::test]
async fn what_is_to_be_done_once_survives_the_death_of_its_leader() -> Result<()> {
    let cluster = Cluster::with(Settings::embedded(), Duration::from_secs(4)).await?;
    let mut first = once(&cluster, "a", "second-term")?.start(&cluster.history)?;
    first.event("plugin-log").await?;
    let mut hosts = Vec::new();
    for id in ["b", "c"] {
        let mut host = once(&cluster, id, "second-term")?.start(&cluster.history)?;
        host.event("standby").await?;
        hosts.push(host);
    }
    first.kill()?;
    for host in &mut hosts {
        done(host).await?;
    }
    ensure!(activations(&cluster) == 2 && done_by(&hosts[1]).as_deref() == Some("b"));
    cluster.verdict().check()
}

#[tokio::test]
async fn each_host_can_do_it_once_for_itself() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    for id in ["a", "b"] {
        let mut host = host(&cluster, id, "complete")?
            .arg("--once-each-host")
            .start(&cluster.history)?;
        done(&mut host).await?;
        ensure!(done_by(&host).is_none());
    }
    ensure!(activations(&cluster) == 2);
    let both = host(&cluster, "c", "complete")?
        .arg("--once-each-host")
        .flag("--once-for", "monday");
    let mut both = both.start(&cluster.history)?;
    let ended = both.ended().await?;
    ensure!(
        ended.code() == Some(2) && both.errors().contains("--once-each-host"),
        "{ended}: {}",
        both.errors()
    );
    cluster.verdict().check()
}

#[tokio::test]
async fn only_a_single_task_can_be_run_once() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let task = |name: &str| format!("[[task]]\nname = \"{name}\"\nplugin = {plugin:?}\n");
    let two = cluster.file("two.toml", task("one") + &task("two"))?;
    for (command, place) in [
        (cluster.host_of("a", &two)?.arg("--once"), "--once"),
        (
            cluster.host_of("a", &two)?.env("SOLOIST_ONCE", "1"),
            "SOLOIST_ONCE",
        ),
        (
            cluster.host_of("a", &two)?.flag("--once-for", "monday"),
            "--once-for",
        ),
    ] {
        let mut host = command.start(&cluster.history)?;
        let ended = host.ended().await?;
        ensure!(
            ended.code() == Some(2) && host.errors().contains(place),
            "{ended}: {}",
            host.errors()
        );
    }
    Ok(())
}
