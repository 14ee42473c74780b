//! Why TLS to the ensemble cannot be had as `[zookeeper.tls]` says.

use std::path::PathBuf;

use soloist_core::text::printable_path;
use soloist_tls::FileError;

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
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The client library does not take what rustls takes.
    #[error("zookeeper.tls: {} cannot be used", printable_path(path))]
    Refused {
        path: PathBuf,
        source: zookeeper_client::Error,
    },
}
