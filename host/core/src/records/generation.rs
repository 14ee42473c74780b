//! The generations of a deployed task.

use serde::{Deserialize, Serialize};

use super::format::{Format, FormatError};
use super::{NUMBER_MAX, encode};
use crate::digest::Digest;

/// The longest node of a generation, in bytes: the manifest and its signatures, encoded.
pub const GENERATION_MAX_BYTES: usize = 256 * 1024;
/// How many signatures a generation may have.
pub const SIGNATURES_MAX: usize = 16;

const FORMAT: Format = Format {
    what: "generation of a task",
    remedy: "deploy it again, under the next number",
    version: 1,
    max_bytes: GENERATION_MAX_BYTES,
};

/// One generation of a task: its number, and what the text of its manifest is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation {
    /// Counts the manifests of the task, from 1; never used again.
    #[serde(rename = "generation")]
    pub number: u64,
    /// The SHA-256 of the manifest's text, byte for byte as it was signed.
    pub sha256: Digest,
}

impl Generation {
    /// Whether every reader of JSON can hold the number.
    pub(super) fn is_valid(self) -> bool {
        (1..=NUMBER_MAX).contains(&self.number)
    }
}

/// What the node of a generation holds: a manifest, and who signed it. It is written once and never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    version: u32,
    /// The manifest, byte for byte as it was signed.
    pub text: String,
    /// The signatures of the text, each as the tool wrote it that signed.
    #[serde(default)]
    pub signatures: Vec<String>,
}

impl Envelope {
    /// A manifest and its signatures.
    ///
    /// # Errors
    /// Together they are too long, or there are too many signatures.
    pub fn new(text: String, signatures: Vec<String>) -> Result<Self, FormatError> {
        let envelope = Self {
            version: FORMAT.version,
            text,
            signatures,
        };
        FORMAT.check_length(envelope.encode().len())?;
        envelope.checked()
    }

    /// Reads the node of a generation. Whether the signatures fit is for the caller to see.
    ///
    /// # Errors
    /// A newer operator wrote it, or nobody did.
    pub fn decode(data: &[u8]) -> Result<Self, FormatError> {
        FORMAT.decode::<Self>(data)?.checked()
    }

    /// Writes the node of a generation: [`GENERATION_MAX_BYTES`] at most.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// What the text is known by.
    pub fn sha256(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    fn checked(self) -> Result<Self, FormatError> {
        if self.signatures.len() > SIGNATURES_MAX || self.text.is_empty() {
            return Err(FORMAT.unreadable());
        }
        Ok(self)
    }
}
