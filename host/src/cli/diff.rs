//! `soloist diff`: how two generations of a task differ, or what a deployment would change.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::ArgMatches;
use serde::Serialize;
use soloist_config::{
    Artefact, Deployment, Difference, GivenDeployment, Manifest, TaskName, differences, widened,
};
use soloist_coordination::observer::Observer;
use soloist_core::records::RolloutRecord;
use soloist_core::rollout::draft;
use soloist_core::text::printable;

use super::Failure;
use super::deploy::obtained;
use super::operator::{OperatorOptions, block_on};
use super::output::{print, print_json, tell_on_stderr};
use super::rollout::{self, now, record, who};

/// The most characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 200;

/// Say how two generations of a task differ, or what a deployment would change: what the task may use first
///
/// TASK alone: what the wanted generation changes of the current one, or the current one of the one that is gone back to. With
/// one GENERATION: what going from the current one to it would change. With two: from the first to the second. With TASK.toml:
/// what deploying it would change of the wanted generation, or else of the current one.
///
/// With --json, one object on one line:
///
///   {"task": NAME, "from": NUMBER, "to": NUMBER, "widened": [TEXT, ...],
///    "differences": [{"key": KEY, "old": JSON, "new": JSON}, ...]}
///
/// "widened" is what the new one may more. "to" is null for what is not deployed. "old" or "new" is null where there is no such
/// key, or no such entry of a list; otherwise it is a text that holds the value as JSON.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Diff {
    /// The task, or a file that could be deployed if its name ends in .toml or .json
    #[arg(value_name = "TASK|TASK.toml|TASK.json")]
    subject: PathBuf,

    /// A generation
    #[arg(value_name = "GENERATION")]
    from: Option<u64>,

    /// Another one
    #[arg(value_name = "GENERATION")]
    to: Option<u64>,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

#[derive(Serialize)]
struct Answer<'a> {
    task: &'a str,
    from: u64,
    to: Option<u64>,
    widened: Vec<String>,
    differences: Vec<Difference>,
}

impl Diff {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        tell_on_stderr("diff").map_err(Failure::RunTime)?;
        let is_file = matches!(
            self.subject.extension().and_then(OsStr::to_str),
            Some("toml" | "json")
        );
        let file = if is_file {
            if self.from.is_some() {
                return Err(Failure::Invalid(anyhow!(
                    "GENERATION: a file is compared with what is deployed: leave the number out"
                )));
            }
            Some(read_file(&self.subject)?)
        } else {
            None
        };
        let operator = self.options.operator(matches)?;
        let (from, to) = (self.from, self.to);
        let (old, new, is_deployed) = block_on(operator.work(async |observer| match &file {
            Some((deployment, artefact)) => with_file(observer, deployment, artefact.clone()).await,
            None => between(observer, &task_of(&self.subject)?, from, to).await,
        }))?;
        let answer = Answer {
            task: &new.task.name,
            from: old.generation,
            to: is_deployed.then_some(new.generation),
            widened: widened(&old.task, &new.task)
                .iter()
                .map(ToString::to_string)
                .collect(),
            differences: differences(&old, &new),
        };
        if self.json {
            print_json(&answer)
        } else {
            print(&text(&answer))
        }
        .map(drop)
    }
}

fn task_of(subject: &Path) -> Result<TaskName, Failure> {
    let name = TaskName::new(&subject.to_string_lossy());
    name.map_err(|bad| Failure::Invalid(anyhow!("TASK: {bad}")))
}

fn read_file(file: &Path) -> Result<(Deployment, Artefact), Failure> {
    let deployment = Deployment::load(file, GivenDeployment::default())?;
    let (sha256, source) = obtained(&deployment)?;
    Ok((deployment, Artefact { sha256, source }))
}

