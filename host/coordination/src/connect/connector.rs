//! Connects by the client library, set up for this ensemble.

use zookeeper_client::{Client, Error};

use super::{Credentials, Ensemble};

/// Asks for a session. A read-only server is taken too, so that the host can say that the server is read-only.
pub(crate) async fn connect(ensemble: &Ensemble) -> Result<Client, Error> {
    let mut connector = Client::connector()
        .with_session_timeout(ensemble.session_timeout)
        .with_readonly(true);
    if let Some(Credentials { scheme, secret }) = &ensemble.auth {
        connector = connector.with_auth(scheme, secret);
    }
    match &ensemble.tls {
        Some(tls) => {
            let connector = connector.with_tls(tls.options());
            connector.secure_connect(&ensemble.servers).await
        }
        None => connector.connect(&ensemble.servers).await,
    }
}
