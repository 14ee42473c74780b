//! What follows when a plugin fails on one host after another, and when it completes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::Event;
use soloist_tests::host::{Command, Host};
use soloist_tests::proxy::{Loss, Op, Proxy, Traffic};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, build, client, eventually};

/// The configuration of a host whose plugin does `what`, is restarted once, and stays out of the queue for a moment.
fn config(cluster: &Cluster, what: &str) -> Result<PathBuf> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let restart =
        r#"{ initial = "10ms", max = "200ms", healthy_after = "300ms", max_restarts = 1 }"#;
    let task = format!("[[task]]\nname = \"{TASK}\"\nplugin = {plugin:?}\nrestart = {restart}\n");
    cluster.file(
        &format!("{what}.toml"),
        format!("{task}config = {{ do = \"{what}\" }}\nallow = {{ state = true, tcp = [] }}\n"),
    )
}

fn host(cluster: &Cluster, id: &str, what: &str) -> Result<Command> {
    cluster.host_of(id, &config(cluster, what)?)
}

/// A host that runs the plugin until it has completed, on whichever host.
fn once(cluster: &Cluster, id: &str, what: &str) -> Result<Command> {
    Ok(host(cluster, id, what)?.arg("--once"))
}

/// Waits until the host has ended with code 0.
async fn done(host: &mut Host) -> Result<()> {
    let ended = host.ended().await?;
    ensure!(
        ended.code() == Some(0),
        "{}: {ended}: {}",
        host.id(),
        host.errors()
    );
    Ok(())
}

/// Who did it, as a host says that need not.
fn done_by(host: &Host) -> Option<String> {
    let records = host.records();
    let event = records
        .iter()
        .find(|record| record.is("completed-before"))?
        .event()?;
    Some(event.text("by")?.to_owned())
}

/// How many plugins were entered in all.
fn activations(cluster: &Cluster) -> usize {
    cluster.verdict().activities.len()
}

async fn status(cluster: &Cluster) -> Result<Value> {
    let status = cluster
        .operator(&[], &["status", TASK, "--json"])
        .await?
        .json()?;
    Ok(status["tasks"][0].clone())
}

