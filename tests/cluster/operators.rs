//! What operators ask and order, from any machine: `soloist status`, `soloist resign`, `soloist history`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{History, Record, What};
use soloist_tests::host::{Command, Host};
use soloist_tests::ports::Port;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, build, client, eventually};
use zookeeper_client::{Acls, CreateMode};

const RESIGN: &str = "/soloist/tasks/beat/resign";

/// Hosts that have queued in this order: the first one leads.
async fn queue(cluster: &Cluster, ids: &[&str]) -> Result<Vec<Host>> {
    let mut hosts = Vec::new();
    for id in ids {
        let mut host = cluster.host(id)?.start(&cluster.history)?;
        host.event(if hosts.is_empty() {
            "plugin-log"
        } else {
            "standby"
        })
        .await?;
        hosts.push(host);
    }
    Ok(hosts)
}

/// What `status` says of the only task.
async fn status(cluster: &Cluster) -> Result<Value> {
    let status = cluster
        .operator(&[], &["status", TASK, "--json"])
        .await?
        .json()?;
    ensure!(
        status["tasks"]
            .as_array()
            .is_some_and(|tasks| tasks.len() == 1),
        "{status}"
    );
    Ok(status["tasks"][0].clone())
}

/// What `history` says of the only task.
async fn terms(cluster: &Cluster) -> Result<Vec<Value>> {
    let history = cluster
        .operator(&[], &["history", TASK, "--json"])
        .await?
        .json()?;
    ensure!(history["task"] == TASK, "{history}");
    history["terms"].as_array().cloned().context("no terms")
}

