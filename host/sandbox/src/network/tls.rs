//! TLS to servers: whom this machine trusts, this plugin trusts.

use std::io;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use soloist_core::grants::HostPattern;

/// The certificates of this machine cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    #[error(
        "no trusted certificates on this machine{detail}: install ca-certificates, or name a file in SSL_CERT_FILE"
    )]
    NoRoots { detail: String },
    #[error("the certificates of this machine could not be read")]
    Stopped(#[source] tokio::task::JoinError),
    #[error("TLS cannot be set up")]
    Setup(#[source] tokio_rustls::rustls::Error),
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
    // The system's own store, or what SSL_CERT_FILE and SSL_CERT_DIR say.
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let detail = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(" ({error})"));
        return Err(TrustError::NoRoots { detail });
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions
        .map_err(TrustError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
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
