//! Trust in servers: the authorities that this machine trusts, or given ones.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The certificates of this machine cannot be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TrustError {
    /// There are none.
    #[error(
        "no trusted certificates on this machine{detail}: install ca-certificates, or name a file in SSL_CERT_FILE"
    )]
    NoRoots { detail: String },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// Reads whom this machine trusts, from the system's own store, or from what `SSL_CERT_FILE` and `SSL_CERT_DIR` say. It blocks.
///
/// # Errors
/// [`TrustError`].
pub fn trusted_by_machine() -> Result<ClientConfig, TrustError> {
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
    trusting(roots).map_err(TrustError::Setup)
}

/// Trusts servers that one of these vouches for.
///
/// # Errors
/// TLS cannot be set up.
pub fn trusting(authorities: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    Ok(builder
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities)
        .with_no_client_auth())
}
