//! What a host prepares, and whether it stands.

use std::fmt;
use std::time::Duration;

use super::{Settings, change};
use crate::records::{
    Changed, Generation, Readiness, ReadyRecord, RolloutRecord, Stage, StateCopy,
};

/// The generations that a host prepares and keeps prepared, the most urgent first: the current one, the wanted one, and the one
/// that is gone back to, so that a rollback does not have to wait.
pub fn prepares(record: &RolloutRecord) -> Vec<Generation> {
    record.named().collect()
}

/// How far a host has come with the generations that the record names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// With the current one.
    pub current: Readiness,
    /// With the wanted one.
    pub wanted: Readiness,
    /// With the one that is gone back to.
    pub back: Readiness,
}

/// What a host says in `ready/<host>`: how far it has come with the wanted generation, or with the current one if none is
/// wanted. None if the task is undeployed.
pub fn says(record: &RolloutRecord, prepared: &Prepared) -> Option<ReadyRecord> {
    let (generation, readiness) = match record.wanted {
        Some(wanted) => (wanted, &prepared.wanted),
        None => (record.current?, &prepared.current),
    };
    Some(ReadyRecord {
        generation: generation.number,
        readiness: readiness.clone(),
    })
}

/// What a host stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run the current generation.
    Run,
    /// To make the wanted generation the current one, because nobody runs the task. Its term runs nothing.
    Promote,
    /// To take the current generation back, because no host can run it. Its term runs nothing.
    TakeBack,
}

/// Why a host does not stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// An operator has paused the task.
    Paused,
    /// The task is undeployed.
    Undeployed,
    /// The current generation has failed, and there is none to go back to.
    Frozen,
    /// The host still prepares the current generation.
    Preparing,
    /// The host cannot run the current generation, for this reason.
    Unready(String),
    /// The current generation has failed on this host, which rests.
    Resting,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("an operator has paused the task: resume it"),
            Self::Undeployed => f.write_str("the task is undeployed"),
            Self::Frozen => f.write_str(
                "the first generation has failed, and there is none to go back to: deploy another one",
            ),
            Self::Preparing => f.write_str("this host still prepares the current generation"),
            Self::Unready(reason) => {
                write!(f, "this host cannot run the current generation: {reason}")
            }
            Self::Resting => f.write_str("the current generation has failed on this host, which rests"),
        }
    }
}

/// Whether a host stands, and what for.
///
/// `rests` says that the plugin of the current generation has failed for good on this host, and that the host's pause is not
/// over. `alone_for` is for how long, by its own clock, the host has seen no other candidate; `None` if there is one. A host that
/// cannot run the current generation takes it back only after `patience`, the `ready_timeout` of that generation: others may
/// still prepare it.
///
/// # Errors
/// Why it does not stand. A host that stands already leaves the queue.
pub fn stand(
    record: &RolloutRecord,
    prepared: &Prepared,
    rests: bool,
    alone_for: Option<Duration>,
    patience: Duration,
) -> Result<Purpose, Idle> {
    if record.paused.is_some() {
        return Err(Idle::Paused);
    }
    if record.current.is_none() {
        return Err(Idle::Undeployed);
    }
    let is_frozen = matches!(record.stage, Stage::Failed(_));
    if !is_frozen && !rests && prepared.current.is_ready() {
        return Ok(Purpose::Run);
    }
    if record.wanted.is_some() && prepared.wanted.is_ready() && alone_for.is_some() {
        return Ok(Purpose::Promote);
    }
    let has_waited = alone_for.is_some_and(|alone| alone >= patience);
    if can_take_back(record, prepared) && has_waited {
        return Ok(Purpose::TakeBack);
    }
    Err(match &prepared.current {
        _ if is_frozen => Idle::Frozen,
        Readiness::Ready => Idle::Resting,
        Readiness::Preparing => Idle::Preparing,
        Readiness::Unready { reason } => Idle::Unready(reason.clone()),
    })
}

/// What the record becomes with the election of a host that stands for `purpose`, if it copies the state in the same transaction.
/// None if there is nothing to copy, or if its leader has to see to something else first.
///
/// The copy has to be of the state as it is once the term before has been given back: nobody writes it then, until the next
/// term. `settings` are those of the current generation.
pub fn elected(
    record: &RolloutRecord,
    purpose: Purpose,
    settings: Settings,
    changed: Changed,
) -> Option<RolloutRecord> {
    // What is left of an earlier copy is in the way.
    let copies = purpose == Purpose::Run && record.copy.is_none() && needs_copy(record, settings);
    copies.then(|| change::copied(record, changed))
}

/// Whether the state is to be copied before the current generation first runs. Without a generation to go back to, nobody would
/// ask for the copy.
pub(super) fn needs_copy(record: &RolloutRecord, settings: Settings) -> bool {
    matches!(record.stage, Stage::Probation { .. })
        && record.back.is_some()
        && settings.migrates
        && record.copy != Some(StateCopy::Kept)
}

/// Whether this host knows that it cannot run the generation on probation, and can run the one before.
pub(super) fn can_take_back(record: &RolloutRecord, prepared: &Prepared) -> bool {
    matches!(record.stage, Stage::Probation { .. })
        && record.back.is_some()
        && prepared.back.is_ready()
        && matches!(prepared.current, Readiness::Unready { .. })
}