fn standbys(status: &Value) -> Vec<&str> {
    status["standbys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Expects a command to fail at run time, with all of `words` in the message.
async fn fails(cluster: &Cluster, args: &[&str], words: &[&str]) -> Result<()> {
    let answer = cluster.operator(&[], args).await?;
    ensure!(
        answer.code == Some(1) && answer.stdout.is_empty(),
        "{answer:?}"
    );
    for word in words {
        ensure!(
            answer.stderr.contains(word),
            "{word:?} is not in the message: {}",
            answer.stderr
        );
    }
    Ok(())
}

/// The leader with its term and token, the standbys in the order of the queue, and all hosts: as text and as JSON.
#[tokio::test]
async fn status_names_the_leader_and_the_standbys_in_order() -> Result<()> {
    let cluster = Cluster::start().await?;
    let hosts = queue(&cluster, &["leader", "b", "a"]).await?;
    let status = cluster.operator(&[], &["status", "--json"]).await?.json()?;
    let observer = cluster.client().await?;
    let token = observer
        .check_stat(&Cluster::master(TASK))
        .await?
        .context("no master node")?
        .czxid;
    let task = &status["tasks"][0];
    ensure!(
        task["task"] == TASK && task["leader"]["host"] == "leader" && task["leader"]["term"] == 1,
        "{status}"
    );
    ensure!(
        task["leader"]["fencing_token"] == token,
        "{status}, where the token is {token}"
    );
    humantime::parse_rfc3339(task["leader"]["since"].as_str().context("no since")?)?;
    ensure!(standbys(task) == ["b", "a"], "{status}");
    let seen: Vec<_> = status["hosts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|host| &host["host"])
        .collect();
    ensure!(seen == ["a", "b", "leader"], "{status}");
    ensure!(
        status["hosts"][2]["pid"] == hosts[0].pid() && status["hosts"][2]["version"].is_string(),
        "{status}"
    );

    let text = cluster.operator(&[], &["status", TASK]).await?;
    let lines: Vec<Vec<&str>> = text
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    ensure!(
        text.code == Some(0) && lines[0][..4] == ["TASK", "LEADER", "TERM", "TOKEN"],
        "{text:?}"
    );
    ensure!(
        lines[1][..4] == [TASK, "leader", "1", &token.to_string()],
        "{text:?}"
    );
    ensure!(lines[1].ends_with(&["b,", "a"]), "{text:?}");
    client::close(observer).await;
    Ok(())
}

/// No leader is an answer, not a failure; a task nobody has ever stood for is a mistake.
#[tokio::test]
async fn status_tells_a_task_without_a_leader_from_one_that_is_unknown() -> Result<()> {
    let cluster = Cluster::start().await?;
    let nothing = cluster.operator(&[], &["status", "--json"]).await?.json()?;
    ensure!(nothing == json!({"tasks": [], "hosts": []}), "{nothing}");
    fails(
        &cluster,
        &["status", TASK],
        &["no task beat", "/soloist/tasks"],
    )
    .await?;
    for mut host in queue(&cluster, &["a"]).await? {
        ensure!(host.terminate().await?.success());
    }
    let status = cluster.operator(&[], &["status", "--json"]).await?.json()?;
    let task =
        json!({"task": TASK, "state": "vacant", "failure": null, "leader": null, "standbys": []});
    ensure!(status == json!({"tasks": [task], "hosts": []}), "{status}");
    ensure!(cluster.operator(&[], &["status"]).await?.code == Some(0));
    fails(&cluster, &["resign", TASK], &["nobody leads"]).await?;
    fails(&cluster, &["resign", "nightly"], &["no task nightly"]).await?;
    fails(&cluster, &["history", "nightly"], &["no task nightly"]).await
}

/// The configuration of the hosts serves operators as well, whatever its tasks are; flags come before it.
#[tokio::test]
async fn operators_can_use_the_configuration_of_the_hosts() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a"]).await?;
    let task = "[[task]]\nname = \"beat\"\nplugin = \"not-on-this-machine.wasm\"\n";
    let file = |name, servers: &str| {
        cluster.file(
            name,
            format!("[zookeeper]\nservers = {servers:?}\nconnect_timeout = \"1s\"\n{task}"),
        )
    };
    let right = file("right.toml", cluster.servers())?;
    let nobody = Port::reserve()?;
    let wrong = file("wrong.toml", &nobody.address().to_string())?;
    let (right, wrong) = (right.display().to_string(), wrong.display().to_string());
    let ask = async |args: &[&str]| {
        let mut command = std::process::Command::new(&build::artifacts()?.soloist);
        soloist_tests::host::clear_settings(&mut command);
        command.args(["status", TASK]).args(args);
        anyhow::Ok(tokio::task::spawn_blocking(move || command.output()).await??)
    };
    ensure!(ask(&["--config-file", &right]).await?.status.code() == Some(0));
    let unreachable = ask(&["--config-file", &wrong]).await?;
    let message = String::from_utf8_lossy(&unreachable.stderr).into_owned();
    ensure!(
        unreachable.status.code() == Some(3) && message.contains(&nobody.address().to_string()),
        "{message}"
    );
    ensure!(
        ask(&["--config-file", &wrong, "--zookeeper", cluster.servers()])
            .await?
            .status
            .code()
            == Some(0)
    );
    let bad = ask(&["--config-file", &right, "--root", "nowhere"]).await?;
    let message = String::from_utf8_lossy(&bad.stderr).into_owned();
    ensure!(
        bad.status.code() == Some(2) && message.contains("--root"),
        "{message}"
    );
    Ok(())
}

/// Every change is printed, until SIGINT ends it with success.
#[tokio::test]
async fn status_can_be_watched() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = queue(&cluster, &["a", "b"]).await?;
    let seen = History::default();
    let command = Command::new("watcher", &build::artifacts()?.soloist)
        .arg("status")
        .arg("--watch")
        .arg("--json");
    let mut watcher = command
        .flag("--zookeeper", cluster.servers())
        .start(&seen)?;
    let until = async |what: &str, leader: Value, behind: &[&str]| {
        let fits = |record: &Record| match &record.what {
            What::Unreadable(line) => serde_json::from_str::<Value>(line).is_ok_and(|status| {
                let task = &status["tasks"][0];
                task["leader"].get("host").unwrap_or(&Value::Null) == &leader
                    && standbys(task) == behind
            }),
            _ => false,
        };
        seen.wait_for(0, what, PATIENCE, fits).await
    };
    until("the beginning", json!("a"), &["b"]).await?;
    ensure!(hosts[0].terminate().await?.success());
    until("the handover", json!("b"), &[]).await?;
    ensure!(hosts[1].terminate().await?.success());
    until("the end", Value::Null, &[]).await?;
    watcher.signal(Signal::INT)?;
    let status = watcher.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", watcher.errors());
    let printed: Vec<_> = seen
        .since(0)
        .into_iter()
        .map(|record| format!("{:?}", record.what))
        .collect();
    ensure!(
        printed.windows(2).all(|pair| pair[0] != pair[1]),
        "printed again without a change: {printed:#?}"
    );
    Ok(())
}

/// The next in the queue leads; the host that led stands at its end; the history says why.
#[tokio::test]
async fn a_leader_that_is_asked_to_resigns_in_favour_of_the_next() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = queue(&cluster, &["a", "b", "c"]).await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--reason", "kernel update"])
        .await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("b leads beat now in term 2"),
        "{answer:?}"
    );
    hosts[0]
        .event_where("draining", |event| event.text("reason") == Some("resigned"))
        .await?;
    hosts[0].event("released").await?;
    hosts[1].event("plugin-log").await?;
    let queued = eventually("the old leader to queue", PATIENCE, async || {
        let status = status(&cluster).await.ok()?;
        (standbys(&status) == ["c", "a"] && status["leader"]["host"] == "b").then_some(())
    });
    queued.await?;
    let terms = terms(&cluster).await?;
    let end = &terms[1]["end"];
    ensure!(
        end["reason"] == "resigned" && end["detail"] == "kernel update",
        "{terms:?}"
    );
    // The order is fulfilled, so it is gone.
    let observer = cluster.client().await?;
    ensure!(observer.check_stat(RESIGN).await?.is_none());
    client::close(observer).await;
    cluster.verdict().check()
}

