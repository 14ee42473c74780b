//! What a task's configuration says about its plugin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::imports::random::SeededRandom;
use crate::imports::writes::Bucket;
use crate::network::{AnswerHttp, Contacts, Resolve, SystemResolver};
use soloist_core::clock::TaskClock;
use soloist_core::digest::Digest;
use soloist_core::grants::{Directory, Grant, Grants};
use soloist_core::limits::{HOST_STATE_RATE, Limits};
use soloist_core::secret::Secret;

/// What a task's configuration says about its plugin.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// What the plugin reads with `config`.
    pub config: BTreeMap<String, String>,
    /// What the plugin may use.
    pub grants: Grants,
    /// The secrets that it is granted, by the name of its variable.
    pub secrets: BTreeMap<String, Secret>,
    /// How much it may have and do.
    pub limits: Limits,
    /// The digest that the file must have.
    pub sha256: Option<Digest>,
    /// Whether nothing that interrupts another plugin may interrupt this one: it shares its code with none. On a host all
    /// plugins share theirs.
    pub alone: bool,
    /// The configuration of the host, which no plugin may write to.
    pub configuration: Option<PathBuf>,
    /// What else the host reads, for any task: no plugin may write to a directory that holds such a file.
    pub host_files: Arc<[PathBuf]>,
    /// What the tasks of the host are granted of its directories, all together: no path to one of the plugin's may lead
    /// through one that is granted to write.
    pub all_dirs: Arc<[Directory]>,
    /// What looks names up for the plugin.
    pub resolver: Arc<dyn Resolve>,
    /// What answers the plugin's HTTP requests in the place of servers. A host has none.
    pub answers: Option<Arc<dyn AnswerHttp>>,
    /// Where somebody only tries what the task would have to grant: the plugin may contact every name and address, and each is
    /// recorded here. A host never has it.
    pub contacts: Option<Contacts>,
    /// How much all plugins of the host may write to their states.
    pub host_writes: Arc<Bucket>,
    /// The time that the plugin lives by.
    pub clock: TaskClock,
    /// What the plugin's random numbers come of, in the place of the system's. A host has none.
    pub random: Option<SeededRandom>,
    /// What hears of each call of the plugin. A host has none.
    pub calls: Option<Arc<dyn ObserveCalls>>,
}

/// Hears of each call that a plugin makes to the host, on the thread that runs the plugin. It may end the term's permit: the
/// host looks at the permit right after.
pub trait ObserveCalls: fmt::Debug + Send + Sync {
    /// The plugin is about to call the host.
    fn before(&self);

    /// The call is about to return; `import` is the group of imports that it belongs to.
    fn after(&self, import: &'static str);
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            config: BTreeMap::new(),
            grants: Grants::default(),
            secrets: BTreeMap::new(),
            limits: Limits::default(),
            sha256: None,
            alone: false,
            configuration: None,
            host_files: Arc::default(),
            all_dirs: Arc::default(),
            resolver: Arc::new(SystemResolver::default()),
            answers: None,
            contacts: None,
            host_writes: Arc::new(Bucket::of_host(HOST_STATE_RATE)),
            clock: TaskClock::default(),
            random: None,
            calls: None,
        }
    }
}

impl PluginSettings {
    /// Whether the task grants what an import needs.
    pub(crate) fn grants(&self, grant: Grant) -> bool {
        match grant {
            Grant::State => self.grants.state,
            Grant::Http => self.grants.network.http.is_some(),
            Grant::Tcp => self.grants.network.tcp.is_some(),
        }
    }
}
