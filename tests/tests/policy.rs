//! What follows when a plugin fails on one host after another, and when it completes.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::Event;
use soloist_tests::host::Command;
use soloist_tests::{PATIENCE, build, eventually};

/// The configuration of a host whose plugin does `what`, is restarted once, and stays out of the queue for a moment.
fn config(cluster: &Cluster, what: &str) -> Result<PathBuf> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let restart = r#"{ initial = "10ms", max = "200ms", healthy_after = "300ms", max_restarts = 1 }"#;
    let task = format!("[[task]]\nname = \"{TASK}\"\nplugin = {plugin:?}\nrestart = {restart}\n");
    cluster.file(
        &format!("{what}.toml"),
        format!("{task}config = {{ do = \"{what}\" }}\nallow = {{ state = true, tcp = [] }}\n"),
    )
}

fn host(cluster: &Cluster, id: &str, what: &str) -> Result<Command> {
    cluster.host_of(id, &config(cluster, what)?)
}

/// A host that runs the plugin until it has completed.
fn once(cluster: &Cluster, id: &str, what: &str) -> Result<Command> {
    Ok(host(cluster, id, what)?.arg("--once"))
}

async fn status(cluster: &Cluster) -> Result<Value> {
    let status = cluster.operator(&[], &["status", TASK, "--json"]).await?.json()?;
    Ok(status["tasks"][0].clone())
}

async fn terms(cluster: &Cluster) -> Result<Vec<Value>> {
    let history = cluster.operator(&[], &["history", TASK, "--json"]).await?.json()?;
    history["terms"].as_array().cloned().context("no terms")
}

/// Hosts take turns with longer and longer rests in between; everybody can see that the task fails and of what; and when
/// it runs well again, nobody does any more.
#[tokio::test]
async fn a_task_that_fails_everywhere_is_seen_to_fail_until_it_is_healthy_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut first = host(&cluster, "a", "panic")?.start(&cluster.history)?;
    let failed = first.event("failed").await?;
    let event = failed.event().context("no event")?;
    ensure!(event.line["level"] == "error" && event.text("cause") == Some("panic"), "{event:?}");
    ensure!(event.line["terms"] == 1 && event.line["restarts"] == 1 && event.term == Some(1), "{event:?}");
    ensure!(event.text("retry_in") == Some("200ms"), "{event:?}");

    let mut second = host(&cluster, "b", "error")?.start(&cluster.history)?;
    for terms in 2..=4_u64 {
        let fits = |record: &soloist_tests::history::Record| {
            record.is("failed") && record.event().is_some_and(|event| event.line["terms"] == terms)
        };
        let failed = cluster.history.wait_for(0, "a failed term", PATIENCE, fits).await?;
        let event = failed.event().context("no event")?;
        let rest = humantime::format_duration(std::time::Duration::from_millis(100 << terms)).to_string();
        ensure!(event.text("retry_in") == Some(rest.as_str()), "{event:?}");
    }
    let seen = eventually("the mark", PATIENCE, async || {
        let status = status(&cluster).await.ok()?;
        let awaited = status["failure"]["retry_at"].is_string();
        (status["failure"]["terms"].as_u64() >= Some(4) && awaited).then_some(status)
    });
    let seen = seen.await?;
    let failure = &seen["failure"];
    ensure!(seen["state"] == "failed" && ["a", "b"].contains(&failure["host"].as_str().unwrap_or("")), "{seen}");
    let at = |name: &str| humantime::parse_rfc3339(failure[name].as_str().unwrap_or("")).context(seen.to_string());
    ensure!(at("retry_at")? > at("at")?, "{seen}");
    let cause = if failure["host"] == "a" { ("panic", "this is the reason") } else { ("error", "this went wrong") };
    ensure!(failure["cause"] == cause.0, "{seen}");
    ensure!(failure["detail"].as_str().is_some_and(|detail| detail.contains(cause.1)), "{seen}");
    let text = cluster.operator(&[], &["status"]).await?.stdout;
    ensure!(text.contains("failed") && (text.contains("panic") || text.contains("error")), "{text}");

    ensure!(first.terminate().await?.success() && second.terminate().await?.success());
    let mut third = host(&cluster, "c", "wait")?.start(&cluster.history)?;
    third.event("activated").await?;
    let healed = eventually("the task to be healthy", PATIENCE, async || {
        let status = status(&cluster).await.ok()?;
        (status["state"] == "led" && status["failure"].is_null() && status["leader"]["host"] == "c").then_some(())
    });
    healed.await?;
    let terms = terms(&cluster).await?;
    let (last, ended) = terms.split_last().context("no terms")?;
    ensure!(ended[0]["host"] == "c" && ended[0]["end"].is_null(), "{terms:#?}");
    ensure!(last["end"]["reason"] == "failed" && last["end"]["cause"] == "panic", "{last}");
    ensure!(last["end"]["detail"].as_str().is_some_and(|detail| detail.contains("this is the reason")), "{last}");
    let text = cluster.operator(&[], &["history", TASK]).await?.stdout;
    ensure!(text.contains("failed: panic") && text.contains("failed: error"), "{text}");
    cluster.verdict().check()
}