/// Whoever is last in the queue leads next, if that is asked for; those before it step back and go on standing.
#[tokio::test]
async fn leadership_can_be_handed_to_the_last_in_the_queue() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = queue(&cluster, &["a", "b", "c", "d"]).await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--to", "d"])
        .await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("d leads beat now in term 2"),
        "{answer:?}"
    );
    hosts[3].event("plugin-log").await?;
    let standing = eventually("the others to stand", PATIENCE, async || {
        let status = status(&cluster).await.ok()?;
        let standing: BTreeSet<_> = standbys(&status).into_iter().map(str::to_owned).collect();
        (standing == ["a", "b", "c"].map(str::to_owned).into() && standbys(&status).len() == 3)
            .then_some(())
    });
    standing.await?;
    // They are good standbys.
    ensure!(hosts[3].terminate().await?.success());
    cluster
        .history
        .wait_for(0, "term 3", PATIENCE, |record| {
            record.is("activated") && record.event().is_some_and(|event| event.term == Some(3))
        })
        .await?;
    let verdict = cluster.verdict();
    let order: Vec<&str> = verdict
        .activities
        .iter()
        .map(|activity| activity.host.as_str())
        .collect();
    ensure!(order[..2] == ["a", "d"] && order.len() == 3, "{order:?}");
    verdict.check()
}

/// An order that cannot be fulfilled is not given: it says who could lead, and changes nothing.
#[tokio::test]
async fn nobody_resigns_in_favour_of_a_host_that_does_not_stand() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a", "b", "c"]).await?;
    let before = status(&cluster).await?;
    fails(
        &cluster,
        &["resign", TASK, "--to", "z"],
        &["host z does not stand", "b, c"],
    )
    .await?;
    fails(
        &cluster,
        &["resign", TASK, "--to", "a"],
        &["host a leads", "already"],
    )
    .await?;
    let after = status(&cluster).await?;
    ensure!(before == after, "{before} has become {after}");
    let observer = cluster.client().await?;
    ensure!(
        observer.check_stat(RESIGN).await?.is_none(),
        "an order was left behind"
    );
    client::close(observer).await;
    Ok(())
}

