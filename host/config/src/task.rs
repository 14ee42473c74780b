//! One task: `[[task]]`, or a document of its own. What only the whole of a host knows is no concern of it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use soloist_core::digest::Digest;
use soloist_core::grants::Grants;
use soloist_core::limits::Limits;
use soloist_core::placement::TaskPlacement;
use soloist_core::restart::{OnComplete, RestartPolicy};

use crate::amount::write_duration;
use crate::file::Document;
use crate::grants::{self, GrantsWire};
use crate::limits::{self, LimitsWire};
use crate::node;
use crate::placement::{self, PlacementWire};
use crate::problem::{BadValue, ConfigError, Excerpt};
use crate::restart::{self, RestartWire};
use crate::shape;
use crate::validator::{Reported, Validator, every};
use crate::written::{Source, Written};

mod plugin;

pub use self::plugin::PluginSource;

const DEMOTE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
const CONFIG_ENTRIES_MAX: usize = 256;
const CONFIG_VALUE_BYTES_MAX: usize = 64 * 1024;

/// One task of a host: its settings, and where this host finds its plugin. It is written, with all its defaults, as a
/// document that [`TaskConfig::read`] reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskConfig {
    /// Where its plugin is.
    pub plugin: PluginSource,
    /// What the SHA-256 of the plugin's file must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// All else. It is read as if it were the task's own.
    #[serde(flatten)]
    pub settings: TaskSettings,
}

/// What is set of a task, wherever its plugin is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskSettings {
    /// Its name.
    #[serde(serialize_with = "write_text")]
    pub name: TaskName,
    /// Its master node, below the chroot (not below the root), when it is not the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the plugin can read of its configuration.
    pub config: BTreeMap<String, String>,
    /// What the plugin may use.
    #[serde(rename = "allow", serialize_with = "grants::write")]
    pub grants: Grants,
    /// How much the plugin may have and do.
    #[serde(serialize_with = "limits::write")]
    pub limits: Limits,
    /// How long `on_demoted` may take before the plugin is stopped by force.
    #[serde(serialize_with = "write_duration")]
    pub demote_timeout: Duration,
    /// How long this host waits before it leads when the leader before did not say that it had stopped: time for what
    /// was already on its way to arrive. Zero unless set.
    #[serde(
        skip_serializing_if = "Duration::is_zero",
        serialize_with = "write_duration"
    )]
    pub successor_delay: Duration,
    /// What follows when `on_elected` returns.
    #[serde(serialize_with = "write_on_complete")]
    pub on_complete: OnComplete,
    /// What follows when the plugin fails.
    #[serde(serialize_with = "restart::write")]
    pub restart: RestartPolicy,
    /// Where it is led best.
    #[serde(
        skip_serializing_if = "placement::is_default",
        serialize_with = "placement::write"
    )]
    pub placement: TaskPlacement,
}

impl Deref for TaskConfig {
    type Target = TaskSettings;

    fn deref(&self) -> &TaskSettings {
        &self.settings
    }
}

impl DerefMut for TaskConfig {
    fn deref_mut(&mut self) -> &mut TaskSettings {
        &mut self.settings
    }
}

/// Writes what is shown of a value.
pub(crate) fn write_text<S: Serializer>(
    value: &impl fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference to the field"
)]
fn write_on_complete<S: Serializer>(
    on_complete: &OnComplete,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match on_complete {
        OnComplete::Hold => "hold",
        OnComplete::Resign => "resign",
        OnComplete::Restart => "restart",
    })
}

impl TaskConfig {
    /// Validates a task by itself. `document` is the one that the task was read from, if it was.
    ///
    /// A host that runs the task adds its own NAT64 prefixes to the grants, and checks what it alone knows: that no other
    /// task has the name or the path, and that the lease leaves the task time to act.
    ///
    /// # Errors
    /// Every bad value at once, each with its place and remedy.
    ///
    /// # Panics
    /// If the task was read from a document, and none is given.
    pub fn validate(
        task: &Written<TaskWire>,
        document: Option<&Document>,
    ) -> Result<Self, ConfigError> {
        Validator::run(document, |validator| {
            task.value.validate(&task.source, validator)
        })
    }

