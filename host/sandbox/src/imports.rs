//! What plugins import: a file for each interface. Each file says in a view what it works on. `run`
//! makes the views, so no file here knows the whole store.

pub(crate) mod blocking_clock;
pub(crate) mod blocking_state;
pub(crate) mod clocks;
pub(crate) mod config;
pub(crate) mod exit;
pub(crate) mod files;
pub(crate) mod leadership;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod schedule;
pub(crate) mod state;
pub(crate) mod stdio;
pub(crate) mod wasi;
pub(crate) mod writes;
