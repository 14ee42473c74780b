//! The certificates of the listener, for whoever checks them and whoever answers with them.

use soloist_admin::{FileError, Tls, TlsFiles};
use soloist_config::ListenConfig;

/// Reads and judges the certificates of the listener, if it has some.
pub(super) fn tls(listen: &ListenConfig) -> Result<Option<Tls>, FileError> {
    files(listen).map(Tls::load).transpose()
}

/// Which files those are.
pub(super) fn files(listen: &ListenConfig) -> Option<TlsFiles> {
    listen.tls.as_ref().map(|tls| TlsFiles {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
    })
}
