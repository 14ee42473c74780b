//! What a host is told: typed once as text, in flags, in the environment or in a file, and validated once.
//!
//! ```text
//! flags, environment -> Given ----+
//!                                 +--> Config, or every bad value with its place
//! soloist.toml -------> Settings -+
//! ```
//!
//! A flag is preferred to the environment, the environment to the file, and the file to the default. Past this module
//! nobody doubts a value.
//!
//! The file, with every key there is:
//! ```toml
#![doc = include_str!("../../example.toml")]
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod access;
mod allow;
mod limits;
mod problem;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod validate;
mod values;

pub use allow::{AllowSettings, DirectorySettings, SecretFile, SecretSettings};
pub use limits::{Amount, LimitSettings};
pub use problem::{BadValue, ConfigError, Excerpt, Place, Problem};
pub use settings::{AclText, EnsembleSettings, Given, RestartSettings, TaskSettings, Written};
use soloist_core::access::{AclSetting, Auth};
use soloist_core::digest::Digest;
use soloist_core::grants::{Grants, Nat64};
use soloist_core::limits::Limits;
use soloist_core::restart::{OnComplete, RestartPolicy};
pub use values::{ConnectString, TaskName};

/// Everything a host needs to know, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The ensemble that decides.
    pub zookeeper: EnsembleConfig,
    /// The id of this host, unique in the ensemble.
    pub host: Arc<str>,
    /// The prefixes by which this host's network translates IPv6 to IPv4.
    pub nat64: Vec<Nat64>,
    /// The file that all of this was read from, if there is one.
    pub file: Option<PathBuf>,
    /// The tasks to stand for: at least one, each name once.
    pub tasks: Vec<TaskConfig>,
}

/// How to reach a ZooKeeper ensemble, and how to behave there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsembleConfig {
    /// Where its servers are.
    pub servers: ConnectString,
    /// The node, below the chroot, under which everything of Soloist is kept.
    pub root: String,
    /// The session timeout to ask for.
    pub session_timeout: Duration,
    /// The ensemble's own `tickTime`.
    pub tick_time: Duration,
    /// The identity to show.
    pub auth: Option<Auth>,
    /// The file that holds the identity, if it is in one.
    pub auth_file: Option<PathBuf>,
    /// Who may do what with the nodes that are created. When nobody has said, everybody may do everything: a host with
    /// an identity warns then.
    pub acl: Option<AclSetting>,
    /// Give up when there is no first session within this time; never if there is none. A host that has had a session
    /// tries for ever.
    pub connect_timeout: Option<Duration>,
    /// How many bytes a second all plugins of this host may write to their states in the long run.
    pub state_rate: u64,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskConfig {
    /// Its name.
    pub name: TaskName,
    /// The file that holds its plugin.
    pub plugin: PathBuf,
    /// What the SHA-256 of that file must be.
    pub sha256: Option<Digest>,
    /// Its master node, below the chroot (not below the root), when it is not the usual one.
    pub path: Option<String>,
    /// What the plugin can read of its configuration.
    pub config: BTreeMap<String, String>,
    /// What the plugin may use.
    pub grants: Grants,
    /// How much the plugin may have and do.
    pub limits: Limits,
    /// How long `on_demoted` may take before the plugin is stopped by force.
    pub demote_timeout: Duration,
    /// How long this host waits before it leads when the leader before did not say that it had stopped: time for what
    /// was already on its way to arrive. Zero unless set.
    pub successor_delay: Duration,
    /// What follows when `on_elected` returns.
    pub on_complete: OnComplete,
    /// What follows when the plugin fails.
    pub restart: RestartPolicy,
}
