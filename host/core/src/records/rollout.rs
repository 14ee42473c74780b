//! The record of a task's rollout: which generation terms run, and which one is wanted.
//!
//! Hosts and operators of different builds write this record over each other's. So each keeps the fields that it does not
//! know, as they are. A field or a value that nobody may pass over makes another version of the format. Whoever does not know
//! that version neither goes by the record nor writes over it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::{Format, FormatError};
use super::{Generation, NUMBER_MAX, RECORD_MAX_BYTES, clean, encode};

const FORMAT: Format = Format {
    what: "record of a rollout",
    remedy: "delete the node, and deploy the task again",
    version: 1,
    max_bytes: RECORD_MAX_BYTES,
};

/// Which generation of a task terms run, which one is wanted, and how far the rollout has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    pub(crate) version: u32,
    /// The highest number that any generation of the task has had. It is not used again.
    pub newest: u64,
    /// The generation that terms run. None if the task is undeployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Generation>,
    /// What is known of the current generation.
    pub stage: Stage,
    /// The generation that is gone back to if the current one is taken back. None if it was taken back already, or if there
    /// was none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Generation>,
    /// The generation that hosts prepare, and that becomes the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Generation>,
    /// The copy of the state as it was before the current generation first ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<StateCopy>,
    /// The state has to be restored from the copy before the plugin is activated again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restore: bool,
    /// Nobody runs the task until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Who changed the record last, when and why.
    pub changed: Changed,
    /// What hosts and operators of another build have written besides.
    #[serde(flatten)]
    pub(crate) other: BTreeMap<String, Value>,
}

/// What is known of the current generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It has to show that it is healthy.
    Probation {
        /// How many terms have ended before it had shown that, because the plugin resigned or its host could not run it.
        #[serde(default)]
        inconclusive: u32,
    },
    /// It has been healthy.
    Healthy,
    /// It was healthy before, and runs again, because a later one was taken back.
    RolledBack(Failure),
    /// It has failed, and there is none to go back to. Nobody runs it.
    Failed(Failure),
    /// There is none: the task is undeployed.
    Undeployed,
}

/// Why a generation was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The generation that was taken back.
    pub from: Generation,
    /// The name of a [`Cause`](crate::cause::Cause), or of one that rollouts have besides.
    pub cause: String,
    /// What went wrong, or the operator's reason, for people to read.
    pub detail: String,
}

impl Failure {
    /// Why `from` was taken back. The texts are made printable, and cut to a bounded length.
    pub fn new(from: Generation, cause: &str, detail: &str) -> Self {
        Self {
            from,
            cause: clean(cause),
            detail: clean(detail),
        }
    }
}

/// The copy of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateCopy {
    /// It is whole, and may be needed.
    Kept,
    /// Nobody needs it any more: what is left of it is deleted.
    Stale,
}

/// An operator's order that nobody runs the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// The operator's reason, for people to read.
    #[serde(default)]
    pub reason: String,
}

impl Paused {
    /// The order. The reason is made printable, and cut to a bounded length.
    pub fn new(reason: &str) -> Self {
        Self {
            reason: clean(reason),
        }
    }
}

/// Who changed a record, when and why: for people to read, no rule goes by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// A host, or an operator as `who@where`.
    pub by: String,
    /// RFC 3339, UTC, by the clock of whoever changed it.
    pub at: String,
    /// Why, if an operator gave a reason for which the record has no other place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Changed {
    /// A change by `by`, at a time that [`timestamp`](super::timestamp) gives.
    pub fn new(by: &str, at: &str) -> Self {
        Self {
            by: clean(by),
            at: clean(at),
            reason: None,
        }
    }

    /// The same change with a reason, which is made printable, and cut to a bounded length.
    #[must_use]
    pub fn because(self, reason: Option<&str>) -> Self {
        let reason = reason.map(clean).filter(|reason| !reason.is_empty());
        Self { reason, ..self }
    }
}

impl RolloutRecord {
    /// The record of a task of which nothing has been deployed so far.
    pub fn before_the_first(changed: Changed) -> Self {
        Self {
            version: FORMAT.version,
            newest: 0,
            current: None,
            stage: Stage::Undeployed,
            back: None,
            wanted: None,
            copy: None,
            restore: false,
            paused: None,
            changed,
            other: BTreeMap::new(),
        }
    }

    /// Reads the record.
    ///
    /// # Errors
    /// A newer host or operator wrote it, or nobody did. Neither may be written over.
    pub fn decode(data: &[u8]) -> Result<Self, FormatError> {
        let record: Self = FORMAT.decode(data)?;
        if !record.is_consistent() {
            return Err(FORMAT.unreadable());
        }
        Ok(record.cleaned())
    }

    /// Writes the record.
    ///
    /// # Errors
    /// It is too long: somebody has written much into it that is not ours.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let written = encode(self);
        FORMAT.check_length(written.len()).map(|()| written)
    }

    /// Whether the current generation has ever been healthy.
    pub fn is_proven(&self) -> bool {
        matches!(self.stage, Stage::Healthy | Stage::RolledBack(_))
    }

    /// The generation that one deployed now would replace: the one that is gone back to if the new one fails.
    pub fn replaced_next(&self) -> Option<Generation> {
        if self.is_proven() {
            self.current
        } else {
            self.back
        }
    }

    /// The generations that the record names.
    pub fn named(&self) -> impl Iterator<Item = Generation> {
        [self.current, self.wanted, self.back].into_iter().flatten()
    }

    fn is_consistent(&self) -> bool {
        let deployed = self.stage != Stage::Undeployed;
        let bounded = |it: Generation| it.is_valid() && it.number <= self.newest;
        deployed == self.current.is_some()
            && (deployed || self.wanted.is_none() && self.back.is_none())
            && self.newest <= NUMBER_MAX
            && self.named().all(bounded)
            && (!self.restore || self.copy == Some(StateCopy::Kept))
    }

    /// Anybody may have written the texts.
    fn cleaned(mut self) -> Self {
        self.changed = Changed::new(&self.changed.by, &self.changed.at)
            .because(self.changed.reason.as_deref());
        if let Stage::RolledBack(failure) | Stage::Failed(failure) = &mut self.stage {
            *failure = Failure::new(failure.from, &failure.cause, &failure.detail);
        }
        if let Some(paused) = &mut self.paused {
            *paused = Paused::new(&paused.reason);
        }
        self
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands in a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
