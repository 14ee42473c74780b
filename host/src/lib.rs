//! Soloist runs a task on exactly one machine of many.

pub mod clock;
pub mod config;
pub mod coordination;
pub mod election;
pub mod events;
pub mod lease;
pub mod permit;
pub mod reporter;
pub mod term;
#[cfg(test)]
mod testing;
