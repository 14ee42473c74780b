//! What a host says about a generation that it prepares.

use serde::{Deserialize, Serialize};

use super::{clean, decode};

/// How far a host has come with a generation: the record of `ready/<host>`, which goes with the host's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyRecord {
    /// The number of the generation: the one that is wanted, or else the one that terms run.
    pub generation: u64,
    /// How far the host has come.
    #[serde(flatten)]
    pub readiness: Readiness,
}

/// How far a host has come with a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Readiness {
    /// It fetches, verifies or compiles.
    #[default]
    Preparing,
    /// It can run the generation at once.
    Ready,
    /// It cannot run the generation. It tries again.
    Unready {
        /// Why not, for people to read.
        reason: String,
    },
}

impl Readiness {
    /// The readiness of a host that cannot run the generation. The reason is made printable, and cut to a bounded length.
    pub fn unready(reason: &str) -> Self {
        Self::Unready {
            reason: clean(reason),
        }
    }

    /// Whether the host can run the generation at once.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

impl ReadyRecord {
    /// Reads what a host says. None if no host wrote it so: then nothing is known of that host's readiness.
    pub fn read(data: &[u8]) -> Option<Self> {
        let mut record: Self = decode(data)?;
        if let Readiness::Unready { reason } = &record.readiness {
            record.readiness = Readiness::unready(reason);
        }
        Some(record)
    }

    /// How far the host has come with this generation, as far as it says.
    pub fn of(&self, generation: u64) -> Option<&Readiness> {
        (self.generation == generation).then_some(&self.readiness)
    }
}
