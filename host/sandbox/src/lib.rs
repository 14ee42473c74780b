//! Plugins: WebAssembly that is compiled, linked, and run for one term after another.
//!
//! ```text
//! file -> load -> compiler (a process: bounds, encode, compile) -> cache -> engine -> Plugin, ready to run
//! Plugin + Leadership -> store (limits, permit) -> run: on_elected, on_demoted -> Failure or the end
//! ```
//!
//! Nothing here knows of elections: a plugin is run while its [`Leadership`] lasts.
//!
//! | room | what it has | what it knows |
//! |---|---|---|
//! | `plugin` | a plugin, loaded once and run in one term after another | `load`, `run`, `settings` |
//! | `load` | from a file to a component: bounds, needs, cache, the process that compiles; each program once | `run`, `engine`, `directories`, `settings` |
//! | `run` | one attempt at a term: linker, store, failures | `imports`, `network`, `engine`, `directories`, `settings` |
//! | `settings` | what a task's configuration says about its plugin | `imports`, `network` |
//! | `imports` | one interface a file; each says in a view what it works on | |
//! | `network` | connections of a plugin, by `wasi:http` and `wasi:sockets`, and their common end | |
//! | `engine` | the engines of wasmtime, the tick, the shares of the processors | |
//! | `directories` | the granted directories, and which must not be granted | |
//!
//! Every room may know the small ones: `contract` (what a plugin and its host agree on), `leadership` (one term as a plugin
//! has it), `log` (what a plugin writes), `descriptors` and `bounded`. These know nobody. No room knows this file, which
//! only re-exports. A test, `tests/cli/circles.rs`, fails when two rooms come to know each other.

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
mod plugin;
mod run;
mod settings;

pub use contract::version::CONTRACTS;
pub use directories::places::Danger;
pub use engine::MAX_HELD_BYTES;
pub use engine::ticker::EPOCH_TICK;
pub use engine::turn::{be_nice, plugin_threads};
pub use imports::random::SeededRandom;
pub use imports::writes::{Bucket, WRITE_WAIT};
pub use leadership::{Drain, Leadership};
pub use load::bounds::{
    Excess, MAX_COMPONENT_BYTES, MAX_CONSTANTS, MAX_ELEMENTS, MAX_FLOW, MAX_FUNCTIONS, MAX_GLOBALS,
    MAX_NAME_BYTES, MAX_NAMES, MAX_NESTING, MAX_PARTS, MAX_SEGMENTS, MAX_TABLE_ELEMENTS, MAX_TYPES,
};
pub use load::compile::component;
pub use load::compiler::{COMPILE_WORD, Compiler, compile_as_told};
pub use load::inspection::{Export, Import, Inspection, PluginKind, Producer};
pub use load::needs::MAX_LIFTING;
pub use load::plugin_engine::{EngineError, PluginEngine};
pub use load::problem::{LoadError, PluginProblem, Told};
pub use load::{MAX_FILE_BYTES, MAX_TEXT_BYTES};
pub use log::MAX_FIELDS;
pub use network::{
    ADDRESSES_MAX, AnswerHttp, CONNECT_TIME, Contacted, Contacts, HEADER_BYTES, LOOKUP_TIME,
    Resolve, SystemResolver,
};
pub use plugin::{Plugin, inspect};
pub use run::failure::Failure;
pub use run::{AfterCompletion, RunEnd};
pub use settings::{ObserveCalls, PluginSettings};
