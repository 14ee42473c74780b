//! Which host leads what, if hosts may choose.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::history::Record;
use soloist_tests::host::{Command, Host};
use soloist_tests::{build, eventually};

/// Spreading takes its time: a term rests first, and hosts do not all move at once.
const PATIENCE: Duration = Duration::from_mins(3);

const TASKS: [&str; 12] = [
    "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t10", "t11",
];

/// A task whose plugin, `heartbeat`, has run well after half a second.
fn task(name: &str, placement: &str) -> Result<String> {
    let plugin = build::artifacts()?.guest("heartbeat");
    let plugin = plugin.to_str().context("no text")?;
    Ok(format!(
        "[[task]]\nname = {name:?}\nplugin = {plugin:?}\nconfig = {{ interval = \"1s\" }}\n\
         restart = {{ healthy_after = \"500ms\" }}\nplacement = {{ {placement} }}\n"
    ))
}

/// A host with this `[placement]` and these tasks.
fn host(cluster: &Cluster, id: &str, placement: &str, tasks: &[String]) -> Result<Command> {
    let tasks = tasks.concat();
    let text = format!("[placement]\ncool_down = \"2s\"\n{placement}\n{tasks}");
    let file = cluster.file(&format!("{id}.toml"), text)?;
    cluster.host_of(id, &file)
}

/// Who leads which task.
async fn leaders(cluster: &Cluster) -> Result<BTreeMap<String, Option<String>>> {
    let answer = cluster.operator(&[], &["status", "--json"]).await?;
    let status = answer.json()?;
    let tasks = status["tasks"].as_array().context("no tasks")?;
    let leader = |task: &serde_json::Value| {
        let leader = task["leader"]["host"].as_str().map(str::to_owned);
        Some((task["task"].as_str()?.to_owned(), leader))
    };
    Ok(tasks.iter().filter_map(leader).collect())
}

/// Waits until so many tasks are led by each host.
async fn led(cluster: &Cluster, wanted: &[(&str, usize)]) -> Result<()> {
    let wanted: BTreeMap<String, usize> = wanted
        .iter()
        .map(|(host, count)| ((*host).to_owned(), *count))
        .collect();
    eventually(&format!("{wanted:?}"), PATIENCE, async || {
        let mut counts = BTreeMap::new();
        for leader in leaders(cluster).await.ok()?.into_values() {
            *counts.entry(leader?).or_insert(0) += 1;
        }
        (counts == wanted).then_some(())
    })
    .await
}

/// What hosts have handed over by themselves since then: from whom, to whom, and the record.
fn moves(cluster: &Cluster, from: usize) -> Vec<(String, String, Record)> {
    let records = cluster.history.since(from).into_iter();
    records
        .filter(|record| record.is("moved"))
        .filter_map(|record| {
            let to = record.event()?.text("to")?.to_owned();
            Some((record.host.clone(), to, record))
        })
        .collect()
}

/// No term was handed over before it had lasted for the time that it has to rest.
fn have_rested(cluster: &Cluster) -> Result<()> {
    let mut since = BTreeMap::new();
    for record in cluster.history.in_order() {
        let Some(event) = record.event() else {
            continue;
        };
        let task = event.task.clone();
        if event.name == "elected" {
            since.insert(task, record.at);
        } else if event.name == "moved" {
            let lasted = record.at.duration_since(since[&task])?;
            ensure!(
                lasted >= Duration::from_millis(1_900),
                "{record:?} after {lasted:?}"
            );
        }
    }
    Ok(())
}

/// Hosts that start one after the other come to lead a third each, so do those that are left when one has died, and all when it
/// is back. No more is moved than has to be.
#[tokio::test]
async fn twelve_tasks_come_to_be_spread_over_three_hosts() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tasks: Vec<_> = TASKS
        .iter()
        .map(|name| task(name, ""))
        .collect::<Result<_>>()?;
    let start = |id| host(&cluster, id, "grace = \"2s\"", &tasks)?.start(&cluster.history);
    let _a = start("a")?;
    led(&cluster, &[("a", 12)]).await?;
    let mut b = start("b")?;
    let _c = start("c")?;
    led(&cluster, &[("a", 4), ("b", 4), ("c", 4)]).await?;
    let moved = moves(&cluster, 0).len();
    // What `b` was given before `c` came, `c` has to get from it.
    ensure!((8..=10).contains(&moved), "{moved} moves");
    b.kill()?;
    led(&cluster, &[("a", 6), ("c", 6)]).await?;
    let _b = start("b")?;
    led(&cluster, &[("a", 4), ("b", 4), ("c", 4)]).await?;
    have_rested(&cluster)?;
    cluster.verdict().check()
}

