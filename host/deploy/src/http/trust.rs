//! Whom this machine trusts, is trusted.

use std::sync::{Arc, Mutex, PoisonError};

use soloist_tls::{TrustError, trusted_by_machine};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

/// What connects with TLS. The certificates are read when it is asked for the first time.
pub(super) fn connector() -> Result<TlsConnector, TrustError> {
    static CONFIG: Mutex<Option<Arc<ClientConfig>>> = Mutex::new(None);
    let mut kept = CONFIG.lock().unwrap_or_else(PoisonError::into_inner);
    let config = match &*kept {
        Some(config) => Arc::clone(config),
        None => Arc::clone(kept.insert(Arc::new(config()?))),
    };
    Ok(TlsConnector::from(config))
}

fn config() -> Result<ClientConfig, TrustError> {
    let mut config = trusted_by_machine()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
