//! A file in PEM, and the certificates in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use soloist_core::secret::Secret;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
};
use tokio_rustls::rustls::server::VerifierBuilderError;

use crate::error::FileError;

/// No file of certificates is longer.
const BYTES_MAX: u64 = 1024 * 1024;

/// What a file holds that `setting` of the configuration names. Two are equal if they hold the same.
#[derive(PartialEq, Eq)]
pub struct PemFile {
    pub(crate) setting: &'static str,
    pub(crate) path: PathBuf,
    /// It may be a key.
    text: Secret,
}

impl PemFile {
    /// Reads the file. What it holds is not judged yet. It blocks.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn read(setting: &'static str, path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Read {
            setting,
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let read = File::open(path)
            .and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(failed)?;
        if read as u64 > BYTES_MAX {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(Self {
            setting,
            path: path.to_owned(),
            text: Secret::new(text),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text itself: not for a message, it may be a key.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Those who vouch for others: at least one, and none that cannot be read.
    ///
    /// # Errors
    /// [`FileError::NotPem`], [`FileError::BadCa`], [`FileError::NoCertificate`].
    pub fn authorities(&self) -> Result<RootCertStore, FileError> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in self.certificates()?.into_iter().enumerate() {
            roots.add(certificate).map_err(|source| FileError::BadCa {
                setting: self.setting,
                path: self.path.clone(),
                number: index + 1,
                source,
            })?;
        }
        Ok(roots)
    }

    /// Lists of certificates that were revoked, if there are any.
    ///
    /// # Errors
    /// [`FileError::NotPem`].
    pub fn revocations(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
        self.items()
    }

    /// What is told if one of [`Self::revocations`] cannot be used.
    pub fn bad_revocations(&self, source: VerifierBuilderError) -> FileError {
        FileError::Revocations {
            setting: self.setting,
            path: self.path.clone(),
            source,
        }
    }

    /// All certificates in their order: at least one.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FileError> {
        let certificates: Vec<_> = self.items()?;
        if certificates.is_empty() {
            return Err(FileError::NoCertificate {
                setting: self.setting,
                path: self.path.clone(),
            });
        }
        Ok(certificates)
    }

    /// The first key.
    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, FileError> {
        // What the parser says of a key is not told: it might quote it.
        PrivateKeyDer::from_pem_slice(self.expose().as_bytes()).map_err(|_| FileError::NoKey {
            setting: self.setting,
            path: self.path.clone(),
        })
    }

    /// All of a kind that is in the text.
    fn items<T: PemObject>(&self) -> Result<Vec<T>, FileError> {
        T::pem_slice_iter(self.expose().as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| FileError::NotPem {
                setting: self.setting,
                path: self.path.clone(),
            })
    }
}
