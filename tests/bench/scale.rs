//! What many tasks on one host cost: start, memory, an idle standby, and the failover of all.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use rustix::process::Signal;
use soloist_tests::cluster::Cluster;
use soloist_tests::history::History;
use soloist_tests::host::Host;
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, client};
use zookeeper_client::{Acls, CreateMode};

use crate::memory::Memory;
use crate::packets;
use crate::table::Table;

/// How many tasks, unless `SOLOIST_SCALE` has other numbers.
const TASKS: &str = "1,100,1000,10000";
/// What a host asks for unless told otherwise.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(2);
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(10);
/// Longer than any failover takes.
const PATIENCE: Duration = Duration::from_mins(5);
/// How many tasks are under way at once: as many as the requests that all sessions of a host have under way together.
const AT_ONCE: usize = 160;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let numbers = std::env::var("SOLOIST_SCALE").unwrap_or_else(|_| TASKS.to_owned());
    for number in numbers.split(',') {
        with_tasks(number.trim().parse()?, table).await?;
    }
    Ok(())
}

/// Three hosts with so many tasks of one plugin.
async fn with_tasks(tasks: u32, table: &mut Table) -> Result<()> {
    let settings = Settings::standalone()
        .tick(TICK)
        .system_property("zookeeper.forceSync", "yes");
    let cluster = Cluster::with(settings, SESSION_TIMEOUT).await?;
    let plugin = build::workspace()
        .join("plugins/minimal.wat")
        .display()
        .to_string();
    let task = |number| format!("[[task]]\nname = \"task-{number:05}\"\nplugin = {plugin:?}\n");
    let file = cluster.file("tasks.toml", (0..tasks).map(task).collect::<String>())?;
    let start = async |id: &str, event: &str| -> Result<(Host, History, Duration)> {
        let history = History::default();
        let host = cluster.host_of(id, &file)?.unbound().guarded();
        let host = host.start(&history)?;
        let last = all(&history, 0, event, tasks).await?;
        let took = last.duration_since(host.started())?;
        Ok((host, history, took))
    };
    let floor = floor(&cluster, tasks).await?;
    let before = packets(&cluster).await?;
    let (mut leader, of_leader, led) = start("a", "activated").await?;
    let packets_of_start = packets(&cluster).await? - before;
    let before = packets(&cluster).await?;
    let (mut second, of_second, stood) = start("b", "standby").await?;
    let packets_of_standby = packets(&cluster).await? - before;
    let (third, of_third, _) = start("c", "standby").await?;
    let mut row = |what: &str, value: String| {
        table.row(&format!("{tasks} tasks: {what}"), &value, "", "");
        if let Some(line) = table.rows.last() {
            eprintln!("{line}");
        }
    };
    let each = |packets: f64| format!("{:.1}", packets / f64::from(tasks));
    row(
        "floor: two transactions each, pipelined, and nothing else",
        seconds(floor),
    );
    row("process start → all activated", seconds(led));
    row("process start → all on standby", seconds(stood));
    row("packets of the start, each task", each(packets_of_start));
    row("packets to standby, each task", each(packets_of_standby));
    let pid = second
        .guarded_pid()
        .await?
        .as_raw_nonzero()
        .get()
        .try_into()?;
    let (used, requests) = idle(&cluster, pid).await?;
    row(
        "an idle standby host, of a processor",
        format!("{:.1} %", used * 100.0),
    );
    row(
        "packets a second of all three hosts, idle",
        format!("{requests:.0}"),
    );
    let leading = leader
        .guarded_pid()
        .await?
        .as_raw_nonzero()
        .get()
        .try_into()?;
    memory("the leader", leading, &mut row)?;
    memory("a standby host", pid, &mut row)?;
    operators(&cluster, &mut row).await?;
    let (from, before) = (of_second.len(), packets(&cluster).await?);
    let asked = SystemTime::now();
    leader.signal(Signal::TERM)?;
    let last = all(&of_second, from, "activated", tasks).await?;
    let used = packets(&cluster).await? - before;
    let took = last.duration_since(asked)?;
    row("SIGTERM → all activated on the next host", seconds(took));
    let ratio = took.as_secs_f64() / floor.as_secs_f64();
    row("that, beside the floor", format!("{ratio:.2}x"));
    row("packets of that, each task", each(used));
    let status = leader.ended_within(PATIENCE).await?;
    ensure!(status.success(), "{status}: {}", leader.errors());
    let records = of_leader.since(0);
    let forced = records.iter().filter(|it| it.is("revoked")).count();
    row("plugins that were stopped by force", forced.to_string());
    let (from, before) = (of_third.len(), packets(&cluster).await?);
    let killed = SystemTime::now();
    second.signal_guarded(Signal::KILL).await?;
    let last = all(&of_third, from, "activated", tasks).await?;
    let used = packets(&cluster).await? - before;
    row(
        "SIGKILL → all activated on the next host",
        seconds(last.duration_since(killed)?),
    );
    row("packets of that, each task", each(used));
    second.kill()?;
    drop(third);
    Ok(())
}

