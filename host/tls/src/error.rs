//! Why a file of certificates cannot be used. Nothing of a key is in it.

use std::io;
use std::path::{Path, PathBuf};

use soloist_core::text::printable_path;
use tokio_rustls::rustls;
use tokio_rustls::rustls::server::VerifierBuilderError;

/// A file that `setting` of the configuration names cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum FileError {
    /// A file cannot be read as text.
    #[error("{setting}: {} cannot be read", printable_path(path))]
    Read {
        setting: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file is broken.
    #[error(
        "{setting}: {} is not PEM (lines of base64 between -----BEGIN and -----END): convert it, for example with openssl x509",
        printable_path(path)
    )]
    NotPem {
        setting: &'static str,
        path: PathBuf,
    },
    /// A file has no certificate.
    #[error(
        "{setting}: {} holds no certificate: it needs at least one -----BEGIN CERTIFICATE-----",
        printable_path(path)
    )]
    NoCertificate {
        setting: &'static str,
        path: PathBuf,
    },
    /// A certificate of those who vouch for others cannot be used.
    #[error(
        "{setting}: certificate {number} of {} cannot be used: take it out, or write it anew",
        printable_path(path)
    )]
    BadCa {
        setting: &'static str,
        path: PathBuf,
        number: usize,
        source: rustls::Error,
    },
    /// A revocation list cannot be used.
    #[error(
        "{setting}: a revocation list (X509 CRL) of {} cannot be used: take it out, or write it anew",
        printable_path(path)
    )]
    Revocations {
        setting: &'static str,
        path: PathBuf,
        source: VerifierBuilderError,
    },
    /// A file has no key.
    #[error(
        "{setting}: {} holds no private key that can be used: write it in PEM and not encrypted, for example with openssl pkcs8 \
         -topk8 -nocrypt",
        printable_path(path)
    )]
    NoKey {
        setting: &'static str,
        path: PathBuf,
    },
    /// Certificate and key are not of each other.
    #[error(
        "{setting}: the key in {} is not that of the certificate in {}: write both anew",
        printable_path(key),
        printable_path(certificate)
    )]
    OtherKey {
        setting: &'static str,
        certificate: Box<Path>,
        key: Box<Path>,
    },
    /// Certificate and key cannot be used.
    #[error(
        "{setting}: the certificate in {} and the key in {} cannot be used: write both anew, with a key of RSA, ECDSA or Ed25519",
        printable_path(certificate),
        printable_path(key)
    )]
    Identity {
        setting: &'static str,
        certificate: Box<Path>,
        key: Box<Path>,
        source: rustls::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}
