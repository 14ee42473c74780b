//! The demo: three hosts contend on a real ZooKeeper, and a plugin moves whenever its host is stopped, killed, or
//! deposed. Exits with 0 only if every failover happened and no two hosts were ever active at once.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::history::{Event, History, Record, What};
use soloist_tests::host::{Command, Host};
use soloist_tests::zookeeper::Settings;
use soloist_tests::{PATIENCE, build, client, oracle};
use tokio::signal::unix::{SignalKind, signal};

const SESSION_TIMEOUT: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> ExitCode {
    // Whatever ends first, the demo's future is dropped, and with it every process and every file.
    let outcome = tokio::select! {
        outcome = demo() => outcome,
        () = interrupted() => {
            eprintln!("\ninterrupted");
            return ExitCode::from(130);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demo has failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Resolves at SIGINT or SIGTERM.
async fn interrupted() {
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the signals end the process at once.
        _ => std::future::pending().await,
    }
}

/// One way in which leadership can move.
#[derive(Clone, Copy)]
enum Act {
    Terminate,
    Kill,
    DeleteNode,
}

impl Act {
    const ALL: [Self; 3] = [Self::Terminate, Self::Kill, Self::DeleteNode];

    fn title(self) -> &'static str {
        match self {
            Self::Terminate => "leader asked to stop (SIGTERM)",
            Self::Kill => "leader killed (SIGKILL)",
            Self::DeleteNode => "master node deleted by another client",
        }
    }
}

/// One row of the summary.
struct Failover {
    act: Act,
    from: String,
    to: String,
    term: u64,
    took: Duration,
}

async fn demo() -> Result<()> {
    let history = History::default();
    let timeline = Timeline::new(history.clone());
    timeline.heading("Building, and starting a private ZooKeeper");
    // Compilation blocks, and an interrupt must not wait for it.
    tokio::task::spawn_blocking(build::artifacts).await??;
    let cluster = Cluster::with(Settings::standalone().real(), SESSION_TIMEOUT)
        .await?
        .recording(history);
    timeline.begin(&format!("ZooKeeper serves at {}", cluster.servers()));
    tokio::select! {
        outcome = play(&cluster, &timeline) => outcome,
        outcome = timeline.follow() => outcome,
    }
}

async fn play(cluster: &Cluster, timeline: &Timeline) -> Result<()> {
    timeline.heading("Three hosts stand for the task; one is elected");
    let mut hosts = Vec::new();
    for id in ["host-a", "host-b", "host-c"] {
        let mut host = command(cluster, id)?.start(&cluster.history)?;
        host.event(if hosts.is_empty() {
            "activated"
        } else {
            "standby"
        })
        .await?;
        hosts.push(host);
    }
    let mut leader = 0;
    let mut failovers = Vec::new();
    for act in Act::ALL {
        watch_it_beat(cluster, &mut hosts[leader]).await?;
        timeline.heading(&format!("{}: {}", hosts[leader].id(), act.title()));
        let (next, failover) = fail_over(cluster, &mut hosts, leader, act).await?;
        timeline.note(&format!(
            "{} took over after {}",
            failover.to,
            millis(failover.took)
        ));
        failovers.push(failover);
        if !matches!(act, Act::DeleteNode) {
            timeline.note(&format!(
                "{} is started again and queues at the end",
                hosts[leader].id()
            ));
            hosts[leader] = command(cluster, hosts[leader].id())?.start(&cluster.history)?;
            hosts[leader].event("standby").await?;
        }
        leader = next;
    }
    watch_it_beat(cluster, &mut hosts[leader]).await?;
    timeline.heading("All hosts are asked to stop, the standbys first");
    hosts.rotate_left(leader + 1);
    for host in &mut hosts {
        let status = host.terminate().await?;
        ensure!(
            status.success(),
            "{} ended with {status}: {}",
            host.id(),
            host.errors()
        );
    }
    summarise(cluster, timeline, &failovers)
}

fn command(cluster: &Cluster, id: &str) -> Result<Command> {
    let plugin = build::artifacts()?.guest("heartbeat");
    Ok(cluster.host_of(id, &plugin)?.flag("--task", TASK))
}

/// Waits until the leader's plugin has spoken twice more.
async fn watch_it_beat(cluster: &Cluster, leader: &mut Host) -> Result<()> {
    for _ in 0..2 {
        leader
            .event_after(cluster.history.len(), "plugin-log", |_| true)
            .await?;
    }
    Ok(())
}

/// Ends the leadership of `hosts[leader]` and waits for the plugin to speak on another host.
async fn fail_over(
    cluster: &Cluster,
    hosts: &mut [Host],
    leader: usize,
    act: Act,
) -> Result<(usize, Failover)> {
    let other = cluster.client().await?;
    let from = cluster.history.len();
    let deposed = &mut hosts[leader];
    let (id, pid) = (deposed.id().to_owned(), deposed.pid());
    let began = SystemTime::now();
    match act {
        Act::Terminate => {
            let status = deposed.terminate().await?;
            ensure!(
                status.success(),
                "{id} ended with {status}: {}",
                deposed.errors()
            );
        }
        Act::Kill => deposed.kill()?,
        Act::DeleteNode => other.delete(&Cluster::master(TASK), None).await?,
    }
    // The first word of the plugin elsewhere: the task is being done again.
    let speaks = |record: &Record| record.is_of("plugin-log", TASK) && record.pid != pid;
    let spoke = cluster
        .history
        .wait_for(from, "the plugin to run elsewhere", PATIENCE, speaks)
        .await?;
    client::close(other).await;
    let next = hosts
        .iter()
        .position(|host| host.pid() == spoke.pid)
        .context("an unknown host leads")?;
    let term = spoke
        .event()
        .and_then(|event| event.term)
        .context("a line of a plugin without a term")?;
    let took = spoke
        .at
        .duration_since(began)
        .context("the plugin ran elsewhere before its host had lost it")?;
    Ok((
        next,
        Failover {
            act,
            from: id,
            to: spoke.host,
            term,
            took,
        },
    ))
}

fn summarise(cluster: &Cluster, timeline: &Timeline, failovers: &[Failover]) -> Result<()> {
    let verdict = oracle::judge_ended(&cluster.history);
    timeline.heading("Summary");
    println!(
        "  {:<40} {:<8} {:<8} {:>5} {:>12}",
        "what happened", "led", "leads", "term", "after"
    );
    for Failover {
        act,
        from,
        to,
        term,
        took,
    } in failovers
    {
        println!(
            "  {:<40} {from:<8} {to:<8} {term:>5} {:>12}",
            act.title(),
            millis(*took)
        );
    }
    let timeout = humantime::format_duration(SESSION_TIMEOUT);
    println!("  (session timeout {timeout}: nobody can tell sooner that a killed host is gone)");
    println!(
        "  terms: {}; two hosts active at once: {}",
        verdict.activities.len(),
        millis(verdict.overlap())
    );
    verdict.check()?;
    let terms = verdict.activities.len();
    ensure!(
        terms == failovers.len() + 1,
        "{} failovers, yet the plugin was active {terms} times",
        failovers.len()
    );
    ensure!(
        failovers
            .iter()
            .all(|failover| failover.from != failover.to),
        "a host followed itself"
    );
    println!(
        "  {}",
        timeline.paint(
            "32",
            "Every failover happened, and at no time were two hosts active."
        )
    );
    Ok(())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Tells what happens, as it happens.
struct Timeline {
    history: History,
    started: Cell<SystemTime>,
    colour: bool,
    told: Cell<usize>,
}

impl Timeline {
    fn new(history: History) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            history,
            started: Cell::new(SystemTime::now()),
            colour,
            told: Cell::new(0),
        }
    }

    /// Counts time from now on.
    fn begin(&self, text: &str) {
        self.started.set(SystemTime::now());
        self.note(text);
    }

    fn heading(&self, text: &str) {
        self.catch_up();
        println!("\n{}", self.paint("1", text));
    }

    fn note(&self, text: &str) {
        self.catch_up();
        println!("  {}", self.paint("1", &format!("=> {text}")));
    }

    async fn follow(&self) -> Result<()> {
        loop {
            self.history
                .wait_for(self.told.get(), "the next record", PATIENCE, |_| true)
                .await?;
            self.catch_up();
        }
    }

    fn catch_up(&self) {
        for record in self.history.since(self.told.get()) {
            self.told.set(self.told.get() + 1);
            self.tell(&record);
        }
    }

    fn tell(&self, record: &Record) {
        let text = match &record.what {
            What::Event(event) => self.event(event),
            What::Killed => Some(self.paint("31", "killed")),
            What::Unreadable(line) => Some(line.clone()),
            What::Paused | What::Resumed => None,
        };
        let Some(text) = text else { return };
        let time = record
            .at
            .duration_since(self.started.get())
            .unwrap_or_default()
            .as_secs_f64();
        let code = match record.host.as_str() {
            "host-a" => "36",
            "host-b" => "35",
            _ => "34",
        };
        println!(
            "  {time:>7.3} s  {}  {text}",
            self.paint(code, &record.host)
        );
    }

    fn event(&self, event: &Event) -> Option<String> {
        let code = match event.name.as_str() {
            "plugin-log" => return Some(format!("{:<10} \u{201c}{}\u{201d}", "", event.message)),
            "elected" | "activated" => "32",
            "draining" | "demoted" | "released" => "33",
            "revoked" | "plugin-failed" => "31",
            "standby" => "2",
            // How sessions come and go is not the story told here.
            _ => return None,
        };
        Some(format!(
            "{} {}",
            self.paint(code, &format!("{:<10}", event.name)),
            event.message
        ))
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