/// A host that restarts gets back what it gave away, once it has been there for the time of grace; nothing else is moved, neither
/// while it is away nor because it comes and goes.
#[tokio::test]
async fn a_short_restart_and_a_host_that_comes_and_goes_move_nothing_else() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tasks: Vec<_> = TASKS[..6]
        .iter()
        .map(|name| task(name, ""))
        .collect::<Result<_>>()?;
    let start = |id| host(&cluster, id, "grace = \"5s\"", &tasks)?.start(&cluster.history);
    let _a = start("a")?;
    let _b = start("b")?;
    let mut c = start("c")?;
    led(&cluster, &[("a", 2), ("b", 2), ("c", 2)]).await?;
    let from = cluster.history.len();
    let mut back = None;
    for _ in 0..3 {
        ensure!(c.terminate().await?.success());
        c = start("c")?;
        back = Some(c.event("session-connected").await?);
    }
    let back = back.context("it did not restart")?;
    led(&cluster, &[("a", 2), ("b", 2), ("c", 2)]).await?;
    let moved = moves(&cluster, from);
    ensure!(moved.len() == 2, "{moved:?}");
    for (_, to, record) in moved {
        let after = record.at.duration_since(back.at)?;
        ensure!(
            to == "c" && after >= Duration::from_millis(4_900),
            "{record:?} after {after:?}"
        );
    }
    cluster.verdict().check()
}

/// A host hands its task to one that should rather lead it.
pub(crate) async fn story(cluster: &Cluster) -> Result<()> {
    let start = |id: &str, priority: u32| -> Result<Host> {
        let placement = format!("preempt = true, priority = {priority}");
        let tasks = [task("preempted", &placement)?];
        host(cluster, id, "grace = \"1s\"", &tasks)?.start(&cluster.history)
    };
    let mut worse = start("worse", 1)?;
    worse.event("activated").await?;
    let mut better = start("better", 2)?;
    worse.event("moved").await?;
    better.event("activated").await?;
    Ok(())
}

/// The host with the higher priority gets the task when it comes, and when it comes back.
#[tokio::test]
async fn a_preferred_host_gets_its_task_by_a_graceful_handover() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let start = |id: &str, priority: u32| -> Result<Host> {
        let tasks = [task(
            "t0",
            &format!("preempt = true, priority = {priority}"),
        )?];
        host(&cluster, id, "grace = \"1s\"", &tasks)?.start(&cluster.history)
    };
    let mut a = start("a", 1)?;
    a.event("activated").await?;
    let mut b = start("b", 9)?;
    led(&cluster, &[("b", 1)]).await?;
    let told = a.event("moved").await?;
    let event = told.event().context("no event")?;
    ensure!(event.text("reason") == Some("preempted"), "{told:?}");
    let history = cluster.operator(&[], &["history", "t0"]).await?;
    ensure!(
        history.stdout.contains("b should rather lead it"),
        "{history:?}"
    );
    ensure!(b.terminate().await?.success());
    led(&cluster, &[("a", 1)]).await?;
    let _b = start("b", 9)?;
    led(&cluster, &[("b", 1)]).await?;
    have_rested(&cluster)?;
    cluster.verdict().check()
}

/// A host without a label that a task requires does not stand, and says so.
#[tokio::test]
async fn a_task_is_led_only_where_its_labels_are() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let tasks = [
        task("t0", "require = [\"zone=b\"]")?,
        task("t1", "prefer = [\"zone=b\"]")?,
    ];
    let start =
        |id: &str, placement: &str| host(&cluster, id, placement, &tasks)?.start(&cluster.history);
    let mut a = start("a", "grace = \"1s\"\nlabels = [\"zone=a\"]")?;
    let said = a.event("not-standing").await?;
    let event = said.event().context("no event")?;
    ensure!(event.task.as_deref() == Some("t0"), "{said:?}");
    ensure!(
        event.text("reason").is_some_and(|it| it.contains("zone=b")),
        "{said:?}"
    );
    // Whoever is elected first keeps `t1`: the host that it prefers would never give it to `a`.
    a.event("elected").await?;
    let _b = start("b", "grace = \"1s\"\nlabels = [\"zone=b\"]")?;
    led(&cluster, &[("a", 1), ("b", 1)]).await?;
    ensure!(leaders(&cluster).await?["t0"].as_deref() == Some("b"));
    cluster.verdict().check()
}

