//! Whether the servers take a session for that of the user that was shown by SASL.
//!
//! A server without SASL answers the client library as if all were well, and so does one that lets users in who have failed
//! (`allowSaslFailedClients`). What such a session does, nobody has done. So the host asks who it is.

use zookeeper_client::{Client, Error};

use super::{ConnectError, Ensemble, IdentityError};

/// The scheme of identities that are shown by SASL.
const SCHEME: &str = "sasl";

/// Asks the server at hand who this is, if it was told so by SASL.
pub(crate) async fn verify(client: &Client, ensemble: &Ensemble) -> Result<(), ConnectError> {
    let Some(user) = &ensemble.sasl else {
        return Ok(());
    };
    let servers = ensemble.servers.clone();
    let known = match client.list_auth_users().await {
        Ok(known) => known,
        Err(Error::Unimplemented) => return Err(IdentityError::Untold { servers }.into()),
        Err(error) => return Err(error.into()),
    };
    // Such a server has no name for what it cannot judge.
    let shown = known.iter().find(|shown| {
        let is_ours = shown.user() == user.name || shown.user().is_empty();
        shown.scheme() == SCHEME && is_ours
    });
    let wants_rights = ensemble
        .acl
        .iter()
        .any(|entry| matches!(entry.scheme(), "auth" | SCHEME));
    match shown {
        None => Err(IdentityError::Nobody {
            servers,
            user: user.name.clone(),
        }
        .into()),
        Some(shown) if shown.user().is_empty() && wants_rights => {
            Err(IdentityError::NoRights { servers }.into())
        }
        Some(_) => Ok(()),
    }
}
