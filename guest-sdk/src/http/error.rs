//! Why a request has no answer.

use std::fmt;
use std::time::Duration;

#[cfg(target_family = "wasm")]
use crate::bindings::wasi::http::types::ErrorCode;

/// Why there is no answer, or none to use.
///
/// ```
/// use soloist_sdk::http::{self, Error};
/// use soloist_sdk::testing::{Answer, Harness};
///
/// /// The price of today, or `None` if the shop does not know one yet.
/// async fn price() -> Result<Option<f64>, Error> {
///     match http::get("https://shop.example/price").await?.error_for_status() {
///         Ok(answer) => answer.json().map(Some),
///         Err(Error::Status { status: 404, .. }) => Ok(None),
///         Err(error) => Err(error),
///     }
/// }
///
/// let shop = |answer: fn() -> Answer| Harness::new().http(move |_| answer()).block_on(price());
/// assert_eq!(shop(|| Answer::json(&2.5)).unwrap(), Some(2.5));
/// assert_eq!(shop(|| Answer::status(404)).unwrap(), None);
/// assert!(matches!(shop(|| Answer::text("soon")), Err(Error::Decode { .. })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be made like this.
    Invalid {
        /// Where it was to go.
        url: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The host does not let it out: it is not granted to the task, or the term is over. The host's log has the details.
    Refused {
        /// Where it was to go.
        url: String,
        /// Why not.
        reason: Refused,
    },
    /// It, or its answer, did not get through. The server may have done what was asked all the same.
    Failed {
        /// Where it was to go.
        url: String,
        /// Why not.
        reason: String,
    },
    /// It took too long. The server may have done what was asked all the same.
    TimedOut {
        /// Where it was to go.
        url: String,
        /// What it was given.
        timeout: Duration,
    },
    /// The answer is longer than what is read.
    TooLarge {
        /// Where it comes from.
        url: String,
        /// What is read at most, in bytes.
        max: usize,
    },
    /// Servers have pointed elsewhere too often.
    TooManyRedirects {
        /// Where the last one pointed.
        url: String,
    },
    /// The answer has a status that tells of an error; see [`Response::error_for_status`](super::Response::error_for_status).
    Status {
        /// Where it comes from.
        url: String,
        /// The status.
        status: u16,
    },
    /// The value cannot be written as JSON.
    Encode(serde_json::Error),
    /// The answer is not JSON of this type.
    Decode {
        /// Where it comes from.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Why the host does not let a request out.
///
/// ```
/// use soloist_sdk::http::{self, Error, Refused};
/// use soloist_sdk::testing::{Answer, Harness};
///
/// let test = Harness::new().http(|_| Answer::refused());
/// let error = test.block_on(http::get("https://bank.example")).unwrap_err();
/// assert!(matches!(error, Error::Refused { reason: Refused::Denied, .. }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The origin is not granted, or the term is over.
    Denied,
    /// The name is granted, but its address leads somewhere that is not.
    Address,
    /// As many requests and sockets are open as there may be.
    TooMany,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { url, reason } => write!(f, "{url} cannot be asked: {reason}"),
            Self::Refused {
                url,
                reason: Refused::Denied,
            } => {
                write!(
                    f,
                    "{url} was refused: it is not granted to this task, or the term is over; see the host's log"
                )
            }
            Self::Refused {
                url,
                reason: Refused::Address,
            } => {
                write!(
                    f,
                    "{url} was refused: its address is not granted to this task; see the host's log"
                )
            }
            Self::Refused {
                url,
                reason: Refused::TooMany,
            } => {
                write!(
                    f,
                    "{url} was refused: too many requests and sockets are open: see `sockets` in the task's limits"
                )
            }
            Self::Failed { url, reason } => write!(f, "{url} was not reached: {reason}"),
            Self::TimedOut { url, timeout } => write!(f, "{url} did not answer within {timeout:?}"),
            Self::TooLarge { url, max } => write!(f, "{url} answers with more than {max} bytes"),
            Self::TooManyRedirects { url } => write!(f, "redirected too often, at last to {url}"),
            Self::Status { url, status } => write!(f, "{url} answered with status {status}"),
            Self::Encode(source) => write!(
                f,
                "the body of a request cannot be written as JSON: {source}"
            ),
            Self::Decode { url, source } => {
                write!(f, "what {url} answers is not the JSON expected: {source}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Encode(source) | Self::Decode { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(target_family = "wasm")]
pub(super) fn failure(url: &str, code: ErrorCode) -> Error {
    let url = url.to_owned();
    let reason = match code {
        ErrorCode::HttpRequestDenied => Refused::Denied,
        ErrorCode::DestinationIpProhibited => Refused::Address,
        ErrorCode::ConnectionLimitReached => Refused::TooMany,
        code => {
            return Error::Failed {
                url,
                reason: code.to_string(),
            };
        }
    };
    Error::Refused { url, reason }
}