    /// Reads and validates a document that is one task and nothing else; see [`TaskConfig::validate`].
    ///
    /// # Errors
    /// Every bad value at once, unless the document cannot be read as a task in the first place.
    pub fn read(document: &Document) -> Result<Self, ConfigError> {
        Self::validate(&document.parse("task")?, Some(document))
    }
}

/// What can be set of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table with a name and a plugin"
)]
pub struct TaskWire {
    /// See [`TaskSettings::name`].
    pub name: Option<Written<String>>,
    /// See [`TaskConfig::plugin`].
    pub plugin: Option<Written<PathBuf>>,
    /// See [`TaskConfig::sha256`].
    pub sha256: Option<Written<String>>,
    /// See [`TaskSettings::path`].
    pub path: Option<Written<String>>,
    /// See [`TaskSettings::config`].
    #[serde(deserialize_with = "shape::table")]
    pub config: BTreeMap<String, Written<String>>,
    /// See [`TaskSettings::grants`].
    #[serde(deserialize_with = "shape::table")]
    pub allow: GrantsWire,
    /// See [`TaskSettings::limits`].
    #[serde(deserialize_with = "shape::table")]
    pub limits: LimitsWire,
    /// See [`TaskSettings::demote_timeout`].
    #[serde(deserialize_with = "shape::duration")]
    pub demote_timeout: Option<Written<String>>,
    /// See [`TaskSettings::successor_delay`].
    #[serde(deserialize_with = "shape::duration")]
    pub successor_delay: Option<Written<String>>,
    /// See [`TaskSettings::on_complete`].
    pub on_complete: Option<Written<String>>,
    /// See [`TaskSettings::restart`].
    #[serde(deserialize_with = "shape::table")]
    pub restart: RestartWire,
    /// See [`TaskSettings::placement`].
    #[serde(deserialize_with = "shape::table")]
    pub placement: PlacementWire,
}

impl TaskWire {
    /// What is written of it, among what flags and the environment can say: each key, and the place it comes from. Of the
    /// grants and of the limits it is the first that is written.
    pub(crate) fn given(&self) -> Vec<(&'static str, &Source)> {
        let all = [
            ("name", self.name.as_ref().map(Written::source)),
            ("sha256", self.sha256.as_ref().map(Written::source)),
            ("path", self.path.as_ref().map(Written::source)),
            ("config", self.config.values().next().map(Written::source)),
            (
                "demote_timeout",
                self.demote_timeout.as_ref().map(Written::source),
            ),
            (
                "successor_delay",
                self.successor_delay.as_ref().map(Written::source),
            ),
            (
                "on_complete",
                self.on_complete.as_ref().map(Written::source),
            ),
        ];
        all.into_iter()
            .filter_map(|(key, source)| Some((key, source?)))
            .chain(self.allow.first())
            .chain(self.limits.first())
            .collect()
    }

    /// The task that a plugin of the command line is run as. It is named after the plugin unless it has a name.
    pub(crate) fn of_plugin(mut self, plugin: &Path) -> Written<Self> {
        self.name = self.name.or_else(|| {
            // Why it cannot be read is told of the plugin itself.
            let name = PluginSource::read(plugin).map_or_else(|_| "plugin".into(), |it| it.stem());
            Some(Written::flag(
                name,
                "PLUGIN, after which the task is named unless --task names it",
            ))
        });
        self.plugin = Some(Written::flag(plugin.to_owned(), "PLUGIN"));
        Written::flag(self, "PLUGIN")
    }

