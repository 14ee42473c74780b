//! `soloist tasks show`: one deployed task.

use std::fmt::Write as _;

use clap::ArgMatches;
use serde::Serialize;
use serde_json::Value;
use soloist_config::TaskName;
use soloist_coordination::observer::rollout::{Deployed, HostReadiness, Running};
use soloist_core::records::{Envelope, Generation, Readiness, RolloutRecord, Stage};
use soloist_core::text::printable;

use super::super::Failure;
use super::super::operator::{OperatorOptions, block_on, task_name};
use super::super::output::{NOTHING, print, print_json, table};
use super::super::rollout;
use super::stage;

/// The most characters of a line of a manifest that are shown.
const LINE_CHARS_MAX: usize = 300;

/// Show a deployed task: its generations, the manifest that hosts prepare or run, and what each host says of it
///
/// With --json, one object on one line:
///
///   {"task": NAME, "record": {...}, "generations": [NUMBER, ...], "manifest": {...}, "signatures": NUMBER,
///    "hosts": [{"host": ID, "generation": NUMBER, "state": "preparing" | "ready" | "unready", "reason": TEXT}, ...],
///    "running": {"host": ID, "term": NUMBER, "generation": NUMBER, "since": TIME}, "problem": TEXT}
///
/// "record" is the record of the rollout as it is in ZooKeeper. "manifest" is that of --generation, or of the wanted
/// generation, or else of the current one; it is null if it cannot be read, and "problem" says why.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Show {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// The generation whose manifest is shown [default: the wanted one, or else the current one]
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u64>,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

#[derive(Serialize)]
struct Answer<'a> {
    task: &'a str,
    record: &'a RolloutRecord,
    generations: &'a [u64],
    manifest: Option<Value>,
    signatures: usize,
    hosts: &'a [HostReadiness],
    running: &'a Option<Running>,
    problem: Option<String>,
}

impl Show {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let operator = self.options.operator(matches)?;
        let task = &*self.task;
        let (deployed, envelope) = block_on(operator.ask(async |observer| {
            let deployed = observer.deployed(task).await?;
            let record = deployed.seen.record.as_ref().map(|it| &it.record);
            let newest = record.and_then(|record| record.wanted.or(record.current));
            let envelope = match (self.generation, newest) {
                (Some(number), _) => Some(observer.generation(task, number).await?),
                // What is wrong with it is no reason to show nothing.
                (None, Some(newest)) => match observer.generation_of(task, newest).await {
                    Err(error) if error.may_pass() => return Err(error),
                    read => return Ok((deployed, read.map(Some).map_err(|it| it.to_string()))),
                },
                (None, None) => None,
            };
            Ok((deployed, Ok(envelope)))
        }))?;
        let Some(record) = deployed.seen.record.as_ref().map(|it| &it.record) else {
            return Ok(());
        };
        let (envelope, problem) = match envelope {
            Ok(envelope) => (envelope, None),
            Err(problem) => (None, Some(problem)),
        };
        if self.json {
            let manifest = envelope.as_ref().map(|it| serde_json::from_str(&it.text));
            return print_json(&Answer {
                task,
                record,
                generations: &deployed.generations,
                manifest: manifest.and_then(Result::ok),
                signatures: envelope.as_ref().map_or(0, |it| it.signatures.len()),
                hosts: &deployed.seen.hosts,
                running: &deployed.seen.running,
                problem,
            })
            .map(drop);
        }
        let mut text = text(task, record, &deployed);
        if let Some(problem) = problem {
            let _ = writeln!(
                text,
                "\nthe manifest cannot be read: {}",
                printable(&problem)
            );
        }
        if let Some(envelope) = envelope {
            text.push_str(&self::manifest(task, &envelope));
        }
        print(&text).map(drop)
    }
}

/// What a record says of a rollout, one thing a line, and which generations are kept.
pub(in crate::cli) fn rollout_lines(record: &RolloutRecord, generations: &[u64]) -> String {
    let mut text = String::new();
    let number = |generation: Option<Generation>| {
        generation.map_or_else(
            || NOTHING.to_owned(),
            |it| format!("{} ({})", it.number, it.sha256),
        )
    };
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<14}{}", printable(value));
    };
    line("current", &number(record.current));
    line("stage", stage(&record.stage));
    if let Stage::RolledBack(failure) | Stage::Failed(failure) = &record.stage {
        let of = failure.from.number;
        line(
            "failure",
            &format!("generation {of}: {}: {}", failure.cause, failure.detail),
        );
    }
    line("wanted", &number(record.wanted));
    line("back", &number(record.back));
    if let Some(paused) = &record.paused {
        let reason = match &*paused.reason {
            "" => "no reason was given",
            reason => reason,
        };
        line("paused", reason);
    }
    let reason = record.changed.reason.as_deref();
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    line(
        "changed",
        &format!("{} by {}{reason}", record.changed.at, record.changed.by),
    );
    let kept: Vec<_> = generations.iter().map(u64::to_string).collect();
    line("generations", &kept.join(", "));
    text
}

fn text(task: &str, record: &RolloutRecord, deployed: &Deployed) -> String {
    let mut text = rollout_lines(record, &deployed.generations);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<14}{}", printable(value));
    };
    match &deployed.seen.running {
        None => line("leader", "nobody"),
        Some(running) => {
            let generation = running
                .generation
                .map_or_else(String::new, |it| format!(", generation {it}"));
            line(
                "leader",
                &format!("{} in term {}{generation}", running.host, running.term),
            );
        }
    }
    let rows: Vec<_> = deployed.seen.hosts.iter().map(host).collect();
    let hosts = table(["HOST", "GENERATION", "STATE", "WHY NOT"], &rows);
    format!("task {}\n{text}\n{hosts}", printable(task))
}

fn host(host: &HostReadiness) -> [String; 4] {
    let (state, reason) = match &host.readiness {
        None => ("unknown", "what it says cannot be read"),
        Some(Readiness::Preparing) => ("preparing", NOTHING),
        Some(Readiness::Ready) => ("ready", NOTHING),
        Some(Readiness::Unready { reason }) => ("unready", &**reason),
    };
    [
        host.host.clone(),
        host.generation
            .map_or_else(|| NOTHING.to_owned(), |number| number.to_string()),
        state.to_owned(),
        reason.to_owned(),
    ]
}

/// The manifest as it is, each line cut where it is too long for a terminal.
fn manifest(task: &str, envelope: &Envelope) -> String {
    let mut text = format!(
        "\nmanifest, sha256 {}, {} signatures\n",
        envelope.sha256(),
        envelope.signatures.len()
    );
    if let Err(problem) = rollout::read(task, 0, envelope) {
        let _ = writeln!(text, "this program cannot read it: {problem}");
    }
    for line in envelope.text.lines() {
        let shown: String = line.chars().take(LINE_CHARS_MAX).collect();
        let cut = if shown.len() < line.len() { "…" } else { "" };
        let _ = writeln!(text, "{}{cut}", printable(&shown));
    }
    text
}
