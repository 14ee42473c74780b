//! How to connect to the ensemble, what its servers agree to, and what can be in the way.

use std::sync::Arc;
use std::time::Duration;

use zookeeper_client::Acl;

use soloist_core::access::{Auth, SaslUser};
use soloist_core::guardian::Teller;

mod connector;
mod error;
pub(crate) mod greeting;
mod obstacles;
pub(crate) mod probe;
mod sasl;
pub(crate) mod servers;
pub mod tls;

pub(crate) use connector::connect;
pub(crate) use error::ConnectError;
pub use error::{IdentityError, SessionError};
pub(crate) use obstacles::obstacles;
pub(crate) use sasl::verify;
use tls::Tls;

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
    /// How connections are encrypted, if they are.
    pub tls: Option<Tls>,
    /// Scheme and credentials.
    pub auth: Option<Credentials>,
    /// Who to be by SASL, beside that.
    pub sasl: Option<SaslUser>,
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
    /// Who is told what the session has, if somebody is.
    pub guardian: Teller,
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
