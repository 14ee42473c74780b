//! Which generations of a task a host has accepted, so that nobody makes it run an old one again: a signature is good for
//! ever, but a generation is not. The rule is pure; the host keeps the record on its own disk.

mod store;

pub use store::{AcceptedStore, StoreError};

use serde::{Deserialize, Serialize};
use soloist_core::digest::Digest;
use soloist_core::records::{Generation, NUMBER_MAX};

/// The longest record that is read, in bytes.
pub const ACCEPTED_BYTES_MAX: usize = 4096;

const VERSION: u32 = 1;

/// The highest generation of a task that a host has accepted; or one that it is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    version: u32,
    /// The task that the manifest is of.
    pub task: String,
    /// Its number.
    pub generation: u64,
    /// The SHA-256 of the manifest's text.
    pub sha256: Digest,
    /// The generation that the manifest says it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Generation>,
}

/// What follows when a host takes a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is higher than all before: the host keeps its record on disk before it does anything else with it.
    Newer,
    /// The record stays: it is the same generation, or the one that the newest replaced and that it is taken back to.
    Known,
}

/// A host does not take a generation, though it is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Replayed {
    /// The manifest is of another task.
    #[error("the manifest is of the task {found:?}, and was put where that of {task:?} belongs")]
    OtherTask {
        /// The task that it was offered for.
        task: String,
        /// The task that it names.
        found: String,
    },
    /// The manifest has another number.
    #[error("the manifest is generation {found}, and was put where generation {number} belongs")]
    OtherNumber {
        /// The number that it was offered as.
        number: u64,
        /// The number that it has.
        found: u64,
    },
    /// Two manifests have the same number.
    #[error(
        "another manifest was accepted as generation {generation} before (its SHA-256 is {accepted}): deploy under the next number"
    )]
    SameNumber {
        /// The number.
        generation: u64,
        /// The text that was accepted.
        accepted: Digest,
    },
    /// It is older than what was accepted, and not what that replaced.
    #[error(
        "generation {generation} is old: this host has accepted generation {accepted}, which does not go back to it; to run \
         what it had again, deploy that as a new generation"
    )]
    Old {
        /// What was offered.
        generation: u64,
        /// The highest that was accepted.
        accepted: u64,
    },
}

/// The record on disk cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// It is no record.
    #[error(
        "is no record of what this host has accepted: restore it; if you are sure that nobody offers this host old manifests, \
         delete it"
    )]
    Unreadable,
    /// A newer host wrote it.
    #[error("is of version {found}, and this host knows version {VERSION}: update this host")]
    Version {
        /// The version that it says.
        found: u32,
    },
    /// It was written for another task.
    #[error("is of another task: put it back where it was")]
    OtherTask,
}

impl Accepted {
    /// A generation of a task.
    pub fn new(task: &str, generation: Generation, replaces: Option<Generation>) -> Self {
        Self {
            version: VERSION,
            task: task.to_owned(),
            generation: generation.number,
            sha256: generation.sha256,
            replaces,
        }
    }

    /// Judges a signed manifest that was found as generation `number` of `task`. `self` is what the manifest says of itself,
    /// and `before` the record of the task on this host's disk, if there is one.
    ///
    /// # Errors
    /// [`Replayed`]: it is another one, or an old one.
    pub fn judge(
        &self,
        task: &str,
        number: u64,
        before: Option<&Self>,
    ) -> Result<Verdict, Replayed> {
        if self.task != task {
            return Err(Replayed::OtherTask {
                task: task.to_owned(),
                found: self.task.clone(),
            });
        }
        if self.generation != number {
            return Err(Replayed::OtherNumber {
                number,
                found: self.generation,
            });
        }
        let Some(before) = before else {
            return Ok(Verdict::Newer);
        };
        if self.generation > before.generation {
            return Ok(Verdict::Newer);
        }
        let offered = Generation {
            number: self.generation,
            sha256: self.sha256,
        };
        match (self.generation == before.generation, before.replaces) {
            (true, _) if self.sha256 == before.sha256 => Ok(Verdict::Known),
            (true, _) => Err(Replayed::SameNumber {
                generation: number,
                accepted: before.sha256,
            }),
            (false, Some(replaced)) if replaced == offered => Ok(Verdict::Known),
            (false, _) => Err(Replayed::Old {
                generation: number,
                accepted: before.generation,
            }),
        }
    }