    /// Validates the task; `source` is the place of its table.
    pub(crate) fn validate(
        &self,
        source: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<TaskConfig, Reported> {
        let settings = self.validate_settings(source, validator);
        let plugin = self.validate_plugin(source, validator);
        let sha256 = validator.optional("task.sha256", self.sha256.as_ref(), |text| digest(text));
        Ok(TaskConfig {
            plugin: plugin?,
            sha256: sha256?,
            settings: settings?,
        })
    }

    /// Validates where the plugin is; `source` is the place of the task's table.
    pub(crate) fn validate_plugin(
        &self,
        source: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<PluginSource, Reported> {
        let path = self
            .plugin
            .as_ref()
            .map(|plugin| validator.beside_file(plugin))
            .unwrap_or_default();
        let sha256 = self.sha256.is_some();
        validator.required(
            "task.plugin",
            self.plugin.as_ref(),
            source,
            "name the file that holds the plugin, or where to fetch it",
            |written| match PluginSource::read(written)? {
                PluginSource::Path(_) => Ok(PluginSource::Path(path)),
                plugin if plugin.needs_digest() && !sha256 => Err(BadValue::NoDigest),
                plugin => Ok(plugin),
            },
        )
    }

    /// Validates all but the plugin; `source` is the place of the task's table.
    pub(crate) fn validate_settings(
        &self,
        source: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<TaskSettings, Reported> {
        let name = validator.required(
            "task.name",
            self.name.as_ref(),
            source,
            "give the task a name",
            |text| TaskName::new(text),
        );
        let path = validator.optional("task.path", self.path.as_ref(), |text| node::path(text));
        let config = self.plugin_config(source, validator);
        let grants = self.allow.validate(source, validator);
        let limits = self.limits.validate("task.limits", validator);
        let demote_timeout = validator.duration(
            "task.demote_timeout",
            self.demote_timeout.as_ref(),
            DEMOTE_TIMEOUT_DEFAULT,
        );
        let successor_delay = validator.duration(
            "task.successor_delay",
            self.successor_delay.as_ref(),
            Duration::ZERO,
        );
        let on_complete =
            validator.optional("task.on_complete", self.on_complete.as_ref(), |text| {
                on_complete(text)
            });
        let restart = self.restart.validate(validator);
        let placement = self.placement.validate(validator);
        Ok(TaskSettings {
            name: name?,
            path: path?,
            config: config?,
            grants: grants?,
            limits: limits?,
            demote_timeout: demote_timeout?,
            successor_delay: successor_delay?,
            on_complete: on_complete?.unwrap_or_default(),
            restart: restart?,
            placement: placement?,
        })
    }

    fn plugin_config(
        &self,
        task: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<BTreeMap<String, String>, Reported> {
        if self.config.len() > CONFIG_ENTRIES_MAX {
            let bad = BadValue::TooMany {
                what: "entries",
                found: self.config.len(),
                max: CONFIG_ENTRIES_MAX,
            };
            return Err(validator.report("task.config", task, bad));
        }
        every(self.config.iter().map(|(key, written)| {
            validator.checked(&format!("task.config.{key}"), written, |value| {
                node::name(key)?;
                if value.len() > CONFIG_VALUE_BYTES_MAX {
                    return Err(BadValue::TooMany {
                        what: "bytes",
                        found: value.len(),
                        max: CONFIG_VALUE_BYTES_MAX,
                    });
                }
                Ok((key.clone(), value.clone()))
            })
        }))
    }
}

/// Reads a SHA-256.
pub(crate) fn digest(text: &str) -> Result<Digest, BadValue> {
    Digest::parse(text).ok_or_else(|| BadValue::Digest {
        text: Excerpt::of(text),
    })
}

fn on_complete(text: &str) -> Result<OnComplete, BadValue> {
    match text {
        "hold" => Ok(OnComplete::Hold),
        "resign" => Ok(OnComplete::Resign),
        "restart" => Ok(OnComplete::Restart),
        _ => Err(BadValue::choice(
            text,
            "\"hold\", \"resign\" or \"restart\"",
        )),
    }
}

/// The name of a task: one component of a node path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskName(Arc<str>);

impl TaskName {
    /// Validates a name.
    ///
    /// # Errors
    /// [`BadValue::Name`] when it could not be a component of a node path, or would confuse whoever reads it.
    pub fn new(text: &str) -> Result<Self, BadValue> {
        node::name(text).map(Self)
    }
}

impl Deref for TaskName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<TaskName> for Arc<str> {
    fn from(name: TaskName) -> Self {
        name.0
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests;
