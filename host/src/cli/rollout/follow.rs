//! What becomes of a generation: followed until it runs, is healthy, or is taken back.

use std::time::Duration;

use anyhow::anyhow;
use soloist_config::BadValue;
use soloist_coordination::observer::Observer;
use soloist_coordination::observer::rollout::{HostReadiness, Seen};
use soloist_core::records::{Failure as TakenBack, Generation, Readiness, Stage};
use tokio::time::{Instant, sleep, timeout};

use super::super::Failure;
use super::super::operator::Operator;

/// How often hosts are asked how far they are, besides whenever the record changes.
const LOOK: Duration = Duration::from_millis(500);
/// How many hosts that are not ready are named.
const HOSTS_NAMED_MAX: usize = 5;

/// What a command waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) enum WaitFor {
    /// A leader runs the generation.
    #[default]
    Runs,
    /// The generation has shown that it is healthy.
    Healthy,
}

/// Reads what to wait for.
pub(in crate::cli) fn wait_for(text: &str) -> Result<WaitFor, BadValue> {
    match text {
        "runs" => Ok(WaitFor::Runs),
        "healthy" => Ok(WaitFor::Healthy),
        _ => Err(BadValue::choice(text, "\"runs\" or \"healthy\"")),
    }
}

/// How a generation fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Fate {
    /// What was waited for has come.
    Done(String),
    /// It will not come.
    Never(String),
    /// It may still come.
    Pending(String),
}