    /// Reads the record of a task from the host's disk.
    ///
    /// # Errors
    /// [`BadRecord`]: a host that cannot read it accepts nothing, since anything could be old.
    pub fn decode(task: &str, data: &[u8]) -> Result<Self, BadRecord> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if data.len() > ACCEPTED_BYTES_MAX {
            return Err(BadRecord::Unreadable);
        }
        let read: Result<Version, _> = serde_json::from_slice(data);
        let found = read.map_err(|_| BadRecord::Unreadable)?.version;
        if found != VERSION {
            return Err(BadRecord::Version { found });
        }
        let record: Self = serde_json::from_slice(data).map_err(|_| BadRecord::Unreadable)?;
        let replaced = record.replaces.map_or(0, |replaced| replaced.number);
        if replaced >= record.generation || record.generation > NUMBER_MAX {
            return Err(BadRecord::Unreadable);
        }
        if record.task != task {
            return Err(BadRecord::OtherTask);
        }
        Ok(record)
    }

    /// Writes the record.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(number: u64, content: &str) -> Generation {
        Generation {
            number,
            sha256: Digest::of(content.as_bytes()),
        }
    }

    fn of(number: u64, content: &str, replaces: Option<Generation>) -> Accepted {
        Accepted::new("report", generation(number, content), replaces)
    }

    fn told(judged: Result<Verdict, Replayed>) -> String {
        judged.unwrap_err().to_string()
    }

    #[test]
    fn a_host_goes_forward_and_back_to_what_the_newest_replaced_and_nowhere_else() {
        let (five, six) = (generation(5, "5"), generation(6, "6"));
        let seven = of(7, "7", Some(six));
        assert_eq!(seven.judge("report", 7, None), Ok(Verdict::Newer));
        let before = Some(&seven);
        let judge = |offered: &Accepted| offered.judge("report", offered.generation, before);
        assert_eq!(judge(&of(8, "8", Some(six))), Ok(Verdict::Newer));
        assert_eq!(judge(&of(900, "900", None)), Ok(Verdict::Newer));
        assert_eq!(judge(&seven), Ok(Verdict::Known));
        assert_eq!(judge(&of(6, "6", Some(five))), Ok(Verdict::Known));
        assert!(
            told(judge(&of(7, "other", Some(six))))
                .contains("another manifest was accepted as generation 7")
        );
        assert!(told(judge(&of(6, "other", Some(five)))).contains("generation 6 is old"));
        assert!(
            told(judge(&of(5, "5", None)))
                .contains("has accepted generation 7, which does not go back")
        );
        let first = of(7, "7", None);
        let judged = of(6, "6", None).judge("report", 6, Some(&first));
        assert!(told(judged).contains("generation 6 is old"));
    }

    #[test]
    fn a_manifest_counts_only_where_it_belongs() {
        let offered = of(7, "7", None);
        assert!(told(offered.judge("cleanup", 7, None)).contains("of the task \"report\""));
        assert!(told(offered.judge("report", 8, None)).contains("is generation 7"));
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_bad_one_accepts_nothing() {
        let record = of(7, "7", Some(generation(6, "6")));
        assert_eq!(
            Accepted::decode("report", &record.encode()),
            Ok(record.clone())
        );
        assert_eq!(
            Accepted::decode("cleanup", &record.encode()),
            Err(BadRecord::OtherTask)
        );
        let text = String::from_utf8(record.encode()).unwrap();
        let bad = |text: &str| Accepted::decode("report", text.as_bytes()).unwrap_err();
        assert_eq!(bad(""), BadRecord::Unreadable);
        assert_eq!(bad(&text[..text.len() - 1]), BadRecord::Unreadable);
        assert_eq!(
            bad(&text.replace("\"version\":1", "\"version\":2")),
            BadRecord::Version { found: 2 }
        );
        assert_eq!(
            bad(&text.replace("\"generation\":6", "\"generation\":7")),
            BadRecord::Unreadable
        );
        assert_eq!(
            bad(&text.replace("\"task\"", "\"tusk\"")),
            BadRecord::Unreadable
        );
        assert_eq!(
            bad(&format!("{text}{}", " ".repeat(ACCEPTED_BYTES_MAX))),
            BadRecord::Unreadable
        );
    }
}
