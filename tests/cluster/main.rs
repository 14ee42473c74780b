//! Hosts that contend, on real ZooKeeper servers.

mod access;
mod acl;
mod addresses;
mod demo;
mod election;
mod ensemble;
mod events;
mod examples;
mod failover;
mod foreign;
mod harness;
mod identity;
mod languages;
mod log;
mod network;
mod nodes;
mod operators;
mod policy;
mod queue;
mod refusals;
mod reload;
mod schedule;
mod shutdown;
mod state;
mod terms;
mod watching;
