//! Plugins: WebAssembly that is compiled, linked, and run for one term after another.
//!
//! ```text
//! file -> load -> encode (everything becomes a component) -> Plugin, ready to run
//! Plugin + Leadership -> store (limits, permit) -> run: on_elected, on_demoted -> Failure or the end
//! ```
//!
//! Nothing here knows of elections: a plugin is run while its [`Leadership`] lasts. Each import is a file of its own:
//! `leadership`, `log`, `state`, `config`, `stdio`, `network`; WASI itself is wasmtime's.

mod bindings;
mod cache;
mod config;
mod encode;
mod engine;
mod exports;
mod failure;
mod leadership;
mod load;
mod log;
mod network;
mod run;
mod state;
mod stdio;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use engine::{EPOCH_TICK, EngineError, PluginEngine};
pub use failure::{Cause, Failure};
pub use leadership::{Drain, Leadership};
pub use load::{LoadError, MAX_FILE_BYTES, Problem};
pub use log::{BURST_LINES, LINES_PER_SECOND, MAX_FIELDS, MAX_LINE_BYTES};
pub use network::{
    ADDRESSES_MAX, AddressKind, CONNECT_TIME, CONNECTIONS_MAX, Endpoint, HEADER_BYTES, Host as NetworkHost,
    LOOKUP_TIME, Network, NetworkPolicy, Origin, PolicyError, Refusal, Resolve, Scheme, SystemResolver,
};
pub use state::CALLS_MAX;
use wasmtime::component::InstancePre;

/// What a task's configuration says about its plugin.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// What the plugin reads with `config`.
    pub config: BTreeMap<String, String>,
    /// How much memory the plugin may have, in bytes, over all its linear memories.
    pub memory_limit_bytes: u64,
    /// What of the network the plugin may reach.
    pub network: NetworkPolicy,
    /// How many connections the plugin may have at once, requests and sockets together.
    pub connections_max: usize,
    /// What looks names up for the plugin.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            config: BTreeMap::new(),
            memory_limit_bytes: 256 << 20,
            network: NetworkPolicy::default(),
            connections_max: CONNECTIONS_MAX,
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// A plugin that is compiled and linked: starting it takes microseconds.
pub struct Plugin {
    engine: Arc<PluginEngine>,
    linked: InstancePre<store::Host>,
    exports: exports::Exports,
    settings: Arc<PluginSettings>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("settings", &self.settings).finish_non_exhaustive()
    }
}
