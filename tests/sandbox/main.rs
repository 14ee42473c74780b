//! Plugins in their sandbox, each in a term without an election: what they can do, what they cannot, and how they end.

mod apart;
mod guests;
mod terms;

mod activation;
mod clocks;
mod demotion;
mod grants;
mod hostile;
mod hostile_files;
mod limits;
mod log;
mod minimal;
mod mounts;
mod network;
mod plugin;
mod projects;
mod schedule;
mod sdk;
mod state;