/// A term that was healthy before its plugin failed for good begins a new count.
#[tokio::test]
async fn failures_after_a_healthy_time_are_counted_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut first = host(&cluster, "a", "panic")?.start(&cluster.history)?;
    first.event_where("failed", |event| event.line["terms"] == 2).await?;
    ensure!(first.terminate().await?.success());
    let mut second = host(&cluster, "b", "recover")?.start(&cluster.history)?;
    let failed = second.event("failed").await?;
    ensure!(failed.event().is_some_and(|event| event.line["terms"] == 1), "{failed:?}");
    cluster.verdict().check()
}

/// Alone it rests between its terms, ever longer, and says so; another host does not wait for that.
#[tokio::test]
async fn a_plugin_that_gives_leadership_up_at_once_makes_no_busy_loop() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = build::artifacts()?.guest("misbehave");
    let command = |id: &str| -> Result<Command> {
        let command = cluster.host_of(id, &plugin)?.flag("--task", TASK).flag("--config", "do=complete");
        Ok(command.arg("--allow-state").arg("--allow-tcp=").flag("--on-complete", "resign"))
    };
    let mut alone = command("a")?.start(&cluster.history)?;
    for (number, pause) in [(1, "1s"), (2, "2s")] {
        let rests = |event: &Event| event.term == Some(number) && event.text("stands_again_in") == Some(pause);
        alone.event_where("released", rests).await?;
    }
    let mut other = command("b")?.start(&cluster.history)?;
    other.event_where("released", |event| event.text("stands_again_in") == Some("1s")).await?;
    ensure!(alone.terminate().await?.success() && other.terminate().await?.success());
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_is_run_once_is_given_back_when_it_has_completed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut leader = host(&cluster, "leader", "wait")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut standby = once(&cluster, "once", "complete")?.start(&cluster.history)?;
    standby.event("standby").await?;
    ensure!(leader.terminate().await?.success());
    let ended = standby.ended().await?;
    ensure!(ended.code() == Some(0), "{ended}: {}", standby.errors());
    standby.event_where("plugin-log", |event| event.message == "demoted: Demotion::Resigned").await?;
    let story = ["activated", "plugin-completed", "draining", "demoted", "released", "session-closed"];
    let records = standby.records();
    let seen: Vec<_> = records.iter().filter_map(|record| story.iter().copied().find(|name| record.is(name))).collect();
    ensure!(seen == story, "{seen:?}");
    let status = status(&cluster).await?;
    ensure!(status["state"] == "vacant" && status["failure"].is_null(), "{status}");
    let terms = terms(&cluster).await?;
    ensure!(terms[0]["end"]["reason"] == "resigned", "{terms:#?}");
    ensure!(terms[0]["end"]["detail"] == "the plugin has completed", "{terms:#?}");
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_is_demoted_before_it_has_completed_stands_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = once(&cluster, "a", "second-term")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    // It does not see who leads next: the second term is short.
    cluster.operator(&[], &["resign", TASK, "--timeout", "1ms"]).await?;
    let ended = host.ended().await?;
    ensure!(ended.code() == Some(0), "{ended}: {}", host.errors());
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_is_run_once_and_fails_is_a_failure_of_the_command() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = host(&cluster, "a", "error")?.env("SOLOIST_ONCE", "1").start(&cluster.history)?;
    let ended = host.ended().await?;
    let errors = host.errors();
    ensure!(ended.code() == Some(1), "{ended}: {errors}");
    ensure!(errors.contains("(error)") && errors.contains("this went wrong") && errors.contains("1 times"), "{errors}");
    host.event("released").await?;
    let status = status(&cluster).await?;
    let failure = &status["failure"];
    ensure!(status["state"] == "failed" && failure["cause"] == "error" && failure["retry_at"].is_null(), "{status}");
    cluster.verdict().check()
}

/// Nobody may take it for done.
#[tokio::test]
async fn a_plugin_that_is_run_once_and_interrupted_has_not_completed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = once(&cluster, "a", "wait")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let ended = host.terminate().await?;
    ensure!(ended.code() == Some(1) && host.errors().contains("before the plugin had completed"), "{ended}");
    cluster.verdict().check()
}

#[tokio::test]
async fn only_a_single_task_can_be_run_once() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let task = |name: &str| format!("[[task]]\nname = \"{name}\"\nplugin = {plugin:?}\n");
    let two = cluster.file("two.toml", task("one") + &task("two"))?;
    for (command, place) in [
        (cluster.host_of("a", &two)?.arg("--once"), "--once"),
        (cluster.host_of("a", &two)?.env("SOLOIST_ONCE", "1"), "SOLOIST_ONCE"),
    ] {
        let mut host = command.start(&cluster.history)?;
        let ended = host.ended().await?;
        ensure!(ended.code() == Some(2) && host.errors().contains(place), "{ended}: {}", host.errors());
    }
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_completes_can_be_run_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = host(&cluster, "a", "complete")?.env("SOLOIST_ON_COMPLETE", "hold").start(&cluster.history)?;
    let ended = host.ended().await?;
    ensure!(ended.code() == Some(2), "a setting of one task beside a file: {}", host.errors());
    let plugin = build::artifacts()?.guest("misbehave");
    let command = cluster.host_of("b", &plugin)?.flag("--task", TASK).flag("--config", "do=complete");
    let command = command.arg("--allow-state").arg("--allow-tcp=").flag("--on-complete", "restart");
    let mut host = command.start(&cluster.history)?;
    for pause in ["1s", "2s"] {
        host.event_where("plugin-completed", |event| event.text("restart_in") == Some(pause)).await?;
    }
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}
