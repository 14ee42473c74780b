//! Soloist runs a task on exactly one machine of many.

pub mod activation;
pub mod clock;
pub mod config;
pub mod contender;
pub mod coordination;
pub mod digest;
pub mod election;
pub mod events;
pub mod host;
pub mod lease;
pub mod permit;
pub mod plugin;
pub mod reporter;
pub mod restart;
pub mod secret;
pub mod shutdown;
pub mod state;
pub mod term;
#[cfg(test)]
mod testing;
