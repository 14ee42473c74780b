//! `soloist pause` and `soloist resume`: have nobody run a task for a while.

use std::time::Duration;

use anyhow::anyhow;
use clap::ArgMatches;
use soloist_config::TaskName;
use soloist_coordination::observer::{Observer, ObserverError};
use soloist_core::records::RolloutRecord;
use soloist_core::rollout::{pause, resume};
use tokio::time::{Instant, sleep};

use super::Failure;
use super::operator::{Operator, OperatorOptions, block_on, task_name};
use super::output::print;
use super::rollout::{change, changed};

/// How often it is looked who leads.
const LOOK: Duration = Duration::from_millis(200);

/// Pause a deployed task: its leader stops, and nobody runs it until it is resumed
///
/// Hosts go on to prepare what is deployed meanwhile. The command waits until nobody runs the task.
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Why, for whoever wonders: up to 200 characters [default: none]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Wait for nothing
    #[arg(long)]
    no_wait: bool,

    /// How long to wait until nobody runs it; it is paused longer
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    options: OperatorOptions,
}

/// Resume a task that was paused: hosts that are ready stand for it again.
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Why, for whoever wonders: up to 200 characters [default: none]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Pause {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            reason,
            no_wait,
            timeout,
            options,
        } = self;
        let (operator, by) = (options.operator(matches)?, changed());
        let reason = reason.unwrap_or_default();
        let decide = |record: Option<&RolloutRecord>| pause(record, &reason, by.clone());
        block_on(operator.work(async |observer| {
            change(&operator, observer, &task, &decide).await?;
            print(&format!("{task} is paused\n"))?;
            if no_wait {
                return Ok(());
            }
            vacant(&operator, observer, &task, timeout).await?;
            print(&format!("nobody runs {task}\n")).map(drop)
        }))
    }
}

impl Resume {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            reason,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let by = changed().because(reason.as_deref());
        let decide = |record: Option<&RolloutRecord>| resume(record, by.clone());
        let work =
            async |observer: &mut Observer| change(&operator, observer, &task, &decide).await;
        block_on(operator.work(work))?;
        print(&format!("{task} is resumed\n")).map(drop)
    }
}

/// Waits until nobody stands for a task, and nobody runs it.
pub(super) async fn vacant(
    operator: &Operator,
    observer: &mut Observer,
    task: &str,
    within: Duration,
) -> Result<(), Failure> {
    let deadline = Instant::now() + within;
    let mut standing = Vec::new();
    loop {
        match observer.standing(task).await {
            Ok(hosts) if hosts.is_empty() => return Ok(()),
            Ok(hosts) => standing = hosts,
            Err(_) if observer.is_lost() => *observer = operator.connect().await?,
            Err(error) if error.may_pass() => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= deadline {
            let error = ObserverError::StillStanding {
                task: task.to_owned(),
                hosts: standing,
                within,
            };
            return Err(Failure::Unfinished(anyhow!(error)));
        }
        sleep(LOOK).await;
    }
}
