//! A task as it is deployed: the text that is signed, kept in the ensemble, and read by every host.
//!
//! It lies in no directory and on no host: the paths in it are absolute, and mean the same place on every host. Everybody
//! who reads the ensemble can read it, so it holds no secret, only the names of variables and files of the hosts that do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use soloist_core::artefact::ArtefactSource;
use soloist_core::digest::Digest;
use soloist_core::records::NUMBER_MAX;
use soloist_core::schedule::Time;
use soloist_core::text::is_printable;

use crate::amount::{Amount, write_duration};
use crate::file::{Document, Format};
use crate::problem::{BadValue, ConfigError, Excerpt};
use crate::shape;
use crate::task::{TaskSettings, TaskWire, digest, write_text};
use crate::validator::{Reported, Validator};
use crate::written::{Source, Written};

mod plain;

/// The longest text of a manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;

/// The version of the format that is read and written.
const VERSION: u64 = 1;
/// The longest name of who deployed, in bytes.
const BY_BYTES_MAX: usize = 256;
const HEALTHY_AFTER_DEFAULT: Duration = Duration::from_mins(1);
const READY_TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);

/// One generation of a task: what runs, and how it comes to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Its number among those of the task, from 1. A higher one is newer.
    pub generation: u64,
    /// The generation that it follows on, and that it can be taken back to. `None` for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
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

/// The generation that another one follows on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// Its number.
    pub generation: u64,
    /// The SHA-256 of its manifest's text.
    #[serde(serialize_with = "write_text")]
    pub sha256: Digest,
}

/// The file of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Artefact {
    /// The SHA-256 of the file.
    #[serde(serialize_with = "write_text")]
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