async fn terms(cluster: &Cluster) -> Result<Vec<Value>> {
    let history = cluster
        .operator(&[], &["history", TASK, "--json"])
        .await?
        .json()?;
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
    ensure!(
        event.line["level"] == "error" && event.text("cause") == Some("panic"),
        "{event:?}"
    );
    ensure!(
        event.line["terms"] == 1 && event.line["restarts"] == 1 && event.term == Some(1),
        "{event:?}"
    );
    ensure!(event.line["retry_in"] == 0.2, "{event:?}");

    let mut second = host(&cluster, "b", "error")?.start(&cluster.history)?;
    for terms in 2..=4_u64 {
        let fits = |record: &soloist_tests::history::Record| {
            record.is("failed")
                && record
                    .event()
                    .is_some_and(|event| event.line["terms"] == terms)
        };
        let failed = cluster
            .history
            .wait_for(0, "a failed term", PATIENCE, fits)
            .await?;
        let event = failed.event().context("no event")?;
        let rest = std::time::Duration::from_millis(100 << terms);
        ensure!(event.duration("retry_in") == Some(rest), "{event:?}");
    }
    let seen = eventually("the mark", PATIENCE, async || {
        let status = status(&cluster).await.ok()?;
        let awaited = status["failure"]["retry_at"].is_string();
        (status["failure"]["terms"].as_u64() >= Some(4) && awaited).then_some(status)
    });
    let seen = seen.await?;
    let failure = &seen["failure"];
    ensure!(
        seen["state"] == "failed" && ["a", "b"].contains(&failure["host"].as_str().unwrap_or("")),
        "{seen}"
    );
    let at = |name: &str| {
        humantime::parse_rfc3339(failure[name].as_str().unwrap_or("")).context(seen.to_string())
    };
    ensure!(at("retry_at")? > at("at")?, "{seen}");
    let cause = if failure["host"] == "a" {
        ("panic", "this is the reason")
    } else {
        ("error", "this went wrong")
    };
    ensure!(failure["cause"] == cause.0, "{seen}");
    ensure!(
        failure["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(cause.1)),
        "{seen}"
    );
    let text = cluster.operator(&[], &["status"]).await?.stdout;
    ensure!(
        text.contains("failed") && (text.contains("panic") || text.contains("error")),
        "{text}"
    );

    ensure!(first.terminate().await?.success() && second.terminate().await?.success());
    let mut third = host(&cluster, "c", "wait")?.start(&cluster.history)?;
    third.event("activated").await?;
    let healed = eventually("the task to be healthy", PATIENCE, async || {
        let status = status(&cluster).await.ok()?;
        (status["state"] == "led" && status["failure"].is_null() && status["leader"]["host"] == "c")
            .then_some(())
    });
    healed.await?;
    let terms = terms(&cluster).await?;
    let (last, ended) = terms.split_last().context("no terms")?;
    ensure!(
        ended[0]["host"] == "c" && ended[0]["end"].is_null(),
        "{terms:#?}"
    );
    ensure!(
        last["end"]["reason"] == "failed" && last["end"]["cause"] == "panic",
        "{last}"
    );
    ensure!(
        last["end"]["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("this is the reason")),
        "{last}"
    );
    let text = cluster.operator(&[], &["history", TASK]).await?.stdout;
    ensure!(
        text.contains("failed: panic") && text.contains("failed: error"),
        "{text}"
    );
    cluster.verdict().check()
}

/// A term that was healthy before its plugin failed for good begins a new count.
#[tokio::test]
async fn failures_after_a_healthy_time_are_counted_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut first = host(&cluster, "a", "panic")?.start(&cluster.history)?;
    first
        .event_where("failed", |event| event.line["terms"] == 2)
        .await?;
    ensure!(first.terminate().await?.success());
    let mut second = host(&cluster, "b", "recover")?.start(&cluster.history)?;
    let failed = second.event("failed").await?;
    ensure!(
        failed.event().is_some_and(|event| event.line["terms"] == 1),
        "{failed:?}"
    );
    cluster.verdict().check()
}

/// Alone it rests between its terms, ever longer, and says so; another host does not wait for that.
#[tokio::test]
async fn a_plugin_that_gives_leadership_up_at_once_makes_no_busy_loop() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = build::artifacts()?.guest("misbehave");
    let command = |id: &str| -> Result<Command> {
        let command = cluster
            .host_of(id, &plugin)?
            .flag("--task", TASK)
            .flag("--config", "do=complete");
        Ok(command
            .arg("--allow-state")
            .arg("--allow-tcp=")
            .flag("--on-complete", "resign"))
    };
    let mut alone = command("a")?.start(&cluster.history)?;
    for (number, pause) in [(1, 1.0), (2, 2.0)] {
        let rests =
            |event: &Event| event.term == Some(number) && event.line["stands_again_in"] == pause;
        alone.event_where("released", rests).await?;
    }
    let mut other = command("b")?.start(&cluster.history)?;
    other
        .event_where("released", |event| event.line["stands_again_in"] == 1.0)
        .await?;
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
    let status = status(&cluster).await?;
    ensure!(
        status["state"] == "vacant" && status["failure"].is_null(),
        "{status}"
    );
    let terms = terms(&cluster).await?;
    ensure!(terms[0]["end"]["reason"] == "resigned", "{terms:#?}");
    ensure!(
        terms[0]["end"]["detail"] == "the plugin has completed",
        "{terms:#?}"
    );
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_is_demoted_before_it_has_completed_stands_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = once(&cluster, "a", "second-term")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    // It does not see who leads next: the second term is short.
    cluster
        .operator(&[], &["resign", TASK, "--timeout", "1ms"])
        .await?;
    let ended = host.ended().await?;
    ensure!(ended.code() == Some(0), "{ended}: {}", host.errors());
    cluster.verdict().check()
}

