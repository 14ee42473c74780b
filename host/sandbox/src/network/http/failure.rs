//! Failures, as the guest is told of them.

use std::io;

use rustix::io::Errno;
use tokio_rustls::rustls;
use wasmtime_wasi_http::Error;

use super::super::resolver::LookupError;
use super::super::{Outbound, tls};
use soloist_core::grants::Origin;

impl Outbound {
    /// The error code for a failure after the host has connected.
    pub(super) fn failed(&self, error: &hyper::Error) -> Error {
        tracing::debug!("a request failed: {error:?}");
        if !self.gate.is_open() {
            return Error::ConnectionTerminated;
        }
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            if let Some(inner) = inner.downcast_ref::<Error>() {
                return guest_error_code(inner);
            }
            if inner.is::<io::Error>() {
                return Error::ConnectionTerminated;
            }
            source = inner.source();
        }
        if error.is_parse_too_large() {
            Error::HttpResponseHeaderSectionSize(None)
        } else if error.is_incomplete_message() {
            Error::HttpResponseIncomplete
        } else if error.is_canceled() || error.is_closed() {
            Error::ConnectionTerminated
        } else {
            Error::HttpProtocolError
        }
    }
}

pub(super) fn connect_error_code(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Error::DestinationIpUnroutable
        }
        _ if matches!(
            Errno::from_io_error(error),
            Some(Errno::MFILE | Errno::NFILE)
        ) =>
        {
            Error::ConnectionLimitReached
        }
        _ => Error::ConnectionTerminated,
    }
}

pub(super) fn lookup_error_code(error: LookupError) -> Error {
    match error {
        LookupError::NoName { .. } => Error::HttpRequestUriInvalid,
        LookupError::Refused(_) | LookupError::NoSockets => Error::DestinationIpProhibited,
        LookupError::Ended => Error::ConnectionTerminated,
        LookupError::TimedOut { .. } => Error::DnsTimeout,
        LookupError::NoAddress { .. } => Error::DestinationNotFound,
        LookupError::Failed { source, .. } => Error::DnsError {
            rcode: Some(source.to_string()),
            info_code: None,
        },
    }
}

/// The error code for a failure of TLS. None if the error is of another kind.
pub(super) fn tls_error_code(error: &io::Error) -> Option<Error> {
    Some(match tls::cause(error)? {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::TlsCertificateError
        }
        rustls::Error::AlertReceived(alert) => Error::TlsAlertReceived {
            alert_id: Some((*alert).into()),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
    })
}

/// The error code for a request whose body the guest ended with an error of its own.
fn guest_error_code(error: &Error) -> Error {
    match error {
        Error::HttpRequestBodySize(size) => Error::HttpRequestBodySize(*size),
        Error::InternalError(reason) => Error::InternalError(reason.clone()),
        _ => Error::HttpProtocolError,
    }
}

/// A server has no certificate that the host trusts, or does not speak TLS.
#[derive(Debug, thiserror::Error)]
#[error("no secure connection to {origin}: {source}")]
pub(super) struct Insecure<'a> {
    pub(super) origin: &'a Origin,
    pub(super) source: &'a io::Error,
}
