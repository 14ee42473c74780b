//! `soloist rollback`: have the generation before run again, or an older one as a new generation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_config::{Manifest, PublicKey, TaskName};
use soloist_coordination::observer::Observer;
use soloist_coordination::observer::rollout::{Attempt, Order};
use soloist_core::records::{Changed, Envelope, Generation, RolloutRecord};
use soloist_core::rollout::{OnRollback, Refused, Undone, rollback};
use soloist_deploy::trust::Trust;

use super::Failure;
use super::deploy::{Deploying, Out, Prepared, read_bounded, sign};
use super::operator::{Operator, OperatorOptions, block_on, task_name};
use super::output::{print, tell_on_stderr};
use super::rollout::follow::{WaitFor, follow};
use super::rollout::{self, change, changed, now, who};

/// The longest file of a public key, in bytes: a comment and 56 characters.
const KEY_BYTES_MAX: u64 = 4096;

/// Take the newest generation of a task back: the one before runs again, at once
///
/// A generation that is wanted and has not run yet is given up. Otherwise the current one is taken back, and the state becomes
/// what it was before, if the current one is still on probation and its manifest does not say on_rollback = "keep".
///
/// With --to an older generation is deployed again, under a new number, as `soloist deploy` would. Where hosts want signatures
/// it needs new ones: if the old one was signed, the text to sign is written, and nothing is changed. Whoever can write to the
/// ensemble can have changed what it keeps, so that is written only if the keys that --key names have signed it.
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

    /// The public key of one who has signed the old generation, as minisign writes it; can be repeated. All of them have to have
    /// signed it, before it is written to be signed again
    #[arg(
        long = "key",
        value_name = "FILE",
        requires = "to",
        conflicts_with = "unsigned"
    )]
    keys: Vec<PathBuf>,

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
            keys,
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
                    keys,
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
    keys: Vec<PathBuf>,
    unsigned: bool,
}

impl Again<'_> {
    async fn deploy(
        &self,
        operator: &Operator,
        observer: &mut Observer,
        deploying: &Deploying,
    ) -> Result<(), Failure> {
        let Self { task, number, .. } = *self;
        // What cannot be read is told before anything is asked.
        let trust = self.trust()?;
        rollout::record(observer, task).await?;
        let envelope = observer.generation(task, number).await?;
        let old = rollout::read(task, number, &envelope)?;
        // Whoever can write there can put one in the place of another, with all its signatures.
        if *old.task.name != *task || old.generation != number {
            return Err(Failure::RunTime(anyhow!(
                "what the ensemble keeps as generation {number} of {task} is generation {} of {}: somebody has put it there. Nothing \
                 was changed",
                old.generation,
                old.task.name
            )));
        }
        let is_signed = !envelope.signatures.is_empty();
        let is_to_be_signed = self.out.is_some() || is_signed && !self.unsigned;
        if is_to_be_signed {
            self.check(&envelope, trust.as_ref())?;
        }
        let next = deploying.next(observer, task, None).await?;
        let manifest = Manifest {
            generation: next.number,
            replaces: next.replaces,
            at: now(),
            by: who(),
            ..old
        };
        let prepared = Prepared::unsigned(manifest, None)?;
        if is_to_be_signed {
            let widens = deploying.show_widening(observer, &prepared).await?;
            if let Some(out) = &self.out {
                return sign(&prepared, Out::File(out), widens);
            }
            let file = PathBuf::from(format!("./{task}-{}.json", next.number));
            sign(&prepared, Out::New(&file), widens)?;
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

    /// The owners of all keys that were named.
    fn trust(&self) -> Result<Option<Trust>, Failure> {
        let keys = self.keys.iter().map(|file| public_key(file));
        let keys: Vec<PublicKey> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Ok(None);
        }
        let trust = Trust::new(keys.iter().map(PublicKey::as_str), keys.len());
        let trust = trust.map_err(|error| Failure::Invalid(anyhow!("--key: {error}")))?;
        Ok(Some(trust))
    }

    /// Checks that what the ensemble keeps is what was signed: nobody is to be asked to sign what somebody else wrote there.
    fn check(&self, envelope: &Envelope, trust: Option<&Trust>) -> Result<(), Failure> {
        let Self { task, number, .. } = self;
        let own = format!("deploy your own copy of it: soloist deploy {task}.toml --out FILE");
        if envelope.signatures.is_empty() {
            return Err(Failure::Invalid(anyhow!(
                "nobody has signed generation {number}, so nobody can say whether it is what was deployed. Do not sign it; {own}"
            )));
        }
        let Some(trust) = trust else {
            return Err(Failure::Invalid(anyhow!(
                "generation {number} was signed, so hosts may want a signature of it again, and it is not known whether what the \
                 ensemble has is what was signed. Name the public keys of those who did with --key, or {own}; or add --unsigned, \
                 if hosts want no signatures"
            )));
        };
        trust
            .check(&envelope.text, &envelope.signatures)
            .map_err(|untrusted| {
                let keys = self.keys.len();
                Failure::RunTime(anyhow!(
                    "{} of the {keys} keys of --key have signed generation {number} as the ensemble has it: others signed it, or \
                     somebody has changed it. Nothing was written; {own}",
                    untrusted.found
                ))
            })
    }
}

fn public_key(file: &Path) -> Result<PublicKey, Failure> {
    let content = read_bounded(file, KEY_BYTES_MAX)?;
    let key = PublicKey::of_file(&String::from_utf8_lossy(&content));
    key.with_context(|| format!("--key {}", file.display()))
        .map_err(Failure::Invalid)
}
