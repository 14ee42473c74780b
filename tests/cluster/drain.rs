//! Hosts that an operator drains: each task is handed over, and the host stands for nothing until it is drained no more.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use soloist_tests::cluster::{Answer, Cluster, TASK};
use soloist_tests::host::{Command, Host};
use soloist_tests::{PATIENCE, build, eventually};

mod orders;
mod restart;
mod trouble;

/// The tasks of a configuration with several.
const TASKS: [&str; 3] = ["one", "two", "three"];

/// A host that stands for [`TASKS`], each with the plugin `heartbeat`.
fn host(cluster: &Cluster, id: &str) -> Result<Command> {
    let plugin = build::artifacts()?.guest("heartbeat").display().to_string();
    let task = |name| {
        format!(
            "[[task]]\nname = {name:?}\nplugin = {plugin:?}\nconfig = {{ interval = \"100ms\" }}\n"
        )
    };
    let file = cluster.file("tasks.toml", TASKS.map(task).concat())?;
    cluster.host_of(id, &file)
}

/// Starts such hosts one after the other: the first one leads all tasks, and the others stand by in this order.
async fn queue(cluster: &Cluster, ids: &[&str]) -> Result<Vec<Host>> {
    let mut hosts = Vec::new();
    for id in ids {
        let mut host = host(cluster, id)?.start(&cluster.history)?;
        let stands = if hosts.is_empty() {
            "activated"
        } else {
            "standby"
        };
        for task in TASKS {
            host.event_where(stands, |event| event.task.as_deref() == Some(task))
                .await?;
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// Runs a command of an operator, which has to succeed.
async fn order(cluster: &Cluster, args: &[&str]) -> Result<Answer> {
    let answer = cluster.operator(&[], args).await?;
    ensure!(answer.code == Some(0), "{args:?}: {answer:?}");
    Ok(answer)
}

async fn status(cluster: &Cluster) -> Result<Value> {
    order(cluster, &["status", "--json"]).await?.json()
}

/// The leader of a task, and who stands by.
fn of_task<'a>(status: &'a Value, name: &str) -> (Option<&'a str>, Vec<&'a str>) {
    let tasks = status["tasks"].as_array().into_iter().flatten();
    let task = tasks.into_iter().find(|task| task["task"] == name);
    let task = task.unwrap_or(&Value::Null);
    let standbys = task["standbys"].as_array().into_iter().flatten();
    (
        task["leader"]["host"].as_str(),
        standbys.filter_map(Value::as_str).collect(),
    )
}

/// Waits until the host leads or stands by for each of the tasks.
async fn stands(cluster: &Cluster, host: &str, tasks: &[&str]) -> Result<()> {
    eventually("the host to stand for all tasks", PATIENCE, async || {
        let status = status(cluster).await.ok()?;
        let stands = |task: &&str| {
            let (leader, standbys) = of_task(&status, task);
            leader == Some(host) || standbys.contains(&host)
        };
        tasks.iter().all(stands).then_some(())
    })
    .await
}

/// What `soloist status` says of the drain of a host.
fn drain_of(status: &Value, host: &str) -> Option<Value> {
    let drained = status["drained"].as_array().into_iter().flatten();
    drained.into_iter().find(|it| it["host"] == host).cloned()
}

/// Whether a run of a host has done anything for a task.
fn has_stood(host: &Host) -> bool {
    let stands = ["standby", "elected", "activated"];
    let records = host.records();
    records
        .iter()
        .any(|record| stands.iter().any(|name| record.is(name)))
}

/// All three tasks of a leader are led by the next one, as after a resignation; the host stands again when it is drained no more.
#[tokio::test]
async fn a_leader_of_three_tasks_hands_each_over_and_stands_again_when_that_is_over() -> Result<()>
{
    let cluster = Cluster::start().await?;
    let mut hosts = queue(&cluster, &["a", "b", "c"]).await?;
    let from = cluster.history.len();
    let answer = order(
        &cluster,
        &["drain", "a", "--reason", "kernel \u{1b}[2J upgrade"],
    )
    .await?;
    ensure!(answer.stdout.contains("host a leads 3 tasks"), "{answer:?}");
    for task in TASKS {
        let told = format!("b leads {task} now in term 2");
        ensure!(answer.stdout.contains(&told), "{answer:?}");
    }
    ensure!(answer.stdout.contains("host a is empty"), "{answer:?}");
    let status = self::status(&cluster).await?;
    for task in TASKS {
        ensure!(of_task(&status, task) == (Some("b"), vec!["c"]), "{status}");
        let history = order(&cluster, &["history", task, "--json"])
            .await?
            .json()?;
        let end = &history["terms"][1]["end"];
        let detail = end["detail"].as_str().unwrap_or_default();
        let told = detail.ends_with(r"drains the host: kernel \u{1b}[2J upgrade");
        ensure!(end["reason"] == "resigned" && told, "{history}");
    }
    let drained = drain_of(&status, "a").context("not drained")?;
    ensure!(
        drained["state"] == "empty" && drained["keep"] == false,
        "{drained}"
    );
    let text = order(&cluster, &["status"]).await?.stdout;
    ensure!(
        text.contains(r"kernel \u{1b}[2J upgrade") && !text.contains('\u{1b}'),
        "{text}"
    );
    // What the host says of it, in this order.
    let said: Vec<_> = hosts[0]
        .records()
        .into_iter()
        .filter(|it| it.event().is_some_and(|it| it.name.starts_with("host-")))
        .map(|it| it.event().map(|it| it.name.clone()).unwrap_or_default())
        .collect();
    ensure!(said == ["host-draining", "host-drained"], "{said:?}");
    let records = hosts[0].records();
    let empty = records.iter().position(|it| it.is("host-drained"));
    let released = records.iter().rposition(|it| it.is("released"));
    ensure!(released < empty, "the host was not empty yet: {records:?}");
    let event = hosts[0].event("host-draining").await?;
    let event = event.event().context("no event")?;
    ensure!(
        event.text("reason") == Some(r"kernel \u{1b}[2J upgrade"),
        "{event:?}"
    );
    ensure!(
        event.text("by").is_some_and(|by| by.contains('@')),
        "{event:?}"
    );
    // The next one does not wait for a session to expire.
    let verdict = cluster.verdict();
    for task in TASKS {
        let of_task: Vec<_> = verdict
            .activities
            .iter()
            .filter(|it| it.task == task)
            .collect();
        let [first, second] = of_task[..] else {
            anyhow::bail!("{of_task:?}")
        };
        let gap = second
            .from
            .duration_since(first.to.context("never ended")?)?;
        println!("{task}: nobody led for {gap:?}");
        ensure!(
            gap < cluster.session_timeout / 4,
            "nobody led {task} for {gap:?}"
        );
    }
    let idle = cluster.history.len();
    let answer = order(&cluster, &["undrain", "a"]).await?;
    ensure!(
        answer.stdout.contains("host a is drained no more"),
        "{answer:?}"
    );
    hosts[0]
        .event_after(from, "host-undrained", |_| true)
        .await?;
    stands(&cluster, "a", &TASKS).await?;
    let between = cluster.history.since(from);
    let stood = between[..idle - from]
        .iter()
        .any(|it| it.host == "a" && it.is("standby"));
    ensure!(!stood, "the host stood while it was drained");
    let status = self::status(&cluster).await?;
    ensure!(
        of_task(&status, "one").1 == ["c", "a"] && drain_of(&status, "a").is_none(),
        "{status}"
    );
    cluster.verdict().check()
}

/// Nobody else is there: that is said, and the host stands empty all the same.
#[tokio::test]
async fn the_tasks_of_a_host_alone_are_led_by_nobody_and_named() -> Result<()> {
    let cluster = Cluster::start().await?;
    let mut hosts = queue(&cluster, &["a"]).await?;
    let answer = order(&cluster, &["drain", "a"]).await?;
    let named = answer
        .stdout
        .lines()
        .find(|line| line.starts_with("led by nobody"));
    let named = named.context("nothing is said of the tasks")?;
    ensure!(TASKS.iter().all(|task| named.contains(task)), "{answer:?}");
    hosts[0].event("host-drained").await?;
    let status = self::status(&cluster).await?;
    ensure!(of_task(&status, "one") == (None, vec![]), "{status}");
    let from = cluster.history.len();
    order(&cluster, &["undrain", "a"]).await?;
    for task in TASKS {
        hosts[0]
            .event_after(from, "activated", |event| {
                event.task.as_deref() == Some(task)
            })
            .await?;
    }
    cluster.verdict().check()
}

/// With `--keep` a host goes on with what it leads, and leaves all other queues; a later drain has it hand that over too.
#[tokio::test]
async fn a_host_can_keep_what_it_leads_and_stand_for_nothing_more() -> Result<()> {
    let cluster = Cluster::start().await?;
    let _hosts = queue(&cluster, &["a", "b"]).await?;
    order(&cluster, &["resign", "one", "--to", "b"]).await?;
    stands(&cluster, "a", &TASKS).await?;
    let answer = order(&cluster, &["drain", "a", "--keep"]).await?;
    ensure!(answer.stdout.contains("keeps what it leads"), "{answer:?}");
    let status = self::status(&cluster).await?;
    ensure!(of_task(&status, "one") == (Some("b"), vec![]), "{status}");
    ensure!(
        of_task(&status, "two") == (Some("a"), vec!["b"]),
        "{status}"
    );
    let drained = drain_of(&status, "a").context("not drained")?;
    ensure!(
        drained["state"] == "draining" && drained["keep"] == true,
        "{drained}"
    );
    let answer = order(&cluster, &["drain", "a"]).await?;
    ensure!(
        answer.stdout.contains("b leads two now in term 2"),
        "{answer:?}"
    );
    let status = self::status(&cluster).await?;
    ensure!(of_task(&status, "three") == (Some("b"), vec![]), "{status}");
    // The other way round nothing is taken back.
    let answer = order(&cluster, &["drain", "a", "--keep"]).await?;
    ensure!(
        answer.stdout.contains("has drained host a already"),
        "{answer:?}"
    );
    cluster.verdict().check()
}

/// A task that comes to a host while that is drained waits: here one that a reload brings.
#[tokio::test]
async fn a_task_that_is_started_on_a_drained_host_does_not_stand() -> Result<()> {
    let cluster = Cluster::start().await?;
    let plugin = build::artifacts()?.guest("heartbeat").display().to_string();
    let task = |name: &str| format!("[[task]]\nname = {name:?}\nplugin = {plugin:?}\n");
    let file = cluster.file("grows.toml", task(TASK))?;
    let mut host = cluster.host_of("a", &file)?.start(&cluster.history)?;
    host.event("activated").await?;
    order(&cluster, &["drain", "a"]).await?;
    let from = cluster.history.len();
    cluster.file("grows.toml", task(TASK) + &task("later"))?;
    host.signal(Signal::HUP)?;
    host.event_after(from, "reloaded", |event| event.line["added"] == 1)
        .await?;
    // Whoever is not drained leads it at once.
    let mut other = cluster.host_of("b", &file)?.start(&cluster.history)?;
    other
        .event_where("activated", |event| event.task.as_deref() == Some("later"))
        .await?;
    let stood = cluster
        .history
        .since(from)
        .iter()
        .filter(|it| it.host == "a")
        .any(|it| it.is("standby") || it.is("elected"));
    ensure!(!stood, "a drained host has stood for a new task");
    order(&cluster, &["undrain", "a"]).await?;
    host.event_after(from, "standby", |event| {
        event.task.as_deref() == Some("later")
    })
    .await?;
    cluster.verdict().check()
}