/// What a process uses of a processor, and how many packets a second the server has, while nothing happens.
async fn idle(cluster: &Cluster, pid: u32) -> Result<(f64, f64)> {
    let (used_before, began) = (processor_seconds(pid)?, Instant::now());
    let packets_before = packets(cluster).await?;
    tokio::time::sleep(IDLE).await;
    let used = processor_seconds(pid)? - used_before;
    let passed = packets(cluster).await? - packets_before;
    let seconds = began.elapsed().as_secs_f64();
    Ok((used / seconds, passed / seconds))
}

/// How long operators wait for what they ask.
async fn operators(cluster: &Cluster, row: &mut impl FnMut(&str, String)) -> Result<()> {
    for command in [&["status", "--json"][..], &["tasks", "--json"]] {
        let began = Instant::now();
        let answer = cluster.operator(&[], command).await?;
        ensure!(answer.code == Some(0), "{answer:?}");
        row(
            &format!("`soloist {}`", command[0]),
            seconds(began.elapsed()),
        );
    }
    Ok(())
}

/// What a process has of the machine's memory.
fn memory(what: &str, pid: u32, row: &mut impl FnMut(&str, String)) -> Result<()> {
    row(
        &format!("memory of {what}: resident / proportional"),
        Memory::of(pid)?.show(),
    );
    let mappings = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    row(
        &format!("mappings of memory of {what}"),
        mappings.lines().count().to_string(),
    );
    Ok(())
}

/// When the last of so many tasks has reported that event, each once.
async fn all(history: &History, mut from: usize, event: &str, tasks: u32) -> Result<SystemTime> {
    let began = Instant::now();
    let (mut seen, mut last) = (0, None);
    while seen < tasks {
        ensure!(
            began.elapsed() < PATIENCE,
            "{seen} of {tasks} tasks have reported {event}"
        );
        let records = history.since(from);
        from += records.len();
        for record in records.iter().filter(|record| record.is(event)) {
            seen += 1;
            last = last.max(Some(record.at));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    last.context("no task")
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// How long a client takes to have, for each task, the two transactions committed that a handover cannot do without: one of who gives
/// it back, and one of who is elected.
async fn floor(cluster: &Cluster, tasks: u32) -> Result<Duration> {
    let client = cluster.client().await?;
    let stays = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let goes = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client.create("/floor", b"", &stays).await?;
    let node = |task: u32| format!("/floor/{task}");
    let made = stream::iter(0..tasks).map(async |task| {
        let mut made = client.new_multi_writer();
        made.add_create(&node(task), b"", &stays)?;
        made.add_create(&format!("{}/master", node(task)), b"", &goes)?;
        anyhow::Ok(made.commit().await.map(drop)?)
    });
    made.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let began = Instant::now();
    let passed = stream::iter(0..tasks).map(async |task| {
        let master = format!("{}/master", node(task));
        let mut released = client.new_multi_writer();
        released.add_delete(&master, None)?;
        released.add_set_data(&node(task), b"released", None)?;
        released.commit().await?;
        let mut elected = client.new_multi_writer();
        elected.add_create(&master, b"", &goes)?;
        elected.add_set_data(&node(task), b"active", None)?;
        anyhow::Ok(elected.commit().await.map(drop)?)
    });
    passed.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let took = began.elapsed();
    client::close(client).await;
    Ok(took)
}

/// How much of the processors a process has used.
fn processor_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after) = stat.rsplit_once(')').context("no stat")?;
    let mut fields = after.split_whitespace().skip(11);
    let mut next = || -> Result<f64> { Ok(fields.next().context("no time")?.parse()?) };
    // In hundredths of a second.
    Ok((next()? + next()?) / 100.0)
}
