//! `soloist forget`: delete all that is left of a task.

use clap::ArgMatches;
use soloist_config::TaskName;

use super::Failure;
use super::operator::{OperatorOptions, block_on, task_name};
use super::output::{print, print_error};
use super::undeploy::confirm;

/// Delete all that ZooKeeper keeps of a task that nobody stands for and that is not deployed
///
/// That is its state, its history, its generations and the record of its rollout. It cannot be had back. The numbers of terms and of generations begin anew; fencing tokens go on growing. Hosts that have
/// accepted generations of the task remember the highest one, in the directory of their [deploy], and refuse every number up to
/// it: deploy the task with --generation and a higher one then, which this command tells.
#[derive(Debug, clap::Args)]
pub(super) struct Forget {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Do not ask first
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Forget {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self { task, yes, options } = self;
        let operator = options.operator(matches)?;
        confirm(&format!("Delete all that is kept of {task} for good?"), yes)?;
        let (forgotten, swept) = block_on(operator.ask(async |observer| {
            let forgotten = observer.forget(&task).await?;
            // That its artefacts could not be removed is no failure of what was asked for.
            Ok((forgotten, observer.sweep(&task).await))
        }))?;
        if let Err(error) = swept {
            print_error(&format!("artefacts are left: {error}"));
        }
        print(&format!("{task} is forgotten: {} nodes\n", forgotten.nodes))?;
        match forgotten.newest {
            Some(newest) if newest > 0 => print(&format!(
                "hosts remember that they have accepted generations of it: deploy it with --generation {} or higher\n",
                newest + 1
            ))
            .map(drop),
            _ => Ok(()),
        }
    }
}
