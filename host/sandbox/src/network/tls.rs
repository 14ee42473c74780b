//! TLS to servers: whom this machine trusts, this plugin trusts.

use std::io;
use std::sync::Arc;

use soloist_core::grants::HostPattern;
use soloist_tls::trusted_by_machine;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};

/// The certificates of this machine cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    #[error(transparent)]
    Untrusting(#[from] soloist_tls::TrustError),
    #[error("the certificates of this machine could not be read")]
    Stopped(#[source] tokio::task::JoinError),
}

/// What connects with TLS, after reading the certificates when it is asked for the first time.
pub(super) async fn connector() -> Result<TlsConnector, TrustError> {
    static CONFIG: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    let config = CONFIG.get_or_try_init(async || {
        tokio::task::spawn_blocking(config)
            .await
            .map_err(TrustError::Stopped)?
    });
    Ok(TlsConnector::from(Arc::clone(config.await?)))
}

fn config() -> Result<Arc<ClientConfig>, TrustError> {
    let mut config = trusted_by_machine()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whose certificate the server must have.
pub(super) fn server_name(host: &HostPattern) -> Result<ServerName<'static>, InvalidDnsNameError> {
    match host {
        HostPattern::Address(address) => Ok(ServerName::from(*address)),
        HostPattern::Name(name) | HostPattern::Below(name) => ServerName::try_from(name.clone()),
    }
}

/// What rustls says, if it was rustls.
pub(super) fn cause(error: &io::Error) -> Option<&tokio_rustls::rustls::Error> {
    error.get_ref()?.downcast_ref()
}
