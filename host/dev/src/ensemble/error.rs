//! Why an ensemble does not start, or not end well.

use std::io;
use std::net::SocketAddr;

/// An ensemble could not start.
#[derive(Debug, thiserror::Error)]
pub enum EnsembleError {
    /// It would be reachable from other machines.
    #[error(
        "{address} is no loopback address: this ensemble is for development and knows no other machine; \
         listen on 127.0.0.1"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Nobody can listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("cannot make passwords for sessions")]
    Random {
        /// Why.
        source: io::Error,
    },
}
