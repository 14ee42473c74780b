//! What an operator makes of a record.

use super::{OnRollback, change};
use crate::records::{Changed, Generation, NUMBER_MAX, Paused, RolloutRecord, Stage, StateCopy};

/// How many generations of a task are kept, besides those that the record names.
pub const GENERATIONS_KEPT: usize = 10;

/// Why an operator's order is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Somebody else has changed the record since it was read.
    #[error("{by} has changed the rollout meanwhile, at {at}: look at it, and try again")]
    Changed {
        /// Who.
        by: String,
        /// When, by that one's clock.
        at: String,
    },
    /// The number was used before.
    #[error("generation {number} is no newer than {newest}: deploy the next number, {next}", next = newest + 1)]
    Old {
        /// The number.
        number: u64,
        /// The highest number so far.
        newest: u64,
    },
    /// The number is higher than any that can be followed.
    #[error("generation {number} is too high: deploy the next number, {next}")]
    High {
        /// The number.
        number: u64,
        /// The number to use.
        next: u64,
    },
    /// The manifest replaces another generation than the one that would be gone back to.
    #[error(
        "the manifest says that it replaces {}, but if it failed, {} would run again: make the manifest anew, and sign that",
        shown(*.says), shown(*.replaces)
    )]
    Replaces {
        /// What the manifest says.
        says: Option<Generation>,
        /// What it has to say.
        replaces: Option<Generation>,
    },
    /// Nothing is deployed.
    #[error("the task is not deployed: deploy it first")]
    NotDeployed,
    /// The current generation was gone back to.
    #[error(
        "generation {from} has been taken back already, and {current} runs, with no other to go back to: to run an older one, \
         make a new generation of it with `rollback --to`"
    )]
    TakenBack {
        /// The generation that was taken back.
        from: u64,
        /// The generation that runs.
        current: u64,
    },
    /// The current generation has nothing before it.
    #[error(
        "there is no generation before {current}: deploy a mended one, pause the task, or undeploy it"
    )]
    First {
        /// The current generation.
        current: u64,
    },
    /// The task is paused already.
    #[error("the task is paused already: {reason}")]
    Paused {
        /// The reason given then.
        reason: String,
    },
    /// The task is not paused.
    #[error("the task is not paused")]
    NotPaused,
    /// The task is deployed, and what it keeps is not purged then.
    #[error("generation {current} of the task is deployed: undeploy the task first")]
    Deployed {
        /// The generation that runs.
        current: u64,
    },
}

impl Refused {
    /// The refusal of an order whose record was changed before it was written. `now` is the record that is there.
    pub fn changed(now: &RolloutRecord) -> Self {
        Self::Changed {
            by: now.changed.by.clone(),
            at: now.changed.at.clone(),
        }
    }
}

fn shown(generation: Option<Generation>) -> String {
    generation.map_or_else(
        || "none".to_owned(),
        |it| format!("generation {} ({})", it.number, it.sha256),
    )
}

/// What the next manifest has to say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its number.
    pub number: u64,
    /// The generation that it replaces: the one that runs again if it fails. It need not be the one deployed before it, which
    /// may still be on probation.
    pub replaces: Option<Generation>,
}

/// What the next manifest has to say of itself, by the record as it is now.
pub fn draft(record: Option<&RolloutRecord>) -> Draft {
    Draft {
        number: record.map_or(0, |record| record.newest).saturating_add(1),
        replaces: record.and_then(RolloutRecord::replaced_next),
    }
}

/// Deploys a generation. Hosts prepare it while the present one runs on. If none has run so far, it is the current one at once.
///
/// A generation that was wanted and is not the current one yet is never run. One that is on probation stays so until the new one
/// takes its place. The new one goes back to the last one that was healthy.
///
/// # Errors
/// The number was used before, or the manifest replaces another generation.
pub fn deploy(
    record: Option<&RolloutRecord>,
    generation: Generation,
    replaces: Option<Generation>,
    changed: Changed,
) -> Result<RolloutRecord, Refused> {
    let next = draft(record);
    let number = generation.number;
    if number < next.number {
        let newest = next.number - 1;
        return Err(Refused::Old { number, newest });
    }
    if number > NUMBER_MAX {
        let next = next.number;
        return Err(Refused::High { number, next });
    }
    if replaces != next.replaces {
        return Err(Refused::Replaces {
            says: replaces,
            replaces: next.replaces,
        });
    }
    let first = RolloutRecord::before_the_first(changed.clone());
    let record = RolloutRecord {
        newest: number,
        wanted: Some(generation),
        changed: changed.clone(),
        ..record.unwrap_or(&first).clone()
    };
    let is_first = record.stage == Stage::Undeployed;
    Ok(if is_first {
        change::promote(&record, changed)
    } else {
        record
    })
}

