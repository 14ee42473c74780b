//! What can come between a host and a session.

use std::time::Duration;

use crate::error::NodeError;
use soloist_core::lease::NoRoom;

/// A session could not be had, or not be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No server let the host in.
    #[error("cannot connect to {servers}: {obstacles}")]
    Connect {
        /// The servers.
        servers: String,
        /// What is in the way, server by server.
        obstacles: String,
    },
    /// The credentials were refused.
    #[error("the ensemble at {servers} refuses the credentials: check `auth`")]
    AuthFailed {
        /// The servers.
        servers: String,
    },
    /// Only servers that cannot write are there.
    #[error("the ensemble at {servers} is read-only: a majority of its servers is missing")]
    ReadOnly {
        /// The servers.
        servers: String,
    },
    /// The session timeout that was agreed on is too short.
    #[error(
        "{server} agrees to a session timeout of {agreed:?} only (its maxSessionTimeout): nothing can be led"
    )]
    Timing {
        /// The server, or all of them, where it is not known which.
        server: String,
        /// What was agreed on.
        agreed: Duration,
        /// Why that is not enough.
        source: Box<NoRoom>,
    },
    /// A node that a host needs could not be created, or its heartbeats fail.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Another session holds the host's node: that of another host with the same id, or of a process that was killed.
    #[error(
        "host id {host} is taken by session {owner:#x}: it is free when that session has ended"
    )]
    Taken {
        /// The id.
        host: String,
        /// The session.
        owner: i64,
    },
    /// A node that no session owns stands where the host's is to be.
    #[error(
        "node {path} is persistent: no host made it, and none can register there; delete it, or choose another host id"
    )]
    Unowned {
        /// The host's node.
        path: String,
    },
}
