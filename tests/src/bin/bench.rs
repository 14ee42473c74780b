//! The benchmarks: what a failover, a start and a standby cost, beside a bare contender without any plugin, measured
//! in the same run. Prints a table in Markdown.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::{Command, Host};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{build, client};

#[path = "bench/loading.rs"]
mod loading;

const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
const HANDOVERS: usize = 100;
const STARTS: usize = 30;
const COLD_STARTS: usize = 10;
/// How many tasks are added to a host to see what one of them costs.
const MORE_TASKS: u64 = 20;
const NODE: &str = "/bare/master";

#[tokio::main]
async fn main() -> Result<()> {
    // As in production: what the ensemble says it has done is on the disk.
    let settings = Settings::standalone().system_property("zookeeper.forceSync", "yes");
    let cluster = Cluster::with(settings, SESSION_TIMEOUT).await?;
    let observer = cluster.client().await?;
    client::make_path(&observer, "/bare").await?;
    let mut table = Table::default();
    handovers(&cluster, &mut table).await?;
    starts(&cluster, &mut table).await?;
    memory(&cluster, &mut table).await?;
    loading::loading(&mut table)?;
    cluster.verdict().check()?;
    println!("{}", machine(&cluster).await?);
    println!();
    println!("| what | median | p99 | n |\n|---|---:|---:|---:|");
    for row in table.rows {
        println!("{row}");
    }
    Ok(())
}

/// Leaderships pass from host to host and from bare contender to bare contender, in turns.
async fn handovers(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let (mut first_words, mut hosts, mut bare) = (Samples::default(), Samples::default(), Samples::default());
    let mut leader = host(cluster, "h0")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut bare_leader = contender(cluster, "b0")?.start(&cluster.history)?;
    bare_leader.event("leading").await?;
    for round in 1..=HANDOVERS {
        let mut next = host(cluster, &format!("h{round}"))?.start(&cluster.history)?;
        next.event("standby").await?;
        let asked = SystemTime::now();
        leader.signal(Signal::TERM)?;
        let spoke = next.event("plugin-log").await?.at;
        let elected = next.event("elected").await?.at;
        hosts.add(spoke.duration_since(asked)?);
        first_words.add(spoke.duration_since(elected)?);
        ensure!(leader.ended().await?.success(), "{}", leader.errors());
        leader = next;

        let mut next = contender(cluster, &format!("b{round}"))?.start(&cluster.history)?;
        next.event("waiting").await?;
        let asked = SystemTime::now();
        bare_leader.signal(Signal::TERM)?;
        bare.add(next.event("leading").await?.at.duration_since(asked)?);
        ensure!(bare_leader.ended().await?.success(), "{}", bare_leader.errors());
        bare_leader = next;
    }
    ensure!(leader.terminate().await?.success() && bare_leader.terminate().await?.success());
    table.times("election committed → first statement of the plugin", &first_words);
    table.times("handover: SIGTERM of the leader → first statement of the next", &hosts);
    table.times("the same with bare contenders: SIGTERM → the next leads", &bare);
    let (host, bare) = (hosts.percentile(50), bare.percentile(50));
    table.row("handover, ratio to the bare one", &format!("{:.2}x", host.as_secs_f64() / bare.as_secs_f64()), "", "");
    Ok(())
}

/// From the start of the process to its election, nobody else standing.
async fn starts(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let (mut cached, mut cold, mut bare) = (Samples::default(), Samples::default(), Samples::default());
    for round in 0..STARTS {
        cached.add(start(cluster, &host(cluster, &format!("s{round}"))?, "elected").await?);
        bare.add(start(cluster, &contender(cluster, &format!("b{round}"))?, "leading").await?);
    }
    for round in 0..COLD_STARTS {
        let empty = tempfile::tempdir()?;
        let command = host(cluster, &format!("c{round}"))?.env("XDG_CACHE_HOME", empty.path());
        cold.add(start(cluster, &command, "elected").await?);
    }
    table.times("process start → elected, plugin compiled before", &cached);
    table.times("process start → elected, plugin compiled then", &cold);
    table.times("process start → elected, bare contender", &bare);
    Ok(())
}

/// From the start of the process to the event of that name; the process is ended again.
async fn start(cluster: &Cluster, command: &Command, name: &str) -> Result<Duration> {
    let mut host = command.clone().unbound().start(&cluster.history)?;
    let reached = host.event(name).await?.at;
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok(reached.duration_since(host.started())?)
}

