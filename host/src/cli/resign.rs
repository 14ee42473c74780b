//! `soloist resign`: have the leader of a task give it up.

use std::time::Duration;

use clap::ArgMatches;
use soloist_config::TaskName;
use soloist_coordination::observer::Handover;
use soloist_core::text::printable;

use super::Failure;
use super::operator::{OperatorOptions, block_on, task_name};
use super::output::print;

/// Have the leader of a task hand it over gracefully, from any machine, and say who leads then.
///
/// The plugin is told and stops first, as when its host is shut down; then the next in the queue leads, and the host
/// that led stands at its end. If nobody else stands, the same host leads again.
///
/// The order is an order to the term that is under way now: it means nothing to any other.
#[derive(Debug, clap::Args)]
pub(super) struct Resign {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// The host that shall lead next: one that stands by, wherever in the queue [default: the next in the queue]
    #[arg(long, value_name = "HOST")]
    to: Option<String>,

    /// Why, for the history: up to 200 characters [default: none]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// How long to wait for the handover; the order stands longer
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Resign {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            to,
            reason,
            timeout,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let handover = block_on(operator.ask(async |observer| {
            observer
                .resign(&task, to.as_deref(), reason.as_deref(), timeout)
                .await
        }))?;
        print(&text(&task, &handover)).map(drop)
    }
}

fn text(task: &TaskName, Handover { ended, leader }: &Handover) -> String {
    let ended = ended
        .as_ref()
        .and_then(|term| Some((term, term.end.as_ref()?)));
    let ended = ended.map_or_else(String::new, |(term, end)| {
        format!(
            "term {} of {} has ended: {}\n",
            term.number,
            printable(&term.host),
            printable(&end.reason)
        )
    });
    let term = leader
        .term
        .map_or_else(String::new, |term| format!(" in term {term}"));
    format!(
        "{ended}{} leads {task} now{term}\n",
        printable(&leader.host)
    )
}
