//! Why a server gave no answer, or none that is of use.

use std::io;
use std::time::Duration;

use http::StatusCode;
use soloist_tls::TrustError;
use tokio_rustls::rustls;

/// Why a server gave no answer, or none that is of use.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HttpError {
    #[error("{url}: cannot be asked for")]
    Url { url: String },
    #[error("{host}: its address cannot be found")]
    Resolve { host: String, source: io::Error },
    #[error("{url}: is not asked without TLS, since it is not on this machine")]
    Plain { url: String },
    #[error("{url}: no connection")]
    Connect { url: String, source: io::Error },
    #[error("{url}: no connection within {after:?}")]
    Unconnected { url: String, after: Duration },
    #[error("{url}: does not speak TLS")]
    NotTls { url: String },
    #[error(
        "{url}: no TLS with it. If its certificate is of your own authority, name that one's file in SSL_CERT_FILE"
    )]
    Tls { url: String, source: rustls::Error },
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("{url}: silent for {after:?}")]
    Silent { url: String, after: Duration },
    #[error("{url}: the answer broke off, or was no HTTP")]
    Broken { url: String, source: hyper::Error },
    #[error("{url}: answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("{url}: sends us on and on, more than 5 times")]
    Circle { url: String },
    #[error("{url}: sends us to where nothing can be asked for")]
    Nowhere { url: String },
    #[error(
        "{url}: sends us to {to}, without TLS, where anybody on the way could change the answer"
    )]
    Downgrade { url: String, to: String },
    #[error("{url}: answered more than {max} bytes")]
    TooLong { url: String, max: u64 },
    #[error("{url}: sent the file encoded as {encoding}, which was not asked for")]
    Encoded { url: String, encoding: String },
    #[error("{url}: answered with another part of the file than was asked for")]
    OtherPart { url: String },
}

impl HttpError {
    /// Whether another attempt may go better.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Unconnected { .. }
            | Self::Silent { .. }
            | Self::Broken { .. }
            | Self::OtherPart { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 416 | 429)
            }
            _ => false,
        }
    }
}
