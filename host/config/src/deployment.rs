//! What somebody is about to deploy: a file with one task, or a plugin and flags.

use std::path::Path;

use serde::Deserialize;
use soloist_core::artefact::ArtefactSource;
use soloist_core::digest::Digest;
use soloist_core::rollout::Draft;
use soloist_core::schedule::Time;

use crate::file::Document;
use crate::host;
use crate::manifest::{Artefact, Manifest, RolloutKeys, RolloutSettings, check_plain};
use crate::problem::{BadValue, ConfigError};
use crate::shape;
use crate::task::{PluginSource, TaskSettings, TaskWire, digest};
use crate::validator::{Reported, Validator};
use crate::written::{Source, Written};

/// What somebody is about to deploy, validated: a manifest without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// All that is set of the task.
    pub task: TaskSettings,
    /// Where the operator finds its plugin.
    pub plugin: PluginSource,
    /// What the SHA-256 of the plugin's file must be, if it is said.
    pub sha256: Option<Digest>,
    rollout: RolloutSettings,
}

/// What flags and environment say of a deployment.
#[derive(Clone, Debug, Default)]
pub struct GivenDeployment {
    /// The task, where a plugin is deployed without a file.
    pub task: TaskWire,
    /// See [`Manifest::healthy_after`].
    pub healthy_after: Option<Written<String>>,
    /// See [`Manifest::ready_timeout`].
    pub ready_timeout: Option<Written<String>>,
    /// See [`Manifest::on_rollback`].
    pub on_rollback: Option<Written<String>>,
    /// See [`Manifest::migrates`].
    pub migrates: Option<Written<bool>>,
}

/// The keys of hosts that no file to deploy has.
const HOST_KEYS: [&str; 8] = [
    "host_id",
    "nat64",
    "listen",
    "listen_token_file",
    "listen_open",
    "zookeeper",
    "deploy",
    "placement",
];

/// A file with one task, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileWire {
    #[serde(deserialize_with = "shape::duration")]
    healthy_after: Option<Written<String>>,
    #[serde(deserialize_with = "shape::duration")]
    ready_timeout: Option<Written<String>>,
    on_rollback: Option<Written<String>>,
    migrates: Option<Written<bool>>,
    #[serde(deserialize_with = "host::tasks")]
    task: Vec<Written<TaskWire>>,
}

impl Deployment {
    /// Puts together what flags and environment say with `subject`: a file with one task, if its name ends in `.toml` or
    /// `.json`, and a plugin otherwise.
    ///
    /// # Errors
    /// Every bad value at once, those among them that no manifest can have; unless the file cannot be read in the first place.
    pub fn load(subject: &Path, given: GivenDeployment) -> Result<Self, ConfigError> {
        let document = host::document(subject)?;
        Self::read(subject, document.as_ref(), given)
    }

    fn read(
        subject: &Path,
        document: Option<&Document>,
        given: GivenDeployment,
    ) -> Result<Self, ConfigError> {
        let Some(document) = document else {
            let file = FileWire {
                task: vec![given.task.clone().of_plugin(subject)],
                ..FileWire::default()
            };
            return Validator::run(None, |validator| given.over(file).validate(validator));
        };
        let file: FileWire = document
            .parse("")
            .map_err(|error| error.in_other_words(of_hosts))?;
        Validator::run(Some(document), |validator| {
            host::refuse_task_settings(document.path(), &given.task, validator);
            given.over(file).validate(validator)
        })
    }

    /// The manifest of the next generation.
    pub fn manifest(&self, draft: Draft, artefact: Artefact, at: Time, by: String) -> Manifest {
        Manifest {
            generation: draft.number,
            replaces: draft.replaces,
            artefact,
            task: self.task.clone(),
            healthy_after: self.rollout.healthy_after,
            ready_timeout: self.rollout.ready_timeout,
            on_rollback: self.rollout.on_rollback,
            migrates: self.rollout.migrates,
            at,
            by,
        }
    }

    /// Where hosts fetch the plugin if nothing else is said: from where the operator does, if it is no file of the operator's
    /// machine and no tag.
    pub fn source(&self) -> Option<&ArtefactSource> {
        match &self.plugin {
            PluginSource::Artefact(source) => Some(source),
            PluginSource::Path(_) | PluginSource::Tag(_) => None,
        }
    }
}

impl GivenDeployment {
    /// What is given where something is, else what the file says; the task is that of the file.
    fn over(self, file: FileWire) -> FileWire {
        FileWire {
            healthy_after: self.healthy_after.or(file.healthy_after),
            ready_timeout: self.ready_timeout.or(file.ready_timeout),
            on_rollback: self.on_rollback.or(file.on_rollback),
            migrates: self.migrates.or(file.migrates),
            task: file.task,
        }
    }
}

impl FileWire {
    fn validate(&self, validator: &mut Validator<'_>) -> Result<Deployment, Reported> {
        let rollout = RolloutKeys {
            healthy_after: self.healthy_after.as_ref(),
            ready_timeout: self.ready_timeout.as_ref(),
            on_rollback: self.on_rollback.as_ref(),
            migrates: self.migrates.as_ref(),
        };
        let rollout = rollout.validate(validator);
        let Written {
            value: task,
            source,
        } = self.only_task(validator)?;
        let settings = task.validate_settings(source, validator);
        check_plain(task, validator);
        let plugin = task.validate_plugin(source, validator);
        let sha256 = validator.optional("task.sha256", task.sha256.as_ref(), |text| digest(text));
        Ok(Deployment {
            task: settings?,
            plugin: plugin?,
            sha256: sha256?,
            rollout: rollout?,
        })
    }

    fn only_task(&self, validator: &mut Validator<'_>) -> Result<&Written<TaskWire>, Reported> {
        let Some(first) = self.task.first() else {
            let remedy = "describe the task to deploy, in one [[task]] with a name and a plugin";
            let start = Source::Document(0..0);
            return Err(validator.report("task", &start, BadValue::Missing { remedy }));
        };
        if let Some(second) = self.task.get(1) {
            let bad = BadValue::TasksToDeploy {
                found: self.task.len(),
            };
            return Err(validator.report("task", &second.source, bad));
        }
        Ok(first)
    }
}

/// What is to be done about a key that belongs to hosts.
fn of_hosts(message: &str) -> Option<String> {
    let key = message.strip_prefix("unknown field `")?.split('`').next()?;
    HOST_KEYS.contains(&key).then(|| {
        "belongs to the configuration of hosts. What is deployed is one [[task]], with `healthy_after`, `ready_timeout`, \
             `on_rollback` and `migrates` above it: write that into a file of its own, and name the one with [zookeeper] by \
             --config-file"
            .to_owned()
    })
}

#[cfg(test)]
mod tests;