/// An order for a term that has ended, and what is no order at all, mean nothing; the next true one is still heard.
#[tokio::test]
async fn orders_for_another_term_mean_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a", "b"]).await?;
    ensure!(cluster.operator(&[], &["resign", TASK]).await?.code == Some(0));
    let observer = cluster.client().await?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    observer
        .create(RESIGN, br#"{"term":1,"to":"a","reason":"stale"}"#, &options)
        .await?;
    observer.set_data(RESIGN, b"{\"term\":", None).await?;
    observer
        .set_data(RESIGN, br#"{"term":3,"reason":"early"}"#, None)
        .await?;
    let answer = cluster
        .operator(&[], &["resign", TASK, "--reason", "true"])
        .await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let terms = terms(&cluster).await?;
    let numbers: Vec<_> = terms.iter().map(|term| term["number"].as_u64()).collect();
    ensure!(numbers == [Some(3), Some(2), Some(1)], "{terms:?}");
    ensure!(
        terms[1]["host"] == "b" && terms[1]["end"]["detail"] == "true",
        "{terms:?}"
    );
    client::close(observer).await;
    cluster.verdict().check()
}

/// A node for orders that the leader may not read is said to be in the way, once; when it is gone orders are heard again.
#[tokio::test]
async fn orders_that_cannot_be_read_are_reported_and_come_through_when_they_can() -> Result<()> {
    let cluster = Cluster::start().await?;
    let stranger = client::connect_as(
        cluster.servers(),
        cluster.session_timeout,
        Some("stranger:secret"),
    )
    .await?;
    client::make_path(&stranger, "/soloist/tasks/beat").await?;
    let options = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger.create(RESIGN, b"", &options).await?;
    let mut hosts = queue(&cluster, &["a", "b"]).await?;
    let names = |message: &str| message.contains(RESIGN) && message.contains("ACL");
    hosts[0]
        .event_where("election-error", |event| names(&event.message))
        .await?;
    stranger.delete(RESIGN, None).await?;
    let answer = cluster.operator(&[], &["resign", TASK]).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let errors = hosts[0]
        .records()
        .into_iter()
        .filter(|record| record.is("election-error"));
    ensure!(errors.count() == 1);
    client::close(stranger).await;
    cluster.verdict().check()
}

/// A leader that does not answer: the command says so, and the order is followed as soon as the leader can.
#[tokio::test]
async fn an_order_stands_until_the_leader_follows_it() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = queue(&cluster, &["a", "b"]).await?;
    hosts[0].pause().await?;
    fails(
        &cluster,
        &["resign", TASK, "--timeout", "200ms"],
        &["a was asked", "the order stands"],
    )
    .await?;
    hosts[0].resume()?;
    hosts[0]
        .event_where("draining", |event| event.text("reason") == Some("resigned"))
        .await?;
    hosts[1].event("plugin-log").await?;
    cluster.verdict().check()
}

/// The next in the queue cannot lead, and holds the others back until its session is over.
#[tokio::test]
async fn an_order_after_which_nobody_leads_is_not_fulfilled() -> Result<()> {
    let settings = Settings::standalone().property("maxSessionTimeout", "60000");
    let cluster = Cluster::with(settings, Duration::from_secs(60)).await?;
    let mut hosts = queue(&cluster, &["a", "b"]).await?;
    hosts[1].pause().await?;
    fails(
        &cluster,
        &["resign", TASK, "--timeout", "15s"],
        &["a has resigned", "nobody leads task beat"],
    )
    .await?;
    hosts[1].resume()?;
    hosts[1].event("plugin-log").await?;
    cluster.verdict().check()
}

