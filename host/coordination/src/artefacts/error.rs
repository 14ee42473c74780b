//! Why an artefact could not be kept or read.

use std::io;

use super::pack::{BYTES_MAX, PACKED_MAX_BYTES};
use crate::error::NodeError;
use soloist_core::digest::Digest;

/// Why an artefact could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// It is too large for the ensemble.
    #[error(
        "it has {bytes} bytes, {packed} when compressed: the ensemble holds every artefact in the memory of each server, and \
         takes up to {BYTES_MAX} and {PACKED_MAX_BYTES}. Put it into a registry, and name it with --source oci://..."
    )]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
        /// How many it has when it is compressed.
        packed: usize,
    },
    /// It is not there.
    #[error("the ensemble has no artefact {0}: deploy it again")]
    Missing(Digest),
    /// What is there was not written by Soloist, or was changed.
    #[error(
        "the artefact at {path} is damaged ({reason}): delete the node with what is below it, and deploy it again"
    )]
    Damaged {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer operator wrote it.
    #[error(
        "the artefact at {path} is of version {found}, and this program knows version {known}: update it"
    )]
    Version {
        /// Where it is.
        path: String,
        /// The version that its head says.
        found: u32,
        /// The only version that this program reads and writes.
        known: u32,
    },
    /// Others write and remove it again and again.
    #[error(
        "others write and remove the artefact at {path} at the same time: try again when they are done"
    )]
    Contended {
        /// Where it is.
        path: String,
    },
    /// It could not be compressed.
    #[error("cannot compress it")]
    Compress(#[source] io::Error),
    /// A node could not be read or written.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl ArtefactError {
    pub(super) fn damaged(path: &str, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
