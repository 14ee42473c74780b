//! Why an ensemble does not start, or not end well.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::snapshot::BadSnapshot;

/// An ensemble could not start.
#[derive(Clone, Debug, thiserror::Error)]
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
        source: Arc<io::Error>,
    },
    /// The snapshot cannot be read.
    #[error("cannot read the snapshot {}", path.display())]
    ReadSnapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The file is no snapshot that can be used. It is left as it is.
    #[error(
        "cannot use the snapshot {}: move it away to begin anew, or name another file",
        path.display()
    )]
    BadSnapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadSnapshot,
    },
    /// The snapshot cannot be written: what has changed since the last one would be lost.
    #[error("cannot write the snapshot {}", path.display())]
    WriteSnapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The system gives no random numbers.
    #[error("cannot make passwords for sessions")]
    Random {
        /// Why.
        source: Arc<io::Error>,
    },
}