/// A task that somebody is about to deploy, as it is written in a file or in flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskToDeploy {
    /// All that is set of it.
    pub settings: TaskSettings,
    /// The file of its plugin on this machine, if one is named.
    pub plugin: Option<PathBuf>,
    /// What the SHA-256 of the plugin's file must be, if it is said.
    pub sha256: Option<Digest>,
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

    /// Validates a task that is to be deployed. `document` is the one that the task was read from, if it was.
    ///
    /// # Errors
    /// Every bad value at once, those among them that no manifest can have.
    ///
    /// # Panics
    /// If the task was read from a document, and none is given.
    pub fn task_to_deploy(
        task: &Written<TaskWire>,
        document: Option<&Document>,
    ) -> Result<TaskToDeploy, ConfigError> {
        Validator::run(document, |validator| {
            let wire = &task.value;
            let settings = wire.validate_settings(&task.source, validator);
            plain::check(wire, validator);
            let plugin = wire.plugin.as_ref();
            let sha256 =
                validator.optional("task.sha256", wire.sha256.as_ref(), |text| digest(text));
            Ok(TaskToDeploy {
                settings: settings?,
                plugin: plugin.map(|plugin| validator.beside_file(plugin)),
                sha256: sha256?,
            })
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VersionWire {
    manifest: Option<Written<Amount>>,
}

/// A manifest as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ManifestWire {
    #[serde(rename = "manifest")]
    _version: Option<Written<Amount>>,
    generation: Option<Written<Amount>>,
    #[serde(deserialize_with = "shape::some_table")]
    replaces: Option<Written<ReplacedWire>>,
    #[serde(deserialize_with = "shape::some_table")]
    artefact: Option<Written<ArtefactWire>>,
    #[serde(deserialize_with = "shape::some_table")]
    task: Option<Written<TaskWire>>,
    healthy_after: Option<Written<String>>,
    ready_timeout: Option<Written<String>>,
    on_rollback: Option<Written<String>>,
    migrates: Option<Written<bool>>,
    at: Option<Written<String>>,
    by: Option<Written<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReplacedWire {
    generation: Option<Written<Amount>>,
    sha256: Option<Written<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ArtefactWire {
    sha256: Option<Written<String>>,
    source: Option<Written<String>>,
}

impl ManifestWire {
    fn validate(&self, validator: &mut Validator<'_>) -> Result<Manifest, Reported> {
        let start = Source::Document(0..0);
        let generation = number(
            "generation",
            self.generation.as_ref(),
            &start,
            NUMBER_MAX,
            validator,
        );
        let replaces = self.replaces.as_ref().map(|replaces| {
            // The number of a generation that cannot be read says nothing about the one that it replaces.
            let before = generation.as_ref().map_or(NUMBER_MAX, |number| number - 1);
            replaces.value.validate(&replaces.source, before, validator)
        });
        let artefact = match &self.artefact {
            Some(artefact) => artefact.value.validate(&artefact.source, validator),
            None => Err(missing(
                "artefact",
                "write { \"sha256\": \"...\", \"source\": \"ensemble:\" }",
                validator,
            )),
        };
        let task = match &self.task {
            Some(task) => {
                plain::refuse_plugin(&task.value, validator);
                plain::check(&task.value, validator);
                task.value.validate_settings(&task.source, validator)
            }
            None => Err(missing(
                "task",
                "write the keys of a [[task]] in it, \"name\" at least",
                validator,
            )),
        };
        let healthy_after = validator.duration(
            "healthy_after",
            self.healthy_after.as_ref(),
            HEALTHY_AFTER_DEFAULT,
        );
        let ready_timeout = validator.duration(
            "ready_timeout",
            self.ready_timeout.as_ref(),
            READY_TIMEOUT_DEFAULT,
        );
        let on_rollback = validator.optional("on_rollback", self.on_rollback.as_ref(), |text| {
            on_rollback(text)
        });
        let at = validator.required(
            "at",
            self.at.as_ref(),
            &start,
            "write when the manifest was made, like \"2026-11-26T21:00:00Z\"",
            |text| time(text),
        );
        let by = validator.required(
            "by",
            self.by.as_ref(),
            &start,
            "write who made the manifest, like \"ops@build-1\"",
            |text| by(text),
        );
        Ok(Manifest {
            generation: generation?,
            replaces: replaces.transpose()?,
            artefact: artefact?,
            task: task?,
            healthy_after: healthy_after?,
            ready_timeout: ready_timeout?,
            on_rollback: on_rollback?.unwrap_or_default(),
            migrates: self.migrates.as_ref().is_none_or(|migrates| migrates.value),
            at: at?,
            by: by?,
        })
    }
}

fn missing(key: &str, remedy: &'static str, validator: &mut Validator<'_>) -> Reported {
    validator.report(key, &Source::Document(0..0), BadValue::Missing { remedy })
}

fn number(
    key: &str,
    written: Option<&Written<Amount>>,
    table: &Source,
    max: u64,
    validator: &mut Validator<'_>,
) -> Result<u64, Reported> {
    let remedy = "write the number of the generation, from 1";
    validator.required(key, written, table, remedy, |number| number.count(1..=max))
}

impl ReplacedWire {
    /// `max` is the highest generation that can be replaced.
    fn validate(
        &self,
        table: &Source,
        max: u64,
        validator: &mut Validator<'_>,
    ) -> Result<Replaced, Reported> {
        if max == 0 {
            let bad = BadValue::NotInManifest {
                remedy: "the first generation replaces none: leave the key out",
            };
            return Err(validator.report("replaces", table, bad));
        }
        let generation = number(
            "replaces.generation",
            self.generation.as_ref(),
            table,
            max,
            validator,
        );
        let sha256 = validator.required(
            "replaces.sha256",
            self.sha256.as_ref(),
            table,
            "write the SHA-256 of the text of the manifest that is replaced",
            |text| digest(text),
        );
        Ok(Replaced {
            generation: generation?,
            sha256: sha256?,
        })
    }
}

impl ArtefactWire {
    fn validate(
        &self,
        table: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<Artefact, Reported> {
        let sha256 = validator.required(
            "artefact.sha256",
            self.sha256.as_ref(),
            table,
            "write the SHA-256 of the plugin's file, as `soloist check` and `sha256sum` print it",
            |text| digest(text),
        );
        let source = validator.required(
            "artefact.source",
            self.source.as_ref(),
            table,
            "write where to fetch the plugin's file, like \"ensemble:\"",
            |text| ArtefactSource::new(text).map_err(|source| BadValue::Artefact { source }),
        );
        Ok(Artefact {
            sha256: sha256?,
            source: source?,
        })
    }
}

fn on_rollback(text: &str) -> Result<OnRollback, BadValue> {
    match text {
        "restore" => Ok(OnRollback::Restore),
        "keep" => Ok(OnRollback::Keep),
        _ => Err(BadValue::choice(text, "\"restore\" or \"keep\"")),
    }
}

fn time(text: &str) -> Result<Time, BadValue> {
    let time = humantime::parse_rfc3339(text).map_err(|_| BadValue::Time {
        text: Excerpt::of(text),
    })?;
    Ok(time.into())
}

fn by(text: &str) -> Result<String, BadValue> {
    let rule = match text {
        "" => "is empty",
        text if text.len() > BY_BYTES_MAX => "has more than 256 bytes",
        text if !text.chars().all(is_printable) => "has a character that is not printable",
        text => return Ok(text.to_owned()),
    };
    Err(BadValue::By {
        text: Excerpt::of(text),
        rule,
    })
}

#[cfg(test)]
mod tests;
