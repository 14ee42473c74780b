//! Whom this machine trusts, is trusted.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use super::error::HttpError;

/// What connects with TLS. The certificates are read when it is asked for the first time.
pub(super) fn connector() -> Result<TlsConnector, HttpError> {
    static CONFIG: Mutex<Option<Arc<ClientConfig>>> = Mutex::new(None);
    let mut kept = CONFIG.lock().unwrap_or_else(PoisonError::into_inner);
    let config = match &*kept {
        Some(config) => Arc::clone(config),
        None => Arc::clone(kept.insert(Arc::new(config()?))),
    };
    Ok(TlsConnector::from(config))
}

fn config() -> Result<ClientConfig, HttpError> {
    // The system's own store, or what SSL_CERT_FILE and SSL_CERT_DIR say.
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let detail = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(" ({error})"));
        return Err(HttpError::NoRoots { detail });
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(HttpError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
