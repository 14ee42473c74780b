//! What was written, before anybody has judged it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::allow::AllowSettings;
use super::limits::{Amount, LimitSettings};
use super::problem::{ConfigError, Place};
use super::shape;
use soloist_core::secret::Secret;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The command line; the name in `--help`.
    Flag(String),
    /// The environment; the variable.
    Variable(String),
    /// The file; its bytes there.
    File(Range<usize>),
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// As it was written.
    pub(super) value: T,
    /// Where.
    pub(super) source: Source,
}

impl<T> Written<T> {
    /// On the command line, for a flag or argument of this name.
    pub fn flag(value: T, name: impl Into<String>) -> Self {
        Self {
            value,
            source: Source::Flag(name.into()),
        }
    }

    /// In the environment, in this variable.
    pub fn variable(value: T, name: impl Into<String>) -> Self {
        Self {
            value,
            source: Source::Variable(name.into()),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            source: Source::File(spanned.span()),
            value: spanned.into_inner(),
        })
    }
}

/// What flags and environment say.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// See [`Config::host`](super::Config::host).
    pub host_id: Option<Written<String>>,
    /// See [`Config::nat64`](super::Config::nat64).
    pub nat64: Option<Vec<Written<String>>>,
    /// The ensemble.
    pub zookeeper: EnsembleSettings,
    /// The task, where a plugin is run as the only one.
    pub task: TaskSettings,
}

/// All that was said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    pub(super) host_id: Option<Written<String>>,
    #[serde(deserialize_with = "shape::list")]
    pub(super) nat64: Vec<Written<String>>,
    #[serde(deserialize_with = "shape::table")]
    pub(super) zookeeper: EnsembleSettings,
    #[serde(deserialize_with = "shape::tasks")]
    pub(super) task: Vec<Written<TaskSettings>>,
}

/// What can be set of the ensemble.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnsembleSettings {
    /// See [`EnsembleConfig::servers`](super::EnsembleConfig::servers).
    pub servers: Option<Written<String>>,
    /// See [`EnsembleConfig::root`](super::EnsembleConfig::root).
    pub root: Option<Written<String>>,
    /// See [`EnsembleConfig::session_timeout`](super::EnsembleConfig::session_timeout).
    pub session_timeout: Option<Written<String>>,
    /// See [`EnsembleConfig::tick_time`](super::EnsembleConfig::tick_time).
    pub tick_time: Option<Written<String>>,
    /// See [`EnsembleConfig::connect_timeout`](super::EnsembleConfig::connect_timeout).
    pub connect_timeout: Option<Written<String>>,
    /// See [`EnsembleConfig::auth`](super::EnsembleConfig::auth).
    pub auth: Option<Written<Secret>>,
    /// A file that holds what `auth` would.
    pub auth_file: Option<Written<PathBuf>>,
    /// See [`EnsembleConfig::acl`](super::EnsembleConfig::acl).
    pub acl: Option<Written<AclText>>,
    /// See [`EnsembleConfig::state_rate`](super::EnsembleConfig::state_rate).
    pub state_rate: Option<Written<Amount>>,
}

/// An access control list as it can be written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"world\", \"creator\", \"creator-world-read\" or a list of \"SCHEME:ID:PERMISSIONS\""
)]
pub enum AclText {
    /// A word, or entries separated by commas.
    Line(String),
    /// A list of entries.
    List(Vec<String>),
}

/// What can be set of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table with a name and a plugin"
)]
pub struct TaskSettings {
    /// See [`TaskConfig::name`](super::TaskConfig::name).
    pub name: Option<Written<String>>,
    /// See [`TaskConfig::plugin`](super::TaskConfig::plugin).
    pub plugin: Option<Written<PathBuf>>,
    /// See [`TaskConfig::sha256`](super::TaskConfig::sha256).
    pub sha256: Option<Written<String>>,
    /// See [`TaskConfig::path`](super::TaskConfig::path).
    pub path: Option<Written<String>>,
    /// See [`TaskConfig::config`](super::TaskConfig::config).
    #[serde(deserialize_with = "shape::table")]
    pub config: BTreeMap<String, Written<String>>,
    /// See [`TaskConfig::grants`](super::TaskConfig::grants).
    #[serde(deserialize_with = "shape::table")]
    pub allow: AllowSettings,
    /// See [`TaskConfig::limits`](super::TaskConfig::limits).
    #[serde(deserialize_with = "shape::table")]
    pub limits: LimitSettings,
    /// See [`TaskConfig::demote_timeout`](super::TaskConfig::demote_timeout).
    pub demote_timeout: Option<Written<String>>,
    /// See [`TaskConfig::successor_delay`](super::TaskConfig::successor_delay).
    pub successor_delay: Option<Written<String>>,
    /// See [`TaskConfig::on_complete`](super::TaskConfig::on_complete).
    pub on_complete: Option<Written<String>>,
    /// See [`TaskConfig::restart`](super::TaskConfig::restart).
    #[serde(deserialize_with = "shape::table")]
    pub restart: RestartSettings,
}

