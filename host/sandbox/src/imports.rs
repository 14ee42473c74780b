//! What plugins import: a file for each interface.

pub(crate) mod bindings;
pub(crate) mod config;
pub(crate) mod descriptors;
pub(crate) mod exit;
pub(crate) mod files;
pub(crate) mod leadership;
pub(crate) mod log;
pub(crate) mod state;
pub(crate) mod stdio;
pub(crate) mod wasi;
pub(crate) mod writes;
