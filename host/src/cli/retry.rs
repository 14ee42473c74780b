//! `soloist retry`: have hosts stand again for a task that has failed for good.

use std::time::Duration;

use anyhow::anyhow;
use clap::ArgMatches;
use soloist_config::TaskName;
use soloist_coordination::observer::ObserverError;
use soloist_core::text::printable;

use super::Failure;
use super::operator::{OperatorOptions, block_on, task_name};
use super::output::print;
use super::rollout::changed;

/// Have a task tried again that has failed for good, before its hosts would do so by themselves, and say who leads then
///
/// A host whose plugin has failed for good rests, up to an hour: see TRIED AGAIN of `soloist status`. All hosts that rest for that
/// reason stand again at once, and one of them is elected as ever. If the plugin fails again, that counts as the first time.
///
/// A task that is led has nothing to be tried again: `soloist resign` has its plugin started anew.
#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Why, for the hosts' logs: up to 200 characters [default: none]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Do not wait until somebody leads
    #[arg(long)]
    no_wait: bool,

    /// How long to wait until somebody leads; the order stands longer
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Retry {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            reason,
            no_wait,
            timeout,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let given = changed().because(reason.as_deref());
        let leader = block_on(operator.ask(async |observer| {
            let failed = observer.retry(&task, &given, timeout).await?;
            if no_wait {
                return Ok(None);
            }
            let token = failed.fencing_token.unwrap_or_default();
            observer.tried(&task, token, timeout).await.map(Some)
        }));
        let leader = leader.map_err(|failure| match failure {
            Failure::RunTime(error) if stands(&error) => Failure::Unfinished(anyhow!(error)),
            failure => failure,
        })?;
        let leads = leader.map_or_else(String::new, |leader| {
            let term = leader
                .term
                .map_or_else(String::new, |term| format!(" in term {term}"));
            format!("{} leads {task} now{term}\n", printable(&leader.host))
        });
        print(&format!("{task} is tried again\n{leads}")).map(drop)
    }
}

/// Whether an order stands that was not carried out in time.
fn stands(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ObserverError::NobodyTries { .. })
    )
}