#[tokio::test]
async fn a_plugin_that_is_run_once_and_fails_is_a_failure_of_the_command() -> Result<()> {
    let cluster = Cluster::start().await?;
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
    let status = status(&cluster).await?;
    let failure = &status["failure"];
    ensure!(
        status["state"] == "failed" && failure["cause"] == "error" && failure["retry_at"].is_null(),
        "{status}"
    );
    cluster.verdict().check()
}

/// Nobody may take it for done.
#[tokio::test]
async fn a_plugin_that_is_run_once_and_interrupted_has_not_completed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = once(&cluster, "a", "wait")?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    let ended = host.terminate().await?;
    ensure!(
        ended.code() == Some(1) && host.errors().contains("before the plugin had completed"),
        "{ended}"
    );
    cluster.verdict().check()
}

/// Whoever stands by ends as well, and so does whoever comes later: once means once for the task.
#[tokio::test]
async fn a_task_that_is_done_once_is_done_by_one_host() -> Result<()> {
    let cluster = Cluster::start().await?;
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
    // Who is not told to do it once does it all the same, and what was done stays known.
    let mut another = host(&cluster, "another", "wait")?.start(&cluster.history)?;
    another.event("plugin-log").await?;
    ensure!(another.terminate().await?.success());
    let mut late = once(&cluster, "later", "complete")?.start(&cluster.history)?;
    done(&mut late).await?;
    ensure!(done_by(&late).as_deref() == Some("a"));
    cluster.verdict().check()
}

/// With another name it is done again, and each name is remembered.
#[tokio::test]
async fn what_is_done_once_is_done_again_under_another_name() -> Result<()> {
    let cluster = Cluster::start().await?;
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

/// A leader that dies on the way has done nothing: the next one does it.
#[tokio::test]
async fn what_is_to_be_done_once_survives_the_death_of_its_leader() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
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

/// The transaction that says so is done, but its reply is lost, or it never arrives: it is done once all the same.
#[tokio::test]
async fn a_completion_whose_message_is_lost_is_written_down_once() -> Result<()> {
    for loss in [Loss::Request, Loss::Reply] {
        let cluster = Cluster::start().await?;
        let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
        // The first that writes the completion.
        proxy.lose(loss, |request| {
            request.op == Op::Multi && request.contains(b"\"completed\":[")
        });
        let command =
            cluster.host_at(&proxy.connect_string(), "a", &config(&cluster, "complete")?)?;
        let mut host = command.arg("--once").start(&cluster.history)?;
        done(&mut host).await.with_context(|| format!("{loss:?}"))?;
        let mut late = once(&cluster, "late", "complete")?.start(&cluster.history)?;
        done(&mut late).await?;
        ensure!(
            done_by(&late).as_deref() == Some("a") && activations(&cluster) == 1,
            "{loss:?}"
        );
        cluster.verdict().check()?;
    }
    Ok(())
}

/// The answer is lost and the host is asked to stop before it hears of it: what it has done is done all the same.
#[tokio::test]
async fn a_completion_whose_answer_is_lost_counts_at_a_shutdown() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Arc::new(Proxy::start(cluster.zookeeper.address(0)).await?);
    let silent = Arc::downgrade(&proxy);
    proxy.lose(Loss::Reply, move |request| {
        let writes = request.op == Op::Multi && request.contains(b"\"completed\":[");
        if let Some(proxy) = silent.upgrade().filter(|_| writes) {
            proxy.set(Traffic::LostToClient);
        }
        writes
    });
    let command = cluster.host_at(&proxy.connect_string(), "a", &config(&cluster, "complete")?)?;
    let mut host = command.arg("--once").start(&cluster.history)?;
    proxy.replies_lost(1).await?;
    host.signal(Signal::TERM)?;
    host.event("draining").await?;
    proxy.set(Traffic::Passes);
    done(&mut host).await?;
    ensure!(
        done_by(&host).is_none() && activations(&cluster) == 1,
        "{:?}",
        host.records()
    );
    cluster.verdict().check()
}

