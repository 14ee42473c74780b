//! The network grants, with a real guest and real servers on this machine.

#[path = "../support/mod.rs"]
mod support;

mod case;
mod demotion;
mod http;
mod server;
mod sockets;
mod tls;
