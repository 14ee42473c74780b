//! Soloist runs a task on exactly one machine of many.

pub use soloist_core::{election, lease, restart, term};

pub mod activation;
pub mod bucket;
pub mod clock;
pub mod config;
pub mod contender;
pub mod coordination;
pub mod digest;
pub mod events;
pub mod host;
pub mod permit;
pub mod plugin;
pub mod reporter;
pub mod secret;
pub mod shutdown;
pub mod state;
pub mod text;
pub mod volume;
