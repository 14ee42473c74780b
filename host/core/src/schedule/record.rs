//! What is kept of a schedule from term to term.

use serde::{Deserialize, Serialize};

use super::horizon::HORIZON;
use super::rule::{Rule, Slots};
use super::time::Time;

/// A record longer than this is not ours.
pub const RECORD_MAX_BYTES: usize = 2 * 1024;
/// The version of the format. A host reads no other: what it does not know it must not write over.
const VERSION: u32 = 1;

/// What is kept of a schedule. Every slot up to `after` has been claimed or missed, and will never be claimed as a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub(super) version: u32,
    /// The rule that the slots come from, in words.
    pub(super) rule: String,
    /// Up to where it has been decided.
    pub(super) after: Time,
    /// The slot that was claimed last, if any was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<Claim>,
    /// How many slots were missed since then, at least.
    #[serde(default)]
    pub(super) missed: u32,
}

/// A slot, claimed in a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The slot.
    pub at: Time,
    /// How often it has been claimed: more than once if it was not completed before.
    pub attempt: u32,
    /// The fencing token of the term.
    pub token: u64,
    /// How many slots were missed between the one before and this one, at least.
    #[serde(default)]
    pub missed: u32,
    /// Whether it has been completed.
    #[serde(default)]
    pub(super) done: bool,
}

impl Claim {
    /// Whether it has been completed.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No host wrote it so.
    #[error("it is no record of a schedule: delete the node, and the schedule begins anew")]
    Unreadable,
    /// A host of another version wrote it.
    #[error(
        "it has version {0}, and this host knows version {VERSION}: update this host, or delete the node, and the \
         schedule begins anew"
    )]
    Version(u32),
}

impl Record {
    /// The record of a schedule whose first slot is the first one after `after`.
    pub(super) fn new(rule: String, after: Time) -> Self {
        Self {
            version: VERSION,
            rule,
            after,
            slot: None,
            missed: 0,
        }
    }

    /// The slot that was claimed last, unless it has been completed.
    pub fn uncompleted(&self) -> Option<Claim> {
        self.slot.filter(|slot| !slot.done)
    }

    /// The rule that the slots come from, in words.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Up to where it has been decided.
    pub fn after(&self) -> Time {
        self.after
    }

    /// The slot that was claimed last, if any was.
    pub fn slot(&self) -> Option<Claim> {
        self.slot
    }

    /// How many slots were missed since that one, at least.
    pub fn missed(&self) -> u32 {
        self.missed
    }

    /// The first slots after `time`, so many at most, and none that is years away. A jitter, which the record does not tell, makes them
    /// due later. None if the rule cannot be understood: anybody may have written the record.
    pub fn slots_after(&self, time: Time, count: usize) -> Option<Vec<Time>> {
        let slots = Slots::read(&Rule::read(&self.rule)?).ok()?;
        let end = time + HORIZON;
        let next = |time: &Time| slots.next_within(*time, end);
        let all = std::iter::successors(next(&time), next);
        Some(all.take(count).collect())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Somebody else wrote it.
    pub fn decode(data: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if data.len() > RECORD_MAX_BYTES {
            return Err(RecordError::Unreadable);
        }
        let read: Option<Version> = serde_json::from_slice(data).ok();
        match read.ok_or(RecordError::Unreadable)?.version {
            VERSION => serde_json::from_slice(data).map_err(|_| RecordError::Unreadable),
            version => Err(RecordError::Version(version)),
        }
    }

    /// Writes a record.
    ///
    /// # Panics
    /// Never: a record is plain text and numbers.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record is plain text and numbers")
    }
}