/// Follows a generation of a task, and tells of every change, until what is waited for has come.
pub(in crate::cli) async fn follow(
    operator: &Operator,
    observer: &mut Observer,
    (task, generation): (&str, Generation),
    (wait, within): (WaitFor, Duration),
    mut tell: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Seen, Failure> {
    let deadline = Instant::now() + within;
    let mut told = String::new();
    loop {
        let look = async {
            let changes = observer.watch_rollout(task).await?;
            Ok((changes, observer.seen(task).await?))
        };
        let look: Result<_, soloist_coordination::observer::ObserverError> = look.await;
        let changes = match look {
            Ok((changes, seen)) => {
                match fate(&seen, generation, wait) {
                    Fate::Done(line) => {
                        tell(&line)?;
                        return Ok(seen);
                    }
                    Fate::Never(why) => return Err(Failure::RunTime(anyhow!("{why}"))),
                    Fate::Pending(line) if line != told => {
                        tell(&line)?;
                        told = line;
                    }
                    Fate::Pending(_) => {}
                }
                Some(changes)
            }
            Err(_) if observer.is_lost() => {
                *observer = operator.connect().await?;
                continue;
            }
            Err(error) if error.may_pass() => None,
            Err(error) => return Err(error.into()),
        };
        if Instant::now() >= deadline {
            return Err(Failure::Unfinished(anyhow!(
                "not within {within:?}: {told}. The rollout goes on: `soloist tasks show {task}` tells how it stands"
            )));
        }
        match changes {
            Some(changes) => drop(timeout(LOOK, changes.fired()).await),
            None => sleep(LOOK).await,
        }
    }
}

/// How a generation fares, by what is seen of its task.
pub(in crate::cli) fn fate(seen: &Seen, generation: Generation, wait: WaitFor) -> Fate {
    let number = generation.number;
    let Some(record) = seen.record.as_ref().map(|it| &it.record) else {
        return Fate::Never(
            "the record of the rollout is gone: somebody has deleted it".to_owned(),
        );
    };
    if let Stage::RolledBack(failure) | Stage::Failed(failure) = &record.stage
        && failure.from == generation
    {
        return Fate::Never(taken_back(&record.stage, failure));
    }
    let is_current = record.current == Some(generation);
    if !is_current && record.wanted != Some(generation) {
        let (by, at) = (&record.changed.by, &record.changed.at);
        let now = record.wanted.or(record.current);
        let now = now.map_or_else(
            || "the task is undeployed".to_owned(),
            |now| format!("generation {} is wanted now", now.number),
        );
        return Fate::Never(format!(
            "generation {number} has been given up: {now} ({by}, at {at})"
        ));
    }
    if let Some(paused) = &record.paused {
        let reason = match &*paused.reason {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        return Fate::Never(format!(
            "generation {number} is deployed, but the task is paused{reason}: nobody runs it until `soloist resume`"
        ));
    }
    if !is_current {
        let (ready, all) = seen.ready(number);
        let waiting = unready(&seen.hosts, number);
        return Fate::Pending(format!(
            "generation {number} is wanted: {ready} of {all} hosts are ready{waiting}"
        ));
    }
    let running = seen.running.as_ref();
    let running = running.filter(|running| running.generation == Some(number));
    let by = running.map(|it| format!("{} runs generation {number} in term {}", it.host, it.term));
    match (&record.stage, by, wait) {
        (Stage::Probation { .. }, Some(by), WaitFor::Runs) => {
            Fate::Done(format!("{by}, on probation"))
        }
        (Stage::Probation { .. }, Some(by), WaitFor::Healthy) => {
            Fate::Pending(format!("{by}, on probation"))
        }
        (Stage::Probation { .. }, None, _) | (_, None, WaitFor::Runs) => {
            if record.stage == Stage::Healthy {
                return Fate::Done(format!(
                    "generation {number} is healthy, and nobody runs it now"
                ));
            }
            let (ready, all) = seen.ready(number);
            let waiting = unready(&seen.hosts, number);
            Fate::Pending(format!(
                "generation {number} is the current one, and nobody runs it yet: {ready} of {all} hosts are ready{waiting}"
            ))
        }
        (_, Some(by), _) => Fate::Done(format!("{by}; it is healthy")),
        (_, None, WaitFor::Healthy) => Fate::Done(format!("generation {number} is healthy")),
    }
}

fn taken_back(stage: &Stage, failure: &TakenBack) -> String {
    let TakenBack {
        from,
        cause,
        detail,
    } = failure;
    let number = from.number;
    match stage {
        Stage::Failed(_) => format!(
            "generation {number} has failed ({cause}): {detail}. There is none to go back to, and nobody runs the task"
        ),
        _ => format!("generation {number} was taken back ({cause}): {detail}"),
    }
}

/// The hosts that are not ready for a generation, and why not.
fn unready(hosts: &[HostReadiness], generation: u64) -> String {
    let all = hosts
        .iter()
        .filter(|host| host.generation == Some(generation));
    let unready: Vec<_> = all
        .filter_map(|host| match &host.readiness {
            Some(Readiness::Unready { reason }) => Some(format!("{}: {reason}", host.host)),
            Some(Readiness::Preparing) => Some(format!("{}: preparing", host.host)),
            Some(Readiness::Ready) | None => None,
        })
        .collect();
    if unready.is_empty() {
        return String::new();
    }
    let more = unready.len().saturating_sub(HOSTS_NAMED_MAX);
    let mut named: Vec<_> = unready.into_iter().take(HOSTS_NAMED_MAX).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    format!("; {}", named.join("; "))
}

#[cfg(test)]
mod tests {
    use soloist_coordination::observer::rollout::{Running, Versioned};
    use soloist_core::digest::Digest;
    use soloist_core::records::{Changed, RolloutRecord};
    use soloist_core::rollout::{OnRollback, deploy, pause, rollback, undeploy};

    use super::*;

    fn generation(number: u64) -> Generation {
        let sha256 = Digest::of(&number.to_be_bytes());
        Generation { number, sha256 }
    }

    fn by() -> Changed {
        Changed::new("ann@build", "2026-11-26T12:00:00.000Z")
    }

    fn seen(record: RolloutRecord, runs: Option<u64>) -> Seen {
        let host = |host: &str, generation, readiness| HostReadiness {
            host: host.to_owned(),
            generation: Some(generation),
            readiness: Some(readiness),
        };
        Seen {
            record: Some(Versioned { record, version: 3 }),
            hosts: vec![
                host("a", 2, Readiness::Ready),
                host("b", 2, Readiness::unready("no artefact")),
                host("c", 2, Readiness::Preparing),
            ],
            running: runs.map(|generation| Running {
                host: "a".to_owned(),
                term: 9,
                generation: Some(generation),
                since: String::new(),
            }),
        }
    }

    fn first() -> RolloutRecord {
        deploy(None, generation(1), None, by()).unwrap()
    }

    fn healthy() -> RolloutRecord {
        let mut record = first();
        record.stage = Stage::Healthy;
        record
    }

    fn wanted() -> RolloutRecord {
        deploy(Some(&healthy()), generation(2), Some(generation(1)), by()).unwrap()
    }

    #[test]
    fn a_generation_is_waited_for_until_it_runs_or_is_healthy() {
        let fate = |record, runs, number, wait| fate(&seen(record, runs), generation(number), wait);
        assert_eq!(
            fate(wanted(), Some(1), 2, WaitFor::Runs),
            Fate::Pending(
                "generation 2 is wanted: 1 of 3 hosts are ready; b: no artefact; c: preparing"
                    .into()
            )
        );
        let runs = "a runs generation 1 in term 9, on probation".to_owned();
        assert_eq!(
            fate(first(), Some(1), 1, WaitFor::Runs),
            Fate::Done(runs.clone())
        );
        assert_eq!(
            fate(first(), Some(1), 1, WaitFor::Healthy),
            Fate::Pending(runs)
        );
        assert!(matches!(
            fate(first(), None, 1, WaitFor::Runs),
            Fate::Pending(_)
        ));
        // A term of the generation before is no term of this one.
        assert!(matches!(
            fate(first(), Some(7), 1, WaitFor::Runs),
            Fate::Pending(_)
        ));
        assert!(matches!(
            fate(healthy(), Some(1), 1, WaitFor::Healthy),
            Fate::Done(_)
        ));
        assert!(matches!(
            fate(healthy(), None, 1, WaitFor::Runs),
            Fate::Done(_)
        ));
    }

    #[test]
    fn what_will_not_come_is_not_waited_for() {
        let never = |record: RolloutRecord, number| match fate(
            &seen(record, Some(1)),
            generation(number),
            WaitFor::Runs,
        ) {
            Fate::Never(why) => why,
            other => panic!("{other:?}"),
        };
        let paused = pause(Some(&wanted()), "a look", by()).unwrap();
        assert!(never(paused, 2).contains("paused (a look)"));
        let (back, _) = rollback(Some(&wanted()), OnRollback::Keep, "", by()).unwrap();
        let told = never(back, 2);
        assert!(
            told.contains("generation 1 is wanted now (ann@build, at 2026"),
            "{told}"
        );
        let gone = undeploy(Some(&wanted()), by()).unwrap();
        assert!(never(gone, 2).contains("undeployed"));
        let mut other = wanted();
        other.current = other.wanted.take();
        other.back = Some(generation(1));
        other.stage = Stage::Probation { inconclusive: 0 };
        let (back, _) = rollback(Some(&other), OnRollback::Keep, "odd", by()).unwrap();
        assert_eq!(
            never(back.clone(), 2),
            "generation 2 was taken back (operator): odd"
        );
        // The one that runs again is waited for.
        let again = fate(&seen(back, Some(1)), generation(1), WaitFor::Runs);
        assert!(matches!(again, Fate::Done(_)), "{again:?}");
        let nothing = Seen {
            record: None,
            ..seen(wanted(), None)
        };
        assert!(matches!(
            fate(&nothing, generation(2), WaitFor::Runs),
            Fate::Never(_)
        ));
        let same_number = Generation {
            sha256: Digest::of(b"another"),
            ..generation(2)
        };
        let other = fate(&seen(wanted(), None), same_number, WaitFor::Runs);
        assert!(matches!(other, Fate::Never(_)), "{other:?}");
    }
}
