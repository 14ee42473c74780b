//! `soloist rollback`: have the generation before run again, or an older one as a new generation.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::ArgMatches;
use soloist_config::{Manifest, TaskName};
use soloist_coordination::observer::Observer;
use soloist_coordination::observer::rollout::{Attempt, Order};
use soloist_core::records::{Changed, Generation, RolloutRecord};
use soloist_core::rollout::{OnRollback, Refused, Undone, rollback};

use super::Failure;
use super::deploy::{Deploying, Out, Prepared, sign};
use super::operator::{Operator, OperatorOptions, block_on, task_name};
use super::output::{print, tell_on_stderr};
use super::rollout::follow::{WaitFor, follow};
use super::rollout::{self, change, changed, now, who};

/// Take the newest generation of a task back: the one before runs again, at once
///
/// A generation that is wanted and has not run yet is given up. Otherwise the current one is taken back, and the state becomes
/// what it was before, if the current one is still on probation and its manifest does not say on_rollback = "keep".
///
/// With --to an older generation is deployed again, under a new number, as `soloist deploy` would. Where hosts want signatures
/// it needs new ones: if the old one was signed, the text to sign is written, and nothing is changed.
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// The generation to deploy again, one of those that `soloist tasks show` lists [default: none; the one before runs again]
    #[arg(long, value_name = "GENERATION")]
    to: Option<u64>,

    /// Why, for the record: up to 200 characters [default: none]
    #[arg(long, value_name = "TEXT", conflicts_with = "to")]
    reason: Option<String>,

    /// Write the text to sign into this file, and change nothing [default: TASK-NUMBER.json, if the old one was signed]
    #[arg(long, value_name = "FILE", requires = "to")]
    out: Option<PathBuf>,

    /// Deploy it without signatures, though the old one was signed
    #[arg(long, requires = "to", conflicts_with = "out")]
    unsigned: bool,

    /// Deploy it though it may more than the one that runs, after this was shown
    #[arg(long, requires = "to")]
    accept_grants: bool,

    /// Wait for nothing
    #[arg(long)]
    no_wait: bool,

    /// How long to wait until a leader runs it; the rollout goes on longer
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Rollback {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        tell_on_stderr("rollback").map_err(Failure::RunTime)?;
        let Self {
            task,
            to,
            reason,
            out,
            unsigned,
            accept_grants,
            no_wait,
            timeout,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let wait = (!no_wait).then_some((WaitFor::Runs, timeout));
        let deploying = Deploying {
            accept_grants,
            wait,
            json: false,
        };
        block_on(operator.work(async |observer| match to {
            None => {
                let reason = reason.unwrap_or_default();
                back(&operator, observer, &task, &reason, &deploying).await
            }
            Some(number) => {
                let again = Again {
                    task: &task,
                    number,
                    out,
                    unsigned,
                };
                again.deploy(&operator, observer, &deploying).await
            }
        }))
    }
}

/// Has the generation before run again, as the page of a host orders it; gives what was done, in words.
pub(super) async fn back_from(
    observer: &Observer,
    task: &str,
    reason: &str,
    by: Changed,
) -> Result<String, Failure> {
    let undoing = Undoing::begin(observer, task, reason, by).await?;
    let decide = |record: Option<&RolloutRecord>| undoing.next(record);
    let order = Order::of_record(task, &decide);
    observer.order(&order, &mut Attempt::default()).await?;
    Ok(told(undoing.expected).0)
}

/// What is to be taken back, as somebody has seen it.
struct Undoing<'a> {
    on_rollback: OnRollback,
    reason: &'a str,
    by: Changed,
    expected: Undone,
}

impl<'a> Undoing<'a> {
    async fn begin(
        observer: &Observer,
        task: &str,
        reason: &'a str,
        by: Changed,
    ) -> Result<Self, Failure> {
        let before = rollout::record(observer, task).await?;
        let on_rollback = on_rollback(observer, task, &before).await?;
        let (_, expected) = rollback(Some(&before), on_rollback, reason, by.clone())
            .map_err(|refused| Failure::RunTime(refused.into()))?;
        Ok(Self {
            on_rollback,
            reason,
            by,
            expected,
        })
    }

