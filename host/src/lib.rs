//! Soloist runs a task on exactly one machine of many.

pub mod activation;
pub mod clock;
pub mod events;
pub mod permit;
pub mod plugin;
pub mod reporter;
pub mod term;
