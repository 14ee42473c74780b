//! What can come between a host and a session.

use std::time::Duration;

use zookeeper_client::Error;

use super::Ensemble;
use crate::error::NodeError;
use soloist_core::lease::NoRoom;

/// A session could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The ensemble does not take us for whom we say we are.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It was not there, or whatever else the client library says.
    #[error(transparent)]
    Client(#[from] Error),
}

/// The ensemble does not take us for whom we say we are.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It refuses what it was shown.
    #[error("the ensemble at {servers} refuses the credentials: {remedy}")]
    Refused {
        /// The servers.
        servers: String,
        /// What to look at.
        remedy: String,
    },
    /// It lets us in, but as nobody.
    #[error(
        "a server of the ensemble at {servers} does not take this session for that of the user {user} of `sasl_file`: have all \
         servers know a JAAS configuration with a section Server (java.security.auth.login.config), and none of them let users in \
         who have failed (zookeeper.allowSaslFailedClients)"
    )]
    Nobody {
        /// The servers.
        servers: String,
        /// Who we said we are.
        user: String,
    },
    /// It knows us, and does not know what it could permit us.
    #[error(
        "a server of the ensemble at {servers} knows no ACL of the scheme sasl, to which `acl` refers: set \
         authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider in zoo.cfg of every server"
    )]
    NoRights {
        /// The servers.
        servers: String,
    },
    /// It cannot say for whom it takes us.
    #[error(
        "a server of the ensemble at {servers} cannot say whether it knows the user of `sasl_file`: take ZooKeeper 3.7 or later"
    )]
    Untold {
        /// The servers.
        servers: String,
    },
}

impl IdentityError {
    /// The ensemble refuses what it was shown.
    pub(super) fn refused(ensemble: &Ensemble) -> Self {
        let auth = ensemble.auth.iter().map(|_| "check `auth`".to_owned());
        let sasl = ensemble.sasl.iter().map(|user| {
            let name = &user.name;
            format!(
                "`sasl_file` has to hold a user and the password that the JAAS configuration of every server has for it \
                 (user_{name}), and servers after 3.9.5 have to be set to take DIGEST-MD5 (zookeeper.fips-mode=false)"
            )
        });
        let remedies: Vec<_> = sasl.chain(auth).collect();
        let remedy = match &remedies[..] {
            [] => "it wants some: set `auth`, `sasl_file` or `tls.certificate`".to_owned(),
            remedies => remedies.join("; "),
        };
        Self::Refused {
            servers: ensemble.servers.clone(),
            remedy,
        }
    }
}

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
    /// The ensemble does not take the host for whom it says it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
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