    /// What the record becomes, if that takes back what was seen, and not what has come since.
    fn next(&self, record: Option<&RolloutRecord>) -> Result<RolloutRecord, Refused> {
        let (next, undone) = rollback(record, self.on_rollback, self.reason, self.by.clone())?;
        match record {
            Some(record) if undone != self.expected => Err(Refused::changed(record)),
            _ => Ok(next),
        }
    }
}

/// Has the generation before run again.
async fn back(
    operator: &Operator,
    observer: &mut Observer,
    task: &str,
    reason: &str,
    deploying: &Deploying,
) -> Result<(), Failure> {
    let undoing = Undoing::begin(observer, task, reason, changed()).await?;
    let decide = |record: Option<&RolloutRecord>| undoing.next(record);
    change(operator, observer, task, &decide).await?;
    let (line, runs) = told(undoing.expected);
    deploying.tell(&format!("{task}: {line}"))?;
    if let (Some(generation), Some(wait)) = (runs, deploying.wait) {
        let tell = |line: &str| deploying.tell(line);
        follow(operator, observer, (task, generation), wait, tell).await?;
    }
    Ok(())
}

/// What the manifest of the current generation says. One that cannot be read says nothing: then it is the default.
async fn on_rollback(
    observer: &Observer,
    task: &str,
    record: &RolloutRecord,
) -> Result<OnRollback, Failure> {
    let Some(current) = record.current.filter(|_| record.wanted.is_none()) else {
        return Ok(OnRollback::default());
    };
    match rollout::manifest(observer, task, current).await {
        Ok((_, manifest)) => Ok(rollout::on_rollback(&manifest)),
        Err(error @ Failure::Unreachable(_)) => Err(error),
        Err(error) => {
            tracing::warn!("the state is restored, if there is a copy: {error}");
            Ok(OnRollback::default())
        }
    }
}

/// What was taken back, and which generation runs now, if that has changed.
fn told(undone: Undone) -> (String, Option<Generation>) {
    match undone {
        Undone::Wanted(wanted) => (
            format!(
                "generation {} is given up; what runs goes on",
                wanted.number
            ),
            None,
        ),
        Undone::Current { from, to, restore } => {
            let state = if restore {
                "the state becomes what it was before"
            } else {
                "the state stays as it is"
            };
            let (from, number) = (from.number, to.number);
            let line = format!(
                "generation {from} is taken back, and generation {number} runs again; {state}"
            );
            (line, Some(to))
        }
    }
}

/// An older generation that is deployed again.
struct Again<'a> {
    task: &'a str,
    number: u64,
    out: Option<PathBuf>,
    unsigned: bool,
}

impl Again<'_> {
    async fn deploy(
        self,
        operator: &Operator,
        observer: &mut Observer,
        deploying: &Deploying,
    ) -> Result<(), Failure> {
        let Self {
            task,
            number,
            out,
            unsigned,
        } = self;
        rollout::record(observer, task).await?;
        let envelope = observer.generation(task, number).await?;
        let old = rollout::read(task, number, &envelope)?;
        let next = deploying.next(observer, task, None).await?;
        let manifest = Manifest {
            generation: next.number,
            replaces: next.replaces,
            at: now(),
            by: who(),
            ..old
        };
        let prepared = Prepared::unsigned(manifest, None)?;
        let is_signed = !envelope.signatures.is_empty();
        if let Some(out) = &out {
            let widens = deploying.show_widening(observer, &prepared).await?;
            return sign(&prepared, Out::File(out), widens);
        }
        if is_signed && !unsigned {
            let widens = deploying.show_widening(observer, &prepared).await?;
            let file = PathBuf::from(format!("./{task}-{}.json", next.number));
            sign(&prepared, Out::File(&file), widens)?;
            return Err(Failure::RunTime(anyhow!(
                "generation {number} was signed, so hosts may want signatures of generation {} as well, and nothing was \
                 changed: sign the text, or add --unsigned",
                next.number
            )));
        }
        print(&format!(
            "generation {} is generation {number} again\n",
            next.number
        ))?;
        let record = deploying.write(operator, observer, &prepared).await?;
        deploying
            .follow(operator, observer, &prepared, record)
            .await
    }
}