/// What a standby costs, and each further task it stands for.
async fn memory(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let plugin = build::artifacts()?.guest("hello");
    let task =
        |number: u64| format!("[[task]]\nname = \"task-{number}\"\nplugin = {:?}\n", plugin.display().to_string());
    let one = cluster.file("one.toml", task(0))?;
    let many = cluster.file("many.toml", (0..=MORE_TASKS).map(task).collect::<Vec<_>>().concat())?;
    let mut leader = settled(cluster, "leader", &many, "activated", MORE_TASKS + 1).await?;
    let with_many = settled(cluster, "many", &many, "standby", MORE_TASKS + 1).await?;
    let with_one = settled(cluster, "one", &one, "standby", 1).await?;
    let mut bare = contender(cluster, "bare")?.start(&cluster.history)?;
    bare.event("leading").await?;
    let [one, many, bare] = [&with_one, &with_many, &bare].map(|host| Memory::of(host.pid()));
    let (one, many, bare) = (one?, many?, bare?);
    table.row("memory of a standby host: resident / proportional", &one.show(), "", "");
    let each = Memory {
        resident_kib: many.resident_kib.saturating_sub(one.resident_kib) / MORE_TASKS,
        proportional_kib: many.proportional_kib.saturating_sub(one.proportional_kib) / MORE_TASKS,
    };
    table.row("memory of one more task on standby", &each.show(), "", "");
    table.row("memory of a bare contender", &bare.show(), "", "");
    ensure!(leader.terminate().await?.success());
    Ok(())
}

/// A host of all tasks of `config` that has reported `name` for each.
async fn settled(cluster: &Cluster, id: &str, config: &Path, name: &str, tasks: u64) -> Result<Host> {
    let mut host = cluster.host_of(id, config)?.start(&cluster.history)?;
    for number in 0..tasks {
        let task = format!("task-{number}");
        host.event_where(name, |event| event.task.as_ref() == Some(&task)).await?;
    }
    Ok(host)
}

fn host(cluster: &Cluster, id: &str) -> Result<Command> {
    cluster.host_of(id, &build::artifacts()?.guest("hello"))
}

fn contender(cluster: &Cluster, id: &str) -> Result<Command> {
    let timeout = humantime::format_duration(SESSION_TIMEOUT).to_string();
    let program = build::artifacts()?.program("contender");
    Ok(Command::new(id, program).arg(cluster.servers()).arg(NODE).arg(timeout))
}

#[derive(Default)]
struct Samples(Vec<Duration>);

impl Samples {
    fn add(&mut self, sample: Duration) {
        self.0.push(sample);
        self.0.sort();
    }

    /// The smallest sample that so many percent of all do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// What a process occupies.
#[derive(Clone, Copy)]
struct Memory {
    resident_kib: u64,
    /// Pages shared with other processes count in part only.
    proportional_kib: u64,
}

impl Memory {
    fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            Ok::<u64, anyhow::Error>(line.trim().trim_end_matches(" kB").parse()?)
        };
        Ok(Self { resident_kib: kib("Rss:")?, proportional_kib: kib("Pss:")? })
    }

    fn show(self) -> String {
        let mib = |kib: u64| format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024);
        format!("{} / {}", mib(self.resident_kib), mib(self.proportional_kib))
    }
}

#[derive(Default)]
struct Table {
    rows: Vec<String>,
}

impl Table {
    fn row(&mut self, what: &str, median: &str, p99: &str, count: &str) {
        self.rows.push(format!("| {what} | {median} | {p99} | {count} |"));
    }

    fn times(&mut self, what: &str, samples: &Samples) {
        let millis = |percent| format!("{:.2} ms", samples.percentile(percent).as_secs_f64() * 1e3);
        self.row(what, &millis(50), &millis(99), &samples.0.len().to_string());
    }
}

/// The machine, the kernel and the server that the figures hold for.
async fn machine(cluster: &Cluster) -> Result<String> {
    let field = |path: &str, name: &str| -> Option<String> {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let processors = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let server = cluster.zookeeper.ask(0, "srvr").await?;
    let version = server.lines().next().and_then(|line| line.split(['-', ',']).next()).unwrap_or_default();
    let version = version.trim_start_matches("Zookeeper version: ");
    let timeout = humantime::format_duration(SESSION_TIMEOUT);
    let tick = humantime::format_duration(cluster.zookeeper.tick());
    Ok(format!(
        "{processor}, {processors} processors, Linux {}, ZooKeeper {version} standalone; session timeout {timeout}, \
         tick {tick}",
        kernel.trim()
    ))
}
