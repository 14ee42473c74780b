//! Why the files of the listener cannot be used. Nothing of a key is in it.

use std::io;
use std::path::PathBuf;

use soloist_core::text::printable_path;
use tokio_rustls::rustls;
use tokio_rustls::rustls::server::VerifierBuilderError;

/// A file of the listener cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TlsError {
    /// A file cannot be read as text.
    #[error("{key}: {} cannot be read", printable_path(path))]
    Read {
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file is broken.
    #[error(
        "{key}: {} is not PEM (lines of base64 between -----BEGIN and -----END): convert it, for example with openssl x509",
        printable_path(path)
    )]
    NotPem { key: &'static str, path: PathBuf },
    /// A file has no certificate.
    #[error(
        "{key}: {} holds no certificate: it needs at least one -----BEGIN CERTIFICATE-----",
        printable_path(path)
    )]
    NoCertificate { key: &'static str, path: PathBuf },
    /// A certificate of those who vouch for whoever asks cannot be used.
    #[error(
        "listen_client_ca: certificate {number} of {} cannot be used: take it out, or write it anew",
        printable_path(path)
    )]
    BadCa {
        path: PathBuf,
        number: usize,
        source: rustls::Error,
    },
    /// A revocation list cannot be used.
    #[error(
        "listen_client_ca: a revocation list (X509 CRL) of {} cannot be used: take it out, or write it anew",
        printable_path(path)
    )]
    Revocations {
        path: PathBuf,
        source: VerifierBuilderError,
    },
    /// A file has no key.
    #[error(
        "listen_key: {} holds no private key that can be used: write it in PEM and not encrypted, for example with openssl pkcs8 \
         -topk8 -nocrypt",
        printable_path(path)
    )]
    NoKey { path: PathBuf },
    /// Certificate and key are not of each other.
    #[error(
        "listen_key: the key in {} is not that of the certificate in {}: write both anew",
        printable_path(key),
        printable_path(certificate)
    )]
    OtherKey { certificate: PathBuf, key: PathBuf },
    /// Certificate and key cannot be used.
    #[error(
        "listen_certificate: the certificate in {} and the key in {} cannot be used: write both anew, with a key of RSA, ECDSA or \
         Ed25519",
        printable_path(certificate),
        printable_path(key)
    )]
    Identity {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}