/// The host that shall lead is gone before its turn comes.
#[tokio::test]
async fn an_order_after_which_another_leads_is_not_fulfilled() -> Result<()> {
    let cluster = Cluster::with(Settings::standalone(), Duration::from_secs(4)).await?;
    let mut hosts = queue(&cluster, &["a", "b", "c"]).await?;
    hosts[2].pause().await?;
    fails(
        &cluster,
        &["resign", TASK, "--to", "c"],
        &["leads task beat now, not c"],
    )
    .await?;
    hosts[2].resume()?;
    cluster.verdict().check()
}

/// The only host resigns and leads again, in a term of its own.
#[tokio::test]
async fn a_host_alone_leads_again() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a"]).await?;
    let answer = cluster.operator(&[], &["resign", TASK]).await?;
    ensure!(
        answer.code == Some(0) && answer.stdout.contains("a leads beat now in term 2"),
        "{answer:?}"
    );
    cluster.verdict().check()
}

/// A history that somebody deletes, or writes something else to, begins anew; leadership does not depend on it.
#[tokio::test]
async fn a_history_that_is_lost_begins_anew() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a", "b"]).await?;
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
        let terms = terms(&cluster).await?;
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
    let mut hosts = queue(&cluster, &["a", "b", "c"]).await?;
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

    let terms = terms(&cluster).await?;
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

/// A foreign program that leads is shown as what it wrote, made safe to print; it cannot be asked to resign.
#[tokio::test]
async fn a_foreign_leader_is_shown_as_what_it_wrote() -> Result<()> {
    let cluster = Cluster::start().await?;
    let node = "/legacy/report/master";
    let foreign = cluster.client().await?;
    client::make_path(&foreign, "/legacy/report").await?;
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let (stat, _) = foreign
        .create(node, br#"{"host":"10.0.0.1\u001b[2J","term":7}"#, &options)
        .await?;
    let mut host = cluster
        .host("a")?
        .flag("--path", node)
        .start(&cluster.history)?;
    host.event("standby").await?;
    let seen = status(&cluster).await?;
    let leader = &seen["leader"];
    ensure!(
        leader["host"] == "10.0.0.1\u{1b}[2J" && leader["term"] == Value::Null,
        "{seen}"
    );
    ensure!(
        leader["fencing_token"] == stat.czxid && standbys(&seen) == ["a"],
        "{seen}"
    );
    let text = cluster.operator(&[], &["status"]).await?;
    ensure!(
        text.stdout.contains("10.0.0.1\\u{1b}[2J") && text.stdout.contains("foreign"),
        "{text:?}"
    );
    ensure!(!text.stdout.contains('\u{1b}'), "{text:?}");
    fails(
        &cluster,
        &["resign", TASK],
        &["10.0.0.1\\u{1b}[2J", "no host of Soloist"],
    )
    .await?;
    client::close(foreign).await;
    host.event("plugin-log").await?;
    let seen = status(&cluster).await?;
    ensure!(
        seen["leader"]["host"] == "a" && seen["leader"]["term"] == 1,
        "{seen}"
    );
    cluster.verdict().check()
}

/// Nobody answers: exit code 3, soon after the limit.
#[tokio::test]
async fn an_ensemble_that_does_not_answer_has_an_exit_code_of_its_own() -> Result<()> {
    build::artifacts()?;
    let nobody = Port::reserve()?;
    let address = nobody.address().to_string();
    for command in [&["status"][..], &["history", TASK], &["resign", TASK]] {
        let mut soloist = std::process::Command::new(&build::artifacts()?.soloist);
        soloist_tests::host::clear_settings(&mut soloist);
        soloist
            .args(command)
            .args(["--zookeeper", &address, "--connect-timeout", "300ms"]);
        let output = tokio::task::spawn_blocking(move || soloist.output()).await??;
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(3) && message.contains(&address),
            "{command:?}: {message}"
        );
    }
    Ok(())
}
