//! How to connect, and what can be wrong with a connection.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;
use zookeeper_client::{Acl, Client, Connector, Error};

use super::error::NodeError;
use soloist_core::access::Auth;
use soloist_core::lease::NoRoom;

/// Where the ensemble is, what of it is Soloist's, and who this is to it.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// The servers: `host:port,...`, without a chroot.
    pub servers: String,
    /// What the paths of all tasks are relative to; empty or a path.
    pub chroot: String,
    /// The node below the chroot under which everything is kept.
    pub root: String,
    /// The session timeout to ask for.
    pub session_timeout: Duration,
    /// Scheme and credentials.
    pub auth: Option<Credentials>,
    /// The ACL of every node that is created.
    pub acl: Vec<Acl>,
}

/// How a host keeps a session.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// With whom.
    pub ensemble: Ensemble,
    /// The id of this host.
    pub host: Arc<str>,
    /// The ensemble's tick.
    pub tick_time: Duration,
    /// The longest time any task needs for its demotion, at first.
    pub demote_timeout: Duration,
    /// Give up when nothing can be stood for within this time.
    pub connect_timeout: Option<Duration>,
}

/// An identity to show to the ensemble. Never printed.
#[derive(Clone)]
pub struct Credentials {
    /// The scheme, such as `digest`.
    pub scheme: String,
    /// What the scheme asks for.
    pub secret: Vec<u8>,
}

impl From<&Auth> for Credentials {
    fn from(auth: &Auth) -> Self {
        Self {
            scheme: auth.scheme.clone(),
            secret: auth.credential.expose().as_bytes().to_vec(),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// A session could not be had, or not be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No server let us in.
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

/// How long a server is given to accept a connection when it is asked what is in the way of one.
const OBSTACLE_TIME: Duration = Duration::from_secs(1);

/// What is in the way of a session, server by server, once it could not be had for `error`: that alone does not tell a
/// server that is not there from one that is slow.
pub(super) async fn obstacles(servers: &str, error: &Error) -> String {
    let several = servers.contains(',');
    let asked = servers.split(',').map(|server| async move {
        let obstacle = match tokio::time::timeout(OBSTACLE_TIME, TcpStream::connect(server)).await {
            Ok(Ok(_)) => format!("connections are accepted, but no session is given: {error}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if several {
            format!("{server}: {obstacle}")
        } else {
            obstacle
        }
    });
    join_all(asked).await.join("; ")
}

/// How to connect. Read-only servers are accepted only to know that they are read-only.
pub(super) fn connector(session_timeout: Duration, auth: Option<&Credentials>) -> Connector {
    writing_connector(session_timeout, auth).with_readonly(true)
}

/// How to connect to servers that can write.
pub(super) fn writing_connector(
    session_timeout: Duration,
    auth: Option<&Credentials>,
) -> Connector {
    let connector = Client::connector().with_session_timeout(session_timeout);
    match auth {
        Some(Credentials { scheme, secret }) => connector.with_auth(scheme, secret),
        None => connector,
    }
}
