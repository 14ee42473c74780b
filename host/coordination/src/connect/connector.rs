//! Connectors of the client library, set up for this ensemble.

use std::time::Duration;

use zookeeper_client::{Client, Connector};

use super::Credentials;

/// A connector that accepts a read-only server too, so that the host can say that the server is read-only.
pub(crate) fn connector(session_timeout: Duration, auth: Option<&Credentials>) -> Connector {
    writing_connector(session_timeout, auth).with_readonly(true)
}

/// A connector that accepts only servers that can write.
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