/// What can be set of the restart policy of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestartSettings {
    /// See [`RestartPolicy::initial`](super::RestartPolicy::initial).
    pub initial: Option<Written<String>>,
    /// See [`RestartPolicy::max`](super::RestartPolicy::max).
    pub max: Option<Written<String>>,
    /// See [`RestartPolicy::healthy_after`](super::RestartPolicy::healthy_after).
    pub healthy_after: Option<Written<String>>,
    /// See [`RestartPolicy::max_restarts`](super::RestartPolicy::max_restarts).
    #[serde(deserialize_with = "shape::count")]
    pub max_restarts: Option<u32>,
}

impl Given {
    /// What is given where something is, else what the file says; the tasks are those of the file.
    pub(super) fn over(self, file: Settings) -> Settings {
        Settings {
            host_id: self.host_id.or(file.host_id),
            nat64: self.nat64.unwrap_or(file.nat64),
            zookeeper: self.zookeeper.over(file.zookeeper),
            task: file.task,
        }
    }
}

impl EnsembleSettings {
    /// What is given where something is, else what the file says.
    pub(super) fn over(self, file: Self) -> Self {
        // An identity and the file that holds one are two ways to say the same thing.
        let (auth, auth_file) = match (self.auth, self.auth_file) {
            (None, None) => (file.auth, file.auth_file),
            given => given,
        };
        Self {
            servers: self.servers.or(file.servers),
            root: self.root.or(file.root),
            session_timeout: self.session_timeout.or(file.session_timeout),
            tick_time: self.tick_time.or(file.tick_time),
            connect_timeout: self.connect_timeout.or(file.connect_timeout),
            auth,
            auth_file,
            acl: self.acl.or(file.acl),
            state_rate: self.state_rate.or(file.state_rate),
        }
    }
}

/// A file of settings.
#[derive(Debug)]
pub(super) struct SettingsFile {
    path: PathBuf,
    text: String,
}

impl SettingsFile {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        // Opening a pipe would wait for its other end, and a device may have none.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(ConfigError::NotAFile {
                path: path.to_owned(),
            });
        }
        let mut bytes = Vec::new();
        File::open(path)
            .map_err(unreadable)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
                max_bytes: FILE_BYTES_MAX,
            });
        }
        let text = String::from_utf8(bytes).map_err(|error| ConfigError::NotText {
            path: path.to_owned(),
            source: error.utf8_error(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    #[cfg(test)]
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says.
    ///
    /// # Errors
    /// The first place at which it is not TOML, or holds an unknown key or a value of another type.
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let place = self.place(&span, self.key_at(self.end_of_header(span.start)));
            // The message alone: the error as a whole quotes the line, and that may hold a secret.
            ConfigError::Syntax {
                place,
                message: error.message().to_owned(),
            }
        })
    }

    /// Where in the file some of its bytes are.
    pub(super) fn place(&self, span: &Range<usize>, key: Option<String>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Place::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key,
        }
    }

    /// What is wrong with a whole table is found where its header begins, but its keys stand within the brackets: up to
    /// their end then, else the byte itself.
    fn end_of_header(&self, byte: usize) -> usize {
        let Some((before, after)) = self.text.split_at_checked(byte) else {
            return byte;
        };
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let is_header = after.starts_with('[') && before[line_start..].trim().is_empty();
        after
            .find(']')
            .filter(|_| is_header)
            .map_or(byte, |end| byte + end)
    }

    /// The key that is written at this byte, or whose value is.
    fn key_at(&self, byte: usize) -> Option<String> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return last_key(table.get_ref(), 0..=byte);
        }
        // What is broken may hide keys, or show those of other lines: look at this line alone, in its table.
        let (before, after) = self.text.split_at_checked(byte)?;
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let header = before[..line_start]
            .lines()
            .rfind(|line| line.trim_start().starts_with('['))
            .unwrap_or_default();
        let line = format!(
            "{header}\n{}{}",
            &before[line_start..],
            after.lines().next().unwrap_or_default()
        );
        let line_range = header.len() + 1..=header.len() + 1 + (byte - line_start);
        let key = last_key(DeTable::parse_recoverable(&line).0.get_ref(), line_range);
        // Where a quote or a comma is missing a value can look like a key, and that may be a secret.
        key.filter(|key| {
            key.chars()
                .all(|character| character.is_ascii_alphanumeric() || "._-".contains(character))
        })
    }
}

/// The last key that begins in this range, with its tables.
fn last_key(table: &DeTable<'_>, range: RangeInclusive<usize>) -> Option<String> {
    let mut last = None;
    keys(table, "", &mut |start, key| {
        if range.contains(&start) && last.as_ref().is_none_or(|(other, _)| *other <= start) {
            last = Some((start, key));
        }
    });
    last.map(|(_, key)| key)
}

/// Visits every key below a table: where it begins, and its name with those of its parents.
fn keys(table: &DeTable<'_>, parent: &str, visit: &mut impl FnMut(usize, String)) {
    for (key, value) in table {
        let name = if parent.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{parent}.{}", key.get_ref())
        };
        descend(value.get_ref(), &name, visit);
        visit(key.span().start, name);
    }
}

fn descend(value: &DeValue<'_>, name: &str, visit: &mut impl FnMut(usize, String)) {
    match value {
        DeValue::Table(table) => keys(table, name, visit),
        DeValue::Array(array) => elements(array, name, visit),
        _ => {}
    }
}

fn elements(array: &DeArray<'_>, name: &str, visit: &mut impl FnMut(usize, String)) {
    for element in array {
        descend(element.get_ref(), name, visit);
    }
}
