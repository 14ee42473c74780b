//! Connects by the client library, set up for this ensemble.

use soloist_core::access::SaslUser;
use zookeeper_client::{Client, Error, SaslOptions};

use super::{ConnectError, Credentials, Ensemble, IdentityError, sasl};

/// Asks for a session. A read-only server is taken too, so that the host can say that the server is read-only.
pub(crate) async fn connect(ensemble: &Ensemble) -> Result<Client, ConnectError> {
    let mut connector = Client::connector()
        .with_session_timeout(ensemble.session_timeout)
        .with_readonly(true);
    if let Some(Credentials { scheme, secret }) = &ensemble.auth {
        connector = connector.with_auth(scheme, secret);
    }
    if let Some(SaslUser { name, password }) = &ensemble.sasl {
        let password = password.expose().to_owned();
        connector = connector.with_sasl(SaslOptions::digest_md5(name.clone(), password));
    }
    let connected = match &ensemble.tls {
        Some(tls) => {
            let connector = connector.with_tls(tls.options());
            connector.secure_connect(&ensemble.servers).await
        }
        None => connector.connect(&ensemble.servers).await,
    };
    let client = connected.map_err(|error| match error {
        Error::AuthFailed => IdentityError::refused(ensemble).into(),
        error => ConnectError::Client(error),
    })?;
    sasl::verify(&client, ensemble).await?;
    Ok(client)
}
