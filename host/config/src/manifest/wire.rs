//! A manifest as it is written, and its rules.

use std::time::Duration;

use serde::Deserialize;
use soloist_core::artefact::ArtefactSource;
use soloist_core::records::{Generation, NUMBER_MAX};
use soloist_core::schedule::Time;
use soloist_core::text::is_printable;

use super::{Artefact, Manifest, OnRollback, plain};
use crate::amount::Amount;
use crate::problem::{BadValue, Excerpt};
use crate::shape;
use crate::task::{TaskWire, digest};
use crate::validator::{Reported, Validator};
use crate::written::{Source, Written};

/// The longest name of who deployed, in bytes.
const BY_BYTES_MAX: usize = 256;
const HEALTHY_AFTER_DEFAULT: Duration = Duration::from_mins(1);
const READY_TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionWire {
    pub(super) manifest: Option<Written<Amount>>,
}

/// A manifest as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ManifestWire {
    #[serde(rename = "manifest")]
    _version: Option<Written<Amount>>,
    generation: Option<Written<Amount>>,
    #[serde(deserialize_with = "shape::some_table")]
    replaces: Option<Written<ReplacedWire>>,
    #[serde(deserialize_with = "shape::some_table")]
    artefact: Option<Written<ArtefactWire>>,
    #[serde(deserialize_with = "shape::some_table")]
    task: Option<Written<TaskWire>>,
    #[serde(deserialize_with = "shape::duration")]
    healthy_after: Option<Written<String>>,
    #[serde(deserialize_with = "shape::duration")]
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

/// What is written of the rollout, wherever.
pub(crate) struct RolloutKeys<'a> {
    pub(crate) healthy_after: Option<&'a Written<String>>,
    pub(crate) ready_timeout: Option<&'a Written<String>>,
    pub(crate) on_rollback: Option<&'a Written<String>>,
    pub(crate) migrates: Option<&'a Written<bool>>,
}

/// What a manifest says of its rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RolloutSettings {
    pub(crate) healthy_after: Duration,
    pub(crate) ready_timeout: Duration,
    pub(crate) on_rollback: OnRollback,
    pub(crate) migrates: bool,
}

impl RolloutKeys<'_> {
    pub(crate) fn validate(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<RolloutSettings, Reported> {
        let healthy_after =
            validator.duration("healthy_after", self.healthy_after, HEALTHY_AFTER_DEFAULT);
        let ready_timeout =
            validator.duration("ready_timeout", self.ready_timeout, READY_TIMEOUT_DEFAULT);
        let on_rollback =
            validator.optional("on_rollback", self.on_rollback, |text| on_rollback(text));
        Ok(RolloutSettings {
            healthy_after: healthy_after?,
            ready_timeout: ready_timeout?,
            on_rollback: on_rollback?.unwrap_or_default(),
            migrates: self.migrates.is_none_or(|migrates| migrates.value),
        })
    }
}

impl ManifestWire {
    pub(super) fn validate(&self, validator: &mut Validator<'_>) -> Result<Manifest, Reported> {
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
        let rollout = RolloutKeys {
            healthy_after: self.healthy_after.as_ref(),
            ready_timeout: self.ready_timeout.as_ref(),
            on_rollback: self.on_rollback.as_ref(),
            migrates: self.migrates.as_ref(),
        };
        let rollout = rollout.validate(validator);
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
        let rollout = rollout?;
        Ok(Manifest {
            generation: generation?,
            replaces: replaces.transpose()?,
            artefact: artefact?,
            task: task?,
            healthy_after: rollout.healthy_after,
            ready_timeout: rollout.ready_timeout,
            on_rollback: rollout.on_rollback,
            migrates: rollout.migrates,
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
    ) -> Result<Generation, Reported> {
        if max == 0 {
            let bad = BadValue::NotInManifest {
                remedy: "the first generation replaces none: leave the key out",
            };
            return Err(validator.report("replaces", table, bad));
        }
        let number = number(
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
        Ok(Generation {
            number: number?,
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
