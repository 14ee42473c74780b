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

mod bounded;
mod contract;
mod descriptors;
mod directories;
mod engine;
mod imports;
mod leadership;
mod load;
mod log;
mod network;
mod run;
mod settings;

use std::sync::Arc;

pub use directories::places::Danger;
pub use engine::turn::{be_nice, plugin_threads};
pub use engine::{EPOCH_TICK, EngineError, PluginEngine};
pub use imports::writes::{Bucket, WRITE_WAIT};
pub use leadership::{Drain, Leadership};
pub use load::bounds::{
    Excess, MAX_COMPONENT_BYTES, MAX_CONSTANTS, MAX_ELEMENTS, MAX_FLOW, MAX_FUNCTIONS, MAX_GLOBALS,
    MAX_NAME_BYTES, MAX_NAMES, MAX_NESTING, MAX_PARTS, MAX_SEGMENTS, MAX_TABLE_ELEMENTS, MAX_TYPES,
};
pub use load::compile::{Told, component};
pub use load::compiler::{COMPILE_WORD, Compiler, compile_as_told};
pub use load::needs::{MAX_HELD_BYTES, MAX_LIFTING};
pub use load::{LoadError, MAX_FILE_BYTES, MAX_TEXT_BYTES, PluginProblem};
pub use log::MAX_FIELDS;
pub use network::{
    ADDRESSES_MAX, CONNECT_TIME, HEADER_BYTES, LOOKUP_TIME, Resolve, SystemResolver,
};
pub use run::failure::Failure;
pub use run::{AfterCompletion, RunEnd};
pub use settings::PluginSettings;
use wasmtime::component::InstancePre;

use soloist_core::digest::Digest;
use soloist_core::limits::Limits;
use soloist_core::secret::Secret;

/// A plugin that is compiled and linked: starting it takes microseconds.
pub struct Plugin {
    shared: Arc<PluginEngine>,
    engine: wasmtime::Engine,
    digest: Digest,
    linked: InstancePre<run::store::InstanceData>,
    exports: contract::exports::Exports,
    settings: Arc<PluginSettings>,
    directories: directories::Directories,
    writes: imports::writes::Writes,
    log_volume: log::LogVolume,
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
