//! `soloist tasks`: the tasks that were deployed, and how they stand.

use clap::{ArgMatches, Subcommand};
use serde::Serialize;
use soloist_coordination::observer::rollout::{Seen, TaskListed};
use soloist_core::records::Stage;

use super::Failure;
use super::operator::{OperatorOptions, block_on};
use super::output::{NOTHING, print, print_json, shown, table, time_between};

mod show;

pub(super) use show::rollout_lines;

/// How many digits of a digest are shown in the list.
const DIGEST_SHORT: usize = 12;

/// List all tasks: which generation they run, how many hosts are ready, who leads, and how the rollout stands
///
/// Tasks that hosts stand for by their own configuration are listed as well; STAGE says "files" there.
///
/// With --json, one object on one line:
///
///   {"tasks": [{"task": NAME, "deployed": BOOLEAN, "stage": STAGE, "generation": NUMBER, "sha256": DIGITS,
///               "wanted": NUMBER, "back": NUMBER, "ready": NUMBER, "hosts": NUMBER, "leader": ID, "term": NUMBER,
///               "runs": NUMBER, "paused": TEXT, "changed": {"by": TEXT, "at": TIME, "reason": TEXT},
///               "problem": TEXT}, ...]}
///
/// STAGE is probation, healthy, rolled-back, failed or undeployed; it is null for a task of files, and for a record that
/// cannot be read, of which "problem" says why. "generation" is the one that terms run, "wanted" the one that hosts prepare,
/// "back" the one that is gone back to, and "runs" the one of the term that is under way. "ready" of the "hosts" that say
/// anything are ready for the wanted generation, or else for the current one. "sha256" is that of the current generation's
/// manifest. What is not there is null. A TIME is RFC 3339 in UTC.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(super) struct Tasks {
    #[command(subcommand)]
    command: Option<Of>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

#[derive(Debug, Subcommand)]
enum Of {
    Show(show::Show),
}

#[derive(Serialize)]
struct List<'a> {
    tasks: Vec<Row<'a>>,
}

#[derive(Default, Serialize)]
struct Row<'a> {
    task: &'a str,
    deployed: bool,
    stage: Option<&'static str>,
    generation: Option<u64>,
    sha256: Option<String>,
    wanted: Option<u64>,
    back: Option<u64>,
    ready: usize,
    hosts: usize,
    leader: Option<&'a str>,
    term: Option<u64>,
    runs: Option<u64>,
    paused: Option<&'a str>,
    changed: Option<Changed<'a>>,
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Changed<'a> {
    by: &'a str,
    at: &'a str,
    reason: Option<&'a str>,
}

impl Tasks {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        if let (Some(Of::Show(show)), Some((_, matches))) = (self.command, matches.subcommand()) {
            return show.execute(matches);
        }
        let operator = self.options.operator(matches)?;
        let tasks = block_on(operator.ask(async |observer| observer.tasks().await))?;
        let tasks = tasks.iter().map(row).collect();
        if self.json {
            print_json(&List { tasks })
        } else {
            print(&text(&tasks))
        }
        .map(drop)
    }
}

/// What a stage is called.
pub(super) fn stage(stage: &Stage) -> &'static str {
    match stage {
        Stage::Probation { .. } => "probation",
        Stage::Healthy => "healthy",
        Stage::RolledBack(_) => "rolled-back",
        Stage::Failed(_) => "failed",
        Stage::Undeployed => "undeployed",
    }
}

fn row(listed: &TaskListed) -> Row<'_> {
    let task = listed.task();
    match listed {
        TaskListed::Deployed { seen, .. } => deployed(task, seen),
        TaskListed::Unreadable { problem, .. } => Row {
            task,
            deployed: true,
            problem: Some(problem),
            ..Row::default()
        },
        TaskListed::OfFiles { leader, .. } => Row {
            task,
            leader: leader.as_ref().map(|it| &*it.host),
            term: leader.as_ref().and_then(|it| it.term),
            ..Row::default()
        },
    }
}

fn deployed<'a>(task: &'a str, seen: &'a Seen) -> Row<'a> {
    let Some(record) = seen.record.as_ref().map(|it| &it.record) else {
        // It was deleted between the two reads.
        return Row {
            task,
            ..Row::default()
        };
    };
    let prepared = record.wanted.or(record.current);
    let (ready, hosts) = prepared.map_or((0, 0), |it| seen.ready(it.number));
    let running = seen.running.as_ref();
    let number =
        |generation: Option<soloist_core::records::Generation>| generation.map(|it| it.number);
    Row {
        task,
        deployed: true,
        stage: Some(stage(&record.stage)),
        generation: number(record.current),
        sha256: record.current.map(|it| it.sha256.to_string()),
        wanted: number(record.wanted),
        back: number(record.back),
        ready,
        hosts,
        leader: running.map(|it| &*it.host),
        term: running.map(|it| it.term),
        runs: running.and_then(|it| it.generation),
        paused: record.paused.as_ref().map(|it| &*it.reason),
        changed: Some(Changed {
            by: &record.changed.by,
            at: &record.changed.at,
            reason: record.changed.reason.as_deref(),
        }),
        problem: None,
    }
}

fn text(tasks: &Vec<Row<'_>>) -> String {
    let rows: Vec<_> = tasks.iter().map(cells).collect();
    let headings = [
        "TASK",
        "GENERATION",
        "SHA256",
        "READY",
        "LEADER",
        "STAGE",
        "SINCE",
        "FOR",
    ];
    table(headings, &rows)
}

fn cells(row: &Row<'_>) -> [String; 8] {
    let nothing = || NOTHING.to_owned();
    let generation = match (row.generation, row.wanted) {
        (Some(current), Some(wanted)) => format!("{current} -> {wanted}"),
        (Some(current), None) => current.to_string(),
        (None, _) => nothing(),
    };
    let stage = match (row.stage, row.paused) {
        (Some(stage), Some(_)) => format!("{stage}, paused"),
        (Some(stage), None) => stage.to_owned(),
        (None, _) if row.deployed => "unreadable".to_owned(),
        (None, _) => "files".to_owned(),
    };
    let ready = if row.generation.is_some() {
        format!("{}/{}", row.ready, row.hosts)
    } else {
        nothing()
    };
    let since = row.changed.as_ref().map(|it| it.at);
    [
        row.task.to_owned(),
        generation,
        row.sha256
            .as_ref()
            .map_or_else(nothing, |sha256| sha256[..DIGEST_SHORT].to_owned()),
        ready,
        row.leader.unwrap_or(NOTHING).to_owned(),
        stage,
        since.unwrap_or(NOTHING).to_owned(),
        since.map_or_else(nothing, |since| shown(time_between(since, None))),
    ]
}
