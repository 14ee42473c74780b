//! Why the files of `[zookeeper.tls]` cannot be used. Nothing of a key is in it.

use std::io;
use std::path::PathBuf;

use soloist_core::text::printable_path;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::VerifierBuilderError;

/// A file of `[zookeeper.tls]` cannot be used, or a server cannot be verified.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TlsError {
    /// A server is nothing that a certificate can be for.
    #[error(
        "zookeeper.servers: {server:?} is neither a DNS name nor an IP address, so no certificate can be for it: write the name \
         that the server's certificate has"
    )]
    Name { server: String },
    /// A file cannot be read as text.
    #[error("zookeeper.tls: {} cannot be read", printable_path(path))]
    Read { path: PathBuf, source: io::Error },
    /// A file is broken.
    #[error(
        "zookeeper.tls: {} is not PEM (lines of base64 between -----BEGIN and -----END): convert it, for example with openssl x509",
        printable_path(path)
    )]
    NotPem { path: PathBuf },
    /// A file has no certificate.
    #[error(
        "zookeeper.tls: {} holds no certificate: it needs at least one -----BEGIN CERTIFICATE-----",
        printable_path(path)
    )]
    NoCertificate { path: PathBuf },
    /// A certificate of those who vouch for servers cannot be used.
    #[error(
        "zookeeper.tls: certificate {number} of {} cannot be used: take it out, or write it anew",
        printable_path(path)
    )]
    BadCa {
        path: PathBuf,
        number: usize,
        source: rustls::Error,
    },
    /// A revocation list cannot be used.
    #[error(
        "zookeeper.tls: a revocation list (X509 CRL) of {} cannot be used: take it out, or write it anew",
        printable_path(path)
    )]
    Revocations {
        path: PathBuf,
        source: VerifierBuilderError,
    },
    /// A file has no key.
    #[error(
        "zookeeper.tls: {} holds no private key that can be used: write it in PEM and not encrypted, for example with openssl \
         pkcs8 -topk8 -nocrypt",
        printable_path(path)
    )]
    NoKey { path: PathBuf },
    /// Certificate and key are not of each other.
    #[error(
        "zookeeper.tls: the key in {} is not that of the certificate in {}: write both anew",
        printable_path(key),
        printable_path(certificate)
    )]
    OtherKey { certificate: PathBuf, key: PathBuf },
    /// Certificate and key cannot be used.
    #[error(
        "zookeeper.tls: the certificate in {} and the key in {} cannot be used: write both anew, with a key of RSA, ECDSA or Ed25519",
        printable_path(certificate),
        printable_path(key)
    )]
    Identity {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    /// The client library does not take what rustls takes.
    #[error("zookeeper.tls: {} cannot be used", printable_path(path))]
    Refused {
        path: PathBuf,
        source: zookeeper_client::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}
