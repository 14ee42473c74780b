//! Plugins: WebAssembly that is compiled, linked, and run for one term after another.
//!
//! ```text
//! file -> load -> bounds -> encode (everything becomes a component) -> Plugin, ready to run
//! Plugin + Leadership -> store (limits, permit) -> run: on_elected, on_demoted -> Failure or the end
//! ```
//!
//! Nothing here knows of elections: a plugin is run while its [`Leadership`] lasts. Each import is a file of its own:
//! `leadership`, `log`, `state`, `config`, `stdio`; WASI itself is wasmtime's.

mod apart;
mod bindings;
mod bounds;
mod cache;
mod config;
mod encode;
mod engine;
mod exports;
mod failure;
mod leadership;
mod load;
mod log;
mod run;
mod state;
mod stdio;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use bounds::{Excess, MAX_FLOW, MAX_FUNCTIONS, MAX_NESTING, MAX_PARTS, MAX_TYPES};
pub use engine::{EPOCH_TICK, EngineError, PluginEngine};
pub use failure::{Cause, Failure};
pub use leadership::{Drain, Leadership};
pub use load::{LoadError, MAX_FILE_BYTES, MAX_TEXT_BYTES, Problem, component};
pub use log::{BURST_LINES, LINES_PER_SECOND, MAX_FIELDS, MAX_LINE_BYTES};
pub use state::CALLS_MAX;
use wasmtime::component::InstancePre;

use crate::digest::Digest;

/// How long loading may take when nothing else is said: ten times what an interpreter of 20 MB took on two busy cores.
pub const COMPILE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);

/// What a task's configuration says about its plugin.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// What the plugin reads with `config`.
    pub config: BTreeMap<String, String>,
    /// How much memory the plugin may have, in bytes, over all its linear memories.
    pub memory_limit_bytes: u64,
    /// The digest that the file must have.
    pub sha256: Option<Digest>,
    /// How long loading may take.
    pub compile_timeout: Duration,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            config: BTreeMap::new(),
            memory_limit_bytes: 256 << 20,
            sha256: None,
            compile_timeout: COMPILE_TIMEOUT_DEFAULT,
        }
    }
}

/// A plugin that is compiled and linked: starting it takes microseconds.
pub struct Plugin {
    engine: Arc<PluginEngine>,
    digest: Digest,
    linked: InstancePre<store::Host>,
    exports: exports::Exports,
    settings: Arc<PluginSettings>,
}

impl Plugin {
    /// The digest of the file that it was loaded from.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("settings", &self.settings).finish_non_exhaustive()
    }
}
