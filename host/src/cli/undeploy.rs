//! `soloist undeploy`: have nobody run a task any more.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::time::Duration;

use anyhow::anyhow;
use clap::ArgMatches;
use soloist_config::TaskName;
use soloist_coordination::observer::Observer;
use soloist_core::records::RolloutRecord;
use soloist_core::rollout::{purge, purged, undeploy};

use super::Failure;
use super::operator::{Operator, OperatorOptions, block_on, task_name};
use super::output::{print, print_error};
use super::pause::vacant;
use super::rollout::{change, changed, record};

/// Undeploy a task: its leader stops, and nobody runs it until a generation is deployed again
///
/// The state stays, and so do the generations and the record, because numbers must not come again. The command waits until
/// nobody runs the task.
///
/// --purge-state deletes the state, the copy of it, and the records of the schedules, once nobody stands for the task. They
/// cannot be had back. It can also be used later, on a task that is undeployed already.
#[derive(Debug, clap::Args)]
pub(super) struct Undeploy {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Delete the state and the records of the schedules as well
    #[arg(long)]
    purge_state: bool,

    /// Do not ask before anything is deleted
    #[arg(long)]
    yes: bool,

    /// Wait for nothing
    #[arg(long, conflicts_with = "purge_state")]
    no_wait: bool,

    /// How long to wait until nobody runs it; it is undeployed longer
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Undeploy {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            purge_state,
            yes,
            no_wait,
            timeout,
            options,
        } = self;
        let operator = options.operator(matches)?;
        if purge_state {
            confirm(&format!("Delete the state of {task} for good?"), yes)?;
        }
        block_on(operator.work(async |observer| {
            let is_gone = purge_state && is_undeployed(observer, &task).await?;
            if !is_gone {
                let by = changed();
                let decide = |record: Option<&RolloutRecord>| undeploy(record, by.clone());
                change(&operator, observer, &task, &decide).await?;
                print(&format!("{task} is undeployed\n"))?;
            }
            if no_wait {
                return Ok(());
            }
            vacant(&operator, observer, &task, timeout).await?;
            print(&format!("nobody runs {task}\n"))?;
            if purge_state {
                purge_all(&operator, observer, &task).await?;
            }
            Ok(())
        }))
    }
}

async fn is_undeployed(observer: &Observer, task: &str) -> Result<bool, Failure> {
    Ok(record(observer, task).await?.current.is_none())
}

/// Deletes the state of a task that nobody stands for, first noting in the record that nobody restores it.
async fn purge_all(
    operator: &Operator,
    observer: &mut Observer,
    task: &str,
) -> Result<(), Failure> {
    let by = changed();
    let purging = |record: Option<&RolloutRecord>| purge(record, by.clone());
    let purging = change(operator, observer, task, &purging).await?;
    let rollout = observer.rollout(task).await?;
    let rollout = rollout.filter(|it| it.record == purging);
    let rollout = rollout.ok_or_else(|| {
        Failure::RunTime(anyhow!(
            "somebody has changed the rollout of {task} meanwhile, and nothing was deleted: look at it, and try again"
        ))
    })?;
    let nodes = observer.purge(task, &rollout).await?;
    let by = changed();
    let noted = |record: Option<&RolloutRecord>| purged(record, by.clone());
    change(operator, observer, task, &noted).await?;
    print(&format!("the state of {task} is deleted: {nodes} nodes\n")).map(drop)
}

/// Asks whether to go on, unless that is said.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Invalid(anyhow!(
            "nobody can be asked, because stdin is no terminal: add --yes, if you mean it"
        )));
    }
    print_error(&format!("{question} Type yes:"));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::RunTime(anyhow!("nothing was changed")))
}
