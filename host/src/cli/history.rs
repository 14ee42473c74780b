//! `soloist history`: the latest terms of a task.

use std::time::Duration;

use clap::ArgMatches;
use serde::Serialize;
use soloist_config::TaskName;
use soloist_core::records::{End, TermEntry};

use super::Failure;
use super::operator::{OperatorOptions, block_on, task_name};
use super::output::{NOTHING, print, print_json, shown, table, time_between};

/// Say who led a task, from when to when, and why it ended: the latest terms, the latest first
///
/// A term ends as resigned, shutdown, lease-expiring, node-lost or replaced; as failed, with the cause, when the plugin
/// has failed for good on its host; or as lost, when its host never said and another was elected: then it is that
/// election at which it ended.
///
/// With --json, one object on one line:
///
///   {"task": NAME,
///    "terms": [{"number": NUMBER, "host": ID, "since": TIME, "fencing_token": NUMBER,
///               "end": {"at": TIME, "reason": REASON, "cause": CAUSE, "detail": TEXT}, "seconds": NUMBER}, ...]}
///
/// A term that is under way has no "end" and no "seconds", a term that nobody gave a reason for no "detail", and one
/// that has not failed no "cause".
/// A TIME is RFC 3339 in UTC, by the clock of the host that led or, if it never said, of the next.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct History {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

#[derive(Serialize)]
struct Terms<'a> {
    task: &'a str,
    terms: Vec<Term<'a>>,
}

#[derive(Serialize)]
struct Term<'a> {
    #[serde(flatten)]
    entry: &'a TermEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

impl History {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            json,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let entries = block_on(operator.ask(async |observer| observer.history(&task).await))?;
        if json {
            print_json(&terms(&task, &entries))
        } else {
            print(&text(&entries))
        }
        .map(drop)
    }
}

fn terms<'a>(task: &'a str, entries: &'a [TermEntry]) -> Terms<'a> {
    let term = |entry: &'a TermEntry| {
        let end = entry.end.as_ref();
        let seconds = end
            .and_then(|end| time_between(&entry.since, Some(&end.at)))
            .map(seconds);
        Term { entry, seconds }
    };
    Terms {
        task,
        terms: entries.iter().map(term).collect(),
    }
}

/// Milliseconds are what the times are given in: no more digits than that.
#[expect(
    clippy::cast_precision_loss,
    reason = "a time of 285,000 years is the first to lose a millisecond"
)]
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1_000.0
}

pub(super) fn text(entries: &[TermEntry]) -> String {
    let rows: Vec<_> = entries.iter().map(row).collect();
    table(
        [
            "TERM", "HOST", "TOKEN", "FROM", "TO", "FOR", "ENDED", "DETAIL",
        ],
        &rows,
    )
}

/// Why a term ended, and of what its plugin failed.
fn ended(end: &End) -> String {
    let cause = end.cause.as_ref().map(|cause| format!(": {cause}"));
    format!("{}{}", end.reason, cause.unwrap_or_default())
}

fn row(entry: &TermEntry) -> [String; 8] {
    let or_nothing = |text: Option<&str>| text.unwrap_or(NOTHING).to_owned();
    let end = entry.end.as_ref();
    [
        entry.number.to_string(),
        entry.host.clone(),
        entry
            .fencing_token
            .map_or_else(|| NOTHING.to_owned(), |token| token.to_string()),
        entry.since.clone(),
        or_nothing(end.map(|end| end.at.as_str())),
        shown(time_between(&entry.since, end.map(|end| end.at.as_str()))),
        end.map_or_else(|| NOTHING.to_owned(), ended),
        or_nothing(end.and_then(|end| end.detail.as_deref())),
    ]
}
