//! Connectors of the client library, set up for this ensemble.

use std::time::Duration;

use zookeeper_client::{Client, Connector};

use super::Credentials;

/// Connects to any server. One that is read-only is accepted, so that the host can say that it is.
pub(crate) fn connector(session_timeout: Duration, auth: Option<&Credentials>) -> Connector {
    writing_connector(session_timeout, auth).with_readonly(true)
}

/// Connects to servers that can write.
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
