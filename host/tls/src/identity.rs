//! Who a host is to the other side.

use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::FileError;
use crate::pem::PemFile;

/// A certificate with its chain, and the key to it, as they were read.
#[derive(PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then those of the authorities between it and the one that the other side knows.
    pub certificate: PemFile,
    /// Its key.
    pub key: PemFile,
}

impl Identity {
    /// Hands certificates and key to what makes a configuration of them, and says what is wrong with them.
    ///
    /// # Errors
    /// [`FileError`] names the file, and says what to do.
    pub fn configure<C>(
        &self,
        configure: impl FnOnce(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) -> Result<C, Error>,
    ) -> Result<C, FileError> {
        let Self { certificate, key } = self;
        let configured = configure(certificate.certificates()?, key.private_key()?);
        let (certificate_path, key_path) = (&*certificate.path, &*key.path);
        configured.map_err(|source| match source {
            Error::InconsistentKeys(_) => FileError::OtherKey {
                setting: key.setting,
                certificate: certificate_path.into(),
                key: key_path.into(),
            },
            source => FileError::Identity {
                setting: certificate.setting,
                certificate: certificate_path.into(),
                key: key_path.into(),
                source,
            },
        })
    }
}