/// A host leads as many tasks as it may, and takes another one when it has room.
#[tokio::test]
async fn a_host_leads_no_more_than_it_may() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let tasks = [task("t0", "")?, task("t1", "")?];
    let start = |id: &str| {
        host(&cluster, id, "grace = \"1s\"\nmax_active = 1", &tasks)?.start(&cluster.history)
    };
    let mut a = start("a")?;
    let said = a.event("not-standing").await?;
    let event = said.event().context("no event")?;
    ensure!(
        event
            .text("reason")
            .is_some_and(|it| it.contains("max_active")),
        "{said:?}"
    );
    let mut b = start("b")?;
    led(&cluster, &[("a", 1), ("b", 1)]).await?;
    ensure!(b.terminate().await?.success());
    eventually("one of them is led", PATIENCE, async || {
        let led = leaders(&cluster).await.ok()?;
        (led.values().flatten().count() == 1).then_some(())
    })
    .await?;
    // Whichever goes, there is room for one again.
    let led_now = leaders(&cluster).await?;
    let (task, _) = led_now
        .iter()
        .find(|(_, it)| it.is_some())
        .context("nobody leads")?;
    let before = cluster.history.len();
    let _ = cluster
        .operator(&[], &["resign", task, "--timeout", "5s"])
        .await?;
    cluster
        .history
        .wait_for(before, "a term", PATIENCE, |record| record.is("activated"))
        .await?;
    let led_now = leaders(&cluster).await?;
    ensure!(led_now.values().flatten().count() == 1, "{led_now:?}");
    cluster.verdict().check()
}

/// Two tasks that should not be led together are, where nobody else stands; when somebody comes, one of them goes there.
#[tokio::test]
async fn tasks_that_avoid_each_other_are_led_apart_if_that_can_be() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let tasks = [
        task("t0", "spread = false")?,
        task("t1", "spread = false, avoid = [\"t0\"]")?,
    ];
    let start = |id: &str| host(&cluster, id, "grace = \"1s\"", &tasks)?.start(&cluster.history);
    let mut a = start("a")?;
    led(&cluster, &[("a", 2)]).await?;
    let mut b = start("b")?;
    led(&cluster, &[("a", 1), ("b", 1)]).await?;
    let moved = moves(&cluster, 0);
    let [(from, to, record)] = &moved[..] else {
        anyhow::bail!("{moved:?}")
    };
    ensure!((&**from, &**to) == ("a", "b"), "{record:?}");
    ensure!(
        record.event().and_then(|it| it.task.as_deref()) == Some("t1"),
        "{record:?}"
    );
    a.kill()?;
    led(&cluster, &[("b", 2)]).await?;
    b.event("elected").await?;
    cluster.verdict().check()
}

/// Whoever is drained is passed over while others are given their share, and has its own once the order is taken back.
#[tokio::test]
async fn a_drained_host_is_given_nothing_until_it_is_undrained() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tasks: Vec<_> = TASKS[..6]
        .iter()
        .map(|name| task(name, ""))
        .collect::<Result<_>>()?;
    let start = |id| host(&cluster, id, "grace = \"2s\"", &tasks)?.start(&cluster.history);
    let _a = start("a")?;
    led(&cluster, &[("a", 6)]).await?;
    let _b = start("b")?;
    led(&cluster, &[("a", 3), ("b", 3)]).await?;
    let drained = cluster.operator(&[], &["drain", "b"]).await?;
    ensure!(drained.code == Some(0), "{drained:?}");
    led(&cluster, &[("a", 6)]).await?;
    let from = cluster.history.len();
    let _c = start("c")?;
    led(&cluster, &[("a", 3), ("c", 3)]).await?;
    let moves = moves(&cluster, from);
    ensure!(moves.iter().all(|(_, to, _)| to == "c"), "{moves:?}");
    let undrained = cluster.operator(&[], &["undrain", "b"]).await?;
    ensure!(undrained.code == Some(0), "{undrained:?}");
    led(&cluster, &[("a", 2), ("b", 2), ("c", 2)]).await?;
    have_rested(&cluster)
}
