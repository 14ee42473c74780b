//! A task as it is deployed: the text that is signed, kept in the ensemble, and read by every host.
//!
//! It lies in no directory and on no host: the paths in it are absolute, and mean the same place on every host. Everybody
//! who reads the ensemble can read it, so it holds no secret, only the names of variables and files of the hosts that do.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use soloist_core::artefact::ArtefactSource;
use soloist_core::digest::Digest;
use soloist_core::records::Generation;
use soloist_core::schedule::Time;

use self::wire::{ManifestWire, VersionWire};
use crate::amount::{Amount, write_duration};
use crate::file::{Document, Format};
use crate::problem::{BadValue, ConfigError};
use crate::task::{TaskSettings, write_text};
use crate::validator::Validator;
use crate::written::Source;

mod difference;
mod plain;
mod wire;

pub use difference::{Difference, differences};
pub(crate) use plain::{check as check_plain, check_absolute};
pub(crate) use wire::{RolloutKeys, RolloutSettings};

/// The longest text of a manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;

/// The version of the format that is read and written.
const VERSION: u64 = 1;

/// One generation of a task: what runs, and how it comes to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Its number among those of the task, from 1. A higher one is newer.
    pub generation: u64,
    /// The generation that it follows on, and that it can be taken back to. `None` for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Generation>,
    /// The file of the plugin.
    pub artefact: Artefact,
    /// All that is set of the task.
    pub task: TaskSettings,
    /// How long the plugin has to run within one term before the generation counts as healthy.
    #[serde(serialize_with = "write_duration")]
    pub healthy_after: Duration,
    /// How long the leader waits for hosts to be ready for the generation. After that those that are have to do.
    #[serde(serialize_with = "write_duration")]
    pub ready_timeout: Duration,
    /// What becomes of the state if the generation fails and the one before comes back.
    pub on_rollback: OnRollback,
    /// Whether the plugin may change its state in a way that the generation before cannot read, so that a copy is kept.
    pub migrates: bool,
    /// When it was made, by the clock of whoever made it.
    pub at: Time,
    /// Who made it, and where.
    pub by: String,
}

/// The file of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Artefact {
    /// The SHA-256 of the file.
    pub sha256: Digest,
    /// Where to fetch it.
    #[serde(serialize_with = "write_text")]
    pub source: ArtefactSource,
}

/// What becomes of a task's state when a generation is taken back because it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRollback {
    /// It is what it was before the generation first ran.
    #[default]
    Restore,
    /// It stays as the generation left it.
    Keep,
}

impl Manifest {
    /// Reads and validates the text of a manifest. `path` is what stands for its place in messages.
    ///
    /// # Errors
    /// Every bad value at once with its place and remedy, unless the text is too long or cannot be read as a manifest in the
    /// first place.
    pub fn read(path: &Path, text: &[u8]) -> Result<Self, ConfigError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ConfigError::ManifestTooLarge {
                path: path.to_owned(),
                found: text.len(),
                max: MANIFEST_BYTES_MAX,
            });
        }
        let document = Document::new(path.to_owned(), Format::Json, text.to_vec())?;
        // A later version may have other keys, and that they are unknown is not what is wrong.
        let VersionWire { manifest } = document.parse("")?;
        Validator::run(Some(&document), |validator| {
            validator.required(
                "manifest",
                manifest.as_ref(),
                &Source::Document(0..0),
                "write \"manifest\": 1, the version of the format",
                |version| match version {
                    Amount::Number(VERSION) => Ok(()),
                    other => Err(BadValue::ManifestVersion {
                        text: other.excerpt(),
                        known: VERSION,
                    }),
                },
            )
        })?;
        let wire: ManifestWire = document.parse("")?;
        Validator::run(Some(&document), |validator| wire.validate(validator))
    }

    /// The text that is signed: the same for the same manifest, with every default. It is judged as what is read is.
    ///
    /// # Errors
    /// Every bad value at once, like a path that is not absolute.
    pub fn text(&self) -> Result<String, ConfigError> {
        #[derive(Serialize)]
        struct Versioned<'a> {
            manifest: u64,
            #[serde(flatten)]
            manifest_keys: &'a Manifest,
        }
        let versioned = Versioned {
            manifest: VERSION,
            manifest_keys: self,
        };
        let path = Path::new("the manifest");
        let mut text = serde_json::to_string_pretty(&versioned)
            .map_err(|source| ConfigError::Unwritable { source })?;
        text.push('\n');
        Self::read(path, text.as_bytes())?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