/// What a rollback has taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The wanted generation, which has not run.
    Wanted(Generation),
    /// The current generation.
    Current {
        /// The generation that was taken back.
        from: Generation,
        /// The generation that runs again.
        to: Generation,
        /// Whether the state becomes what it was before. Otherwise it stays as the one that is taken back has left it.
        restore: bool,
    },
}

/// Takes the newest generation back: the wanted one, if there is one, or else the current one. `on_rollback` is what the
/// manifest of the current generation says.
///
/// # Errors
/// There is nothing to take back, or to go back to.
pub fn rollback(
    record: Option<&RolloutRecord>,
    on_rollback: OnRollback,
    reason: &str,
    changed: Changed,
) -> Result<(RolloutRecord, Undone), Refused> {
    let (record, from) = deployed(record)?;
    if let Some(wanted) = record.wanted {
        let record = RolloutRecord {
            wanted: None,
            changed: changed.because(Some(reason)),
            ..record.clone()
        };
        return Ok((record, Undone::Wanted(wanted)));
    }
    let Some(to) = record.back else {
        return Err(match &record.stage {
            Stage::RolledBack(failure) => Refused::TakenBack {
                from: failure.from.number,
                current: from.number,
            },
            _ => Refused::First {
                current: from.number,
            },
        });
    };
    let record = change::take_back(record, on_rollback, ("operator", reason), changed);
    let restore = record.restore;
    Ok((record, Undone::Current { from, to, restore }))
}

/// Pauses a task: nobody runs it until it is resumed. Hosts go on to prepare what is wanted.
///
/// # Errors
/// The task is not deployed, or paused already.
pub fn pause(
    record: Option<&RolloutRecord>,
    reason: &str,
    changed: Changed,
) -> Result<RolloutRecord, Refused> {
    let (record, _) = deployed(record)?;
    if let Some(paused) = &record.paused {
        return Err(Refused::Paused {
            reason: paused.reason.clone(),
        });
    }
    Ok(RolloutRecord {
        paused: Some(Paused::new(reason)),
        changed,
        ..record.clone()
    })
}

/// Resumes a task that was paused.
///
/// # Errors
/// The task is not deployed, or not paused.
pub fn resume(record: Option<&RolloutRecord>, changed: Changed) -> Result<RolloutRecord, Refused> {
    let (record, _) = deployed(record)?;
    if record.paused.is_none() {
        return Err(Refused::NotPaused);
    }
    Ok(RolloutRecord {
        paused: None,
        changed,
        ..record.clone()
    })
}

/// Undeploys a task: nobody runs it, and nothing of it can be gone back to. The record stays, because the numbers of the
/// generations must not come again. So does the state.
///
/// # Errors
/// The task is not deployed.
pub fn undeploy(
    record: Option<&RolloutRecord>,
    changed: Changed,
) -> Result<RolloutRecord, Refused> {
    let (record, _) = deployed(record)?;
    // A leader may have restored half of the state. Whoever leads next does it all.
    let copy = if record.restore {
        record.copy
    } else {
        record.copy.map(|_| StateCopy::Stale)
    };
    Ok(RolloutRecord {
        current: None,
        stage: Stage::Undeployed,
        back: None,
        wanted: None,
        copy,
        paused: None,
        changed,
        ..record.clone()
    })
}

/// Gives up the copy of the state of a task that is undeployed, before the state and the copy are deleted: nobody restores it
/// any more.
///
/// # Errors
/// The task is deployed, or never was.
pub fn purge(record: Option<&RolloutRecord>, changed: Changed) -> Result<RolloutRecord, Refused> {
    let record = record.ok_or(Refused::NotDeployed)?;
    if let Some(current) = record.current {
        let current = current.number;
        return Err(Refused::Deployed { current });
    }
    Ok(RolloutRecord {
        copy: record.copy.map(|_| StateCopy::Stale),
        restore: false,
        changed,
        ..record.clone()
    })
}

/// Notes that the state and its copy have been deleted.
///
/// # Errors
/// The task is deployed again, or its record is gone.
pub fn purged(record: Option<&RolloutRecord>, changed: Changed) -> Result<RolloutRecord, Refused> {
    Ok(change::dropped(&purge(record, changed.clone())?, changed))
}

/// Which of the generations that are there nobody needs any more, by their numbers.
pub fn expendable(record: &RolloutRecord, there: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut there: Vec<u64> = there.into_iter().collect();
    there.sort_unstable_by(|one, other| other.cmp(one));
    let is_named = |number: &u64| record.named().any(|it| it.number == *number);
    let old = there.into_iter().skip(GENERATIONS_KEPT);
    old.filter(|number| !is_named(number)).collect()
}

fn deployed(record: Option<&RolloutRecord>) -> Result<(&RolloutRecord, Generation), Refused> {
    let deployed = record.and_then(|record| Some((record, record.current?)));
    deployed.ok_or(Refused::NotDeployed)
}