/// Somebody takes the term record away while it is done: it is known to be done as soon as this host leads again, which then
/// does not do it again.
#[tokio::test]
async fn a_completion_in_a_term_that_was_taken_away_is_written_down_in_the_next() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    proxy.lose(Loss::Request, |request| {
        request.op == Op::Multi && request.contains(b"\"completed\":[")
    });
    let command = cluster.host_at(&proxy.connect_string(), "a", &config(&cluster, "complete")?)?;
    let mut host = command.arg("--once").start(&cluster.history)?;
    host.event("session-disconnected").await?;
    let client = cluster.client().await?;
    // It may have come back already.
    let _ = client.delete("/soloist/tasks/beat/term", None).await;
    done(&mut host).await?;
    let elected = host
        .records()
        .iter()
        .filter(|record| record.is("elected"))
        .count();
    ensure!(
        activations(&cluster) == 1,
        "done again after {elected} elections"
    );
    let mut late = once(&cluster, "late", "complete")?.start(&cluster.history)?;
    done(&mut late).await?;
    // If it was written down before somebody took the record away, nobody knows of it any more.
    ensure!(
        elected == 1 || done_by(&late).as_deref() == Some("a"),
        "{:?}",
        late.records()
    );
    client::close(client).await;
    Ok(())
}

/// Whoever has led since has begun the work anew: what was completed before, and could not be written down, is done again.
#[tokio::test]
async fn a_completion_that_was_not_written_down_is_void_once_another_host_has_led() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let proxy = Arc::new(Proxy::start(cluster.zookeeper.address(0)).await?);
    let link = Arc::clone(&proxy);
    proxy.lose(Loss::Request, move |request| {
        let writes = request.op == Op::Multi && request.contains(b"\"completed\":[");
        if writes {
            link.set(Traffic::Cut);
        }
        writes
    });
    let command = cluster.host_at(&proxy.connect_string(), "a", &config(&cluster, "complete")?)?;
    let mut first = command.arg("--once").start(&cluster.history)?;
    first.event("session-disconnected").await?;
    let mut other = host(&cluster, "b", "wait")?.start(&cluster.history)?;
    other.event("plugin-log").await?;
    proxy.set(Traffic::Passes);
    first.event("standby").await?;
    ensure!(other.terminate().await?.success());
    done(&mut first).await?;
    ensure!(
        activations(&cluster) == 3 && done_by(&first).is_none(),
        "{:?}",
        first.records()
    );
    cluster.verdict().check()
}

#[tokio::test]
async fn each_host_can_do_it_once_for_itself() -> Result<()> {
    let cluster = Cluster::start().await?;
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
    let cluster = Cluster::start().await?;
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

#[tokio::test]
async fn a_plugin_that_completes_can_be_run_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut host = host(&cluster, "a", "complete")?
        .env("SOLOIST_ON_COMPLETE", "hold")
        .start(&cluster.history)?;
    let ended = host.ended().await?;
    ensure!(
        ended.code() == Some(2),
        "a setting of one task beside a file: {}",
        host.errors()
    );
    let plugin = build::artifacts()?.guest("misbehave");
    let command = cluster
        .host_of("b", &plugin)?
        .flag("--task", TASK)
        .flag("--config", "do=complete");
    let command = command
        .arg("--allow-state")
        .arg("--allow-tcp=")
        .flag("--on-complete", "restart");
    let mut host = command.start(&cluster.history)?;
    for pause in [1.0, 2.0] {
        host.event_where("plugin-completed", |event| {
            event.line["restart_in"] == pause
        })
        .await?;
    }
    ensure!(host.terminate().await?.success());
    cluster.verdict().check()
}
