//! Plugins: WebAssembly that is compiled, linked, and run for one term after another.
//!
//! ```text
//! file -> load -> compiler (a process: bounds, encode, compile) -> cache -> engine -> Plugin, ready to run
//! Plugin + Leadership -> store (limits, permit) -> run: on_elected, on_demoted -> Failure or the end
//! ```
//!
//! Nothing here knows of elections: a plugin is run while its [`Leadership`] lasts. Each import is a file of its own:
//! `leadership`, `log`, `state`, `config`, `stdio`, `network`; WASI itself is wasmtime's, set up in `wasi`;
//! what opens, lists and writes files goes through `files`.

mod directories;
mod engine;
mod imports;
mod load;
mod network;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use directories::places::Danger;
pub use engine::turn::{be_nice, plugin_threads};
pub use engine::{EPOCH_TICK, EngineError, PluginEngine};
pub use imports::leadership::{Drain, Leadership};
pub use imports::log::MAX_FIELDS;
pub use imports::writes::{Bucket, WRITE_WAIT};
pub use load::bounds::{
    Excess, MAX_COMPONENT_BYTES, MAX_CONSTANTS, MAX_ELEMENTS, MAX_FLOW, MAX_FUNCTIONS, MAX_GLOBALS,
    MAX_NAME_BYTES, MAX_NAMES, MAX_NESTING, MAX_PARTS, MAX_SEGMENTS, MAX_TABLE_ELEMENTS, MAX_TYPES,
};
pub use load::compile::{Told, component};
pub use load::compiler::{COMPILE_WORD, Compiler, compile_as_told};
pub use load::needs::{MAX_HELD_BYTES, MAX_LIFTING};
pub use load::{LoadError, MAX_FILE_BYTES, MAX_TEXT_BYTES, PluginProblem};
pub use network::{
    ADDRESSES_MAX, CONNECT_TIME, HEADER_BYTES, LOOKUP_TIME, Resolve, SystemResolver,
};
pub use run::failure::Failure;
pub use run::{AfterCompletion, RunEnd};
use wasmtime::component::InstancePre;

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
    /// The configuration of the host, which no plugin may write to.
    pub configuration: Option<PathBuf>,
    /// What the tasks of the host are granted of its directories, all together: no path to one of the plugin's may lead
    /// through one that is granted to write.
    pub all_dirs: Vec<Directory>,
    /// What looks names up for the plugin.
    pub resolver: Arc<dyn Resolve>,
    /// How much all plugins of the host may write to their states.
    pub host_writes: Arc<Bucket>,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            config: BTreeMap::new(),
            grants: Grants::default(),
            secrets: BTreeMap::new(),
            limits: Limits::default(),
            sha256: None,
            configuration: None,
            all_dirs: Vec::new(),
            resolver: Arc::new(SystemResolver::default()),
            host_writes: Arc::new(Bucket::of_host(HOST_STATE_RATE)),
        }
    }
}

impl PluginSettings {
    /// Whether the plugin has what an import needs.
    fn grants(&self, grant: Grant) -> bool {
        match grant {
            Grant::State => self.grants.state,
            Grant::Http => self.grants.network.http.is_some(),
            Grant::Tcp => self.grants.network.tcp.is_some(),
        }
    }
}

/// A plugin that is compiled and linked: starting it takes microseconds.
pub struct Plugin {
    shared: Arc<PluginEngine>,
    engine: wasmtime::Engine,
    digest: Digest,
    linked: InstancePre<run::store::InstanceData>,
    exports: run::exports::Exports,
    settings: Arc<PluginSettings>,
    directories: directories::Directories,
    writes: imports::writes::Writes,
    log_volume: imports::log::LogVolume,
    warnings: Vec<String>,
}

impl Plugin {
    /// The digest of the file that it was loaded from.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What deserves a word about it and its grants, though it can run.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How much it may have and do.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// What it knows and nobody else is to see.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.settings.secrets.values()
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
