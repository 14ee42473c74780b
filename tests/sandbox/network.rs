//! The network grants, with a real guest and real servers on this machine.

mod answers;
mod case;
mod demotion;
mod http;
mod names;
mod server;
mod sockets;
mod tls;