/// What is deployed, and what the file would make of it.
async fn with_file(
    observer: &Observer,
    deployment: &Deployment,
    artefact: Artefact,
) -> Result<(Manifest, Manifest, bool), Failure> {
    let task = &*deployment.task.name;
    let record = record(observer, task).await?;
    let new = deployment.manifest(draft(Some(&record)), artefact, now(), who());
    let newest = record.wanted.or(record.current);
    let newest = newest.ok_or_else(|| nothing_to_compare(task))?;
    let (_, old) = rollout::manifest(observer, task, newest).await?;
    Ok((old, new, false))
}

/// Two generations of a task.
async fn between(
    observer: &Observer,
    task: &str,
    from: Option<u64>,
    to: Option<u64>,
) -> Result<(Manifest, Manifest, bool), Failure> {
    let record = record(observer, task).await?;
    let (from, to) = pair(&record, from, to).ok_or_else(|| nothing_to_compare(task))?;
    let read = async |number| {
        let envelope = observer.generation(task, number).await?;
        Ok::<_, Failure>(rollout::read(task, number, &envelope)?)
    };
    Ok((read(from).await?, read(to).await?, true))
}

/// Which generation is compared with which.
fn pair(record: &RolloutRecord, from: Option<u64>, to: Option<u64>) -> Option<(u64, u64)> {
    let current = record.current.map(|it| it.number);
    match (from, to) {
        (Some(from), Some(to)) => Some((from, to)),
        (Some(to), None) => Some((current?, to)),
        (None, _) => match (record.wanted, record.back) {
            (Some(wanted), _) => Some((current?, wanted.number)),
            (None, Some(back)) => Some((back.number, current?)),
            (None, None) => None,
        },
    }
}

fn nothing_to_compare(task: &str) -> Failure {
    Failure::RunTime(anyhow!(
        "there is nothing to compare: task {task} has one generation at the most. Name two, as `soloist tasks show {task}` lists them"
    ))
}

fn text(answer: &Answer<'_>) -> String {
    let to = match answer.to {
        Some(to) => format!("generation {to}"),
        None => "what would be deployed".to_owned(),
    };
    let mut text = format!(
        "task {}: from generation {} to {to}\n",
        answer.task, answer.from
    );
    if answer.differences.is_empty() {
        text.push_str("  nothing differs\n");
    }
    // Writing to a String cannot fail.
    if !answer.widened.is_empty() {
        let _ = writeln!(text, "it may more:");
        for line in &answer.widened {
            let _ = writeln!(text, "  {}", short(line));
        }
        let _ = writeln!(text, "all that differs:");
    }
    for Difference { key, old, new } in &answer.differences {
        let key = printable(key);
        if let Some(old) = old {
            let _ = writeln!(text, "- {key} = {}", short(old));
        }
        if let Some(new) = new {
            let _ = writeln!(text, "+ {key} = {}", short(new));
        }
    }
    text
}

fn short(value: &str) -> String {
    let mut characters = value.chars();
    let start: String = characters.by_ref().take(VALUE_CHARS_MAX).collect();
    let cut = if characters.next().is_some() {
        "…"
    } else {
        ""
    };
    format!("{}{cut}", printable(&start))
}

#[cfg(test)]
mod tests {
    use soloist_core::digest::Digest;
    use soloist_core::records::{Changed, Generation, Stage};
    use soloist_core::rollout::deploy;

    use super::*;

    #[test]
    fn generations_are_compared_in_the_order_in_which_they_follow() {
        let by = || Changed::new("ann", "2026-11-26T12:00:00Z");
        let generation = |number: u64| Generation {
            number,
            sha256: Digest::of(&number.to_be_bytes()),
        };
        let first = deploy(None, generation(1), None, by()).unwrap();
        assert_eq!(pair(&first, None, None), None);
        assert_eq!(pair(&first, Some(5), None), Some((1, 5)));
        assert_eq!(pair(&first, Some(5), Some(4)), Some((5, 4)));
        let mut healthy = first;
        healthy.stage = Stage::Healthy;
        let wanted = deploy(Some(&healthy), generation(2), Some(generation(1)), by()).unwrap();
        assert_eq!(pair(&wanted, None, None), Some((1, 2)));
    }
}
