//! What plugins import: a file for each interface. Each says in a view what it works on, and who makes the linker hands it in.

pub(crate) mod config;
pub(crate) mod exit;
pub(crate) mod files;
pub(crate) mod leadership;
pub(crate) mod log;
pub(crate) mod state;
pub(crate) mod stdio;
pub(crate) mod wasi;
pub(crate) mod writes;
