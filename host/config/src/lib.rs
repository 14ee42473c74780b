//! What a host is told: typed once as text, in flags, in the environment or in a document, and validated once.
//!
//! ```text
//! flags, environment -------> Given -----+
//!                                        +--> Config, or every bad value with its place
//! soloist.toml or .json ----> wire form -+
//! ```
//!
//! A flag is preferred to the environment, the environment to the document, and the document to the default. Past this
//! crate nobody doubts a value.
//!
//! Each group of settings is one file: its wire form (`...Wire`, as it is written), its valid value, its rule and its tests.
//! A file knows only files in lines below its own:
//!
//! | files | what |
//! |---|---|
//! | `deployment` | what an operator is about to deploy: a file with one task, or a plugin and flags |
//! | `host` | the whole of a host, and the rules that only the whole knows |
//! | `deploy` | whether a host takes deployed tasks, and the most that it lets them have |
//! | `widening` | what one task may more than another |
//! | `manifest` | a task as it is deployed |
//! | `task`, `ensemble` | a task, which can be validated alone; the ensemble |
//! | `grants`, `limits`, `restart`, `placement`, `identity`, `sasl`, `listen`, `servers`, `tls` | parts of these |
//! | `validator` | judges value by value, and collects what is wrong |
//! | `shape`, `amount`, `node` | what tables and lists are, numbers and durations, names and paths |
//! | `file` | a document: how it is read, and where in it something stands |
//! | `json`, `tree` | JSON as the tree that TOML is read into; the keys of that tree |
//! | `written`, `problem` | a value with the place it comes from; what can be wrong with one |
//!
//! A document, with every key there is:
//! ```toml
#![doc = include_str!("../../example.toml")]
//! ```
//!
//! In JSON it has the same keys and values: tables are objects, and `[[task]]` is the list `"task"`.

mod amount;
mod deploy;
mod deployment;
mod ensemble;
mod file;
mod grants;
mod host;
mod identity;
mod json;
mod limits;
mod listen;
mod manifest;
mod node;
mod placement;
mod problem;
mod restart;
mod sasl;
mod servers;
mod shape;
mod task;
#[cfg(test)]
mod testing;
mod tls;
mod tree;
mod validator;
mod widening;
mod written;

pub use amount::Amount;
pub use deploy::{DeployConfig, PublicKey, Refusal};
pub use deployment::{Deployment, GivenDeployment};
pub use ensemble::{EnsembleConfig, EnsembleWire};
pub use file::{Document, Format};
pub use grants::{DirectoryWire, GrantsWire, SecretFileWire, SecretWire};
pub use host::{Config, Given, is_drawn_host_id};
pub use identity::AclWire;
pub use limits::{LimitsWire, RaisedLimit};
pub use listen::{ListenConfig, ListenTls, ListenWire};
pub use manifest::{Artefact, Difference, MANIFEST_BYTES_MAX, Manifest, OnRollback, differences};
pub use placement::{HostPlacement, PlacementWire};
pub use problem::{BadValue, ConfigError, Excerpt, Place, Problem};
pub use restart::RestartWire;
pub use servers::ConnectString;
pub use task::{PluginSource, TaskConfig, TaskName, TaskSettings, TaskWire};
pub use tls::{TlsConfig, TlsWire};
pub use widening::{Widening, widened};
pub use written::Written;
