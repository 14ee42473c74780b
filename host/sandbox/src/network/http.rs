//! Outbound HTTP by `wasi:http` 0.3: HTTP/1.1, one connection for each request.
//!
//! Every request is judged by itself, by what it is for: what a server says about going elsewhere is for the plugin to
//! read, and to ask for in a request of its own.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::rustls;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::connection::{Connection, Stream};
use super::gate::{self, CONNECT_TIME, Slot};
use super::resolver::LookupError;
use super::{NetworkAccess, Outbound, tls};
use soloist_core::grants::{HostPattern, Origin, Scheme};

/// How long the headers of a request, and of a response, may be together, in bytes.
pub const HEADER_BYTES: usize = 64 * 1024;

/// How much of a body is taken from the guest at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many headers a response may have.
const HEADERS_MAX: usize = 128;

/// How many responses a server may send that only announce the one to come (1xx): nobody sees them.
const INFORMATIONAL_MAX: usize = 32;

/// How long a server may be silent, unless the request says otherwise.
const SILENCE: Duration = Duration::from_secs(600);

const TASK: HeaderName = HeaderName::from_static("soloist-task");
const FENCING_TOKEN: HeaderName = HeaderName::from_static("soloist-fencing-token");

/// Tells how the exchange with the server went on after the response began.
type Exchange = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NetworkAccess {
    fn set_host_header(&mut self) -> bool {
        // It is set to what was judged.
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Exchange,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Exchange), Error>> + Send> {
        let outbound = Arc::clone(&self.outbound);
        Box::new(async move {
            if !outbound.gate.is_open() {
                return Err(Error::HttpRequestDenied);
            }
            let (response, driver) = tokio::select! {
                biased;
                () = outbound.gate.closed() => return Err(Error::ConnectionTerminated),
                answered = outbound.send(request, options.unwrap_or_default()) => answered?,
            };
            let exchange: Exchange = Box::new(async move {
                driver.await;
                Ok(())
            });
            Ok((response, exchange))
        })
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    fn p3_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        tracing::debug!("a request failed: {error:?}");
        ErrorCode::HttpProtocolError
    }
}

impl Outbound {
    async fn send(
        self: &Arc<Self>,
        mut request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<(Response<WasiBody>, AbortOnDropJoinHandle<()>), Error> {
        let origin = origin(request.uri())?;
        if request.method() == Method::CONNECT {
            // It would make a tunnel of a server.
            return Err(Error::HttpRequestMethodInvalid);
        }
        if let Err(refusal) = self.policy.check_origin(&origin) {
            self.report(&refusal);
            return Err(Error::HttpRequestDenied);
        }
        self.complete(&mut request, &origin)?;
        let slot = self.gate.slot().ok_or_else(|| {
            self.report_no_room(&Errno::MFILE.into());
            Error::ConnectionLimitReached
        })?;
        let patience = options
            .connect_timeout
            .unwrap_or(CONNECT_TIME)
            .min(CONNECT_TIME);
        let connected = timeout(patience, self.connect(&origin, slot)).await;
        let (stream, connection) = connected.map_err(|_| Error::ConnectionTimeout)??;
        let informed = Arc::new(AtomicUsize::new(0));
        hyper::ext::on_informational(&mut request, {
            let (informed, connection) = (Arc::clone(&informed), Arc::downgrade(&connection));
            move |_| {
                // The library would go on for as long as they come.
                if informed.fetch_add(1, Ordering::Relaxed) == INFORMATIONAL_MAX
                    && let Some(connection) = connection.upgrade()
                {
                    connection.cut();
                }
            }
        });
        drop(connection);
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.failed(&error))?;
        let driver = spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error:?}");
            }
        });
        let silence = options.first_byte_timeout.unwrap_or(SILENCE);
        let answered = timeout(silence, sender.send_request(request)).await;
        let response = answered
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| {
                if informed.load(Ordering::Relaxed) > INFORMATIONAL_MAX {
                    self.report(&Uninformative { origin: &origin });
                    return Error::HttpProtocolError;
                }
                self.failed(&error)
            })?;
        let silence = options.between_bytes_timeout.unwrap_or(SILENCE);
        let outbound = Arc::clone(self);
        let body = |incoming| ResponseBody {
            incoming,
            silence,
            alarm: Box::pin(sleep(silence)),
            outbound,
        };
        Ok((
            response.map(|incoming| body(incoming).boxed_unsync()),
            driver,
        ))
    }

    /// Sets what the host says about a request.
    fn complete(&self, request: &mut Request<WasiBody>, origin: &Origin) -> Result<(), Error> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let path = Uri::builder()
            .path_and_query(path)
            .build()
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        if path.to_string().len() > HEADER_BYTES {
            return Err(Error::HttpRequestUriTooLong);
        }
        *request.uri_mut() = path;
        let term = &self.term;
        let authority =
            HeaderValue::from_str(&origin.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
        let headers = request.headers_mut();
        headers.insert(HOST, authority);
        headers.remove(TASK);
        headers.remove(FENCING_TOKEN);
        if self.policy.identify {
            // A task's name may be in any script; a header is in none.
            let task = HeaderValue::from_str(&percent_encoded(&term.task))
                .map_err(|_| Error::ConfigurationError)?;
            headers.insert(TASK, task);
            headers.insert(FENCING_TOKEN, HeaderValue::from(term.fencing_token.0));
        }
        let bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if bytes > HEADER_BYTES {
            return Err(Error::HttpRequestHeaderSectionSize(
                u32::try_from(bytes).ok(),
            ));
        }
        Ok(())
    }

    /// Connects to the first address that answers, of those that may be connected to.
    async fn connect(
        self: &Arc<Self>,
        origin: &Origin,
        slot: Slot,
    ) -> Result<(Box<dyn Duplex>, Arc<Connection>), Error> {
        let addresses = self.addresses(&origin.host).await.map_err(|error| {
            self.report(&error);
            unreachable(error)
        })?;
        let mut slot = Some(slot);
        let mut last = Error::DestinationNotFound;
        for address in addresses {
            let Some(slot) = slot.take().or_else(|| self.gate.slot()) else {
                return Err(Error::ConnectionLimitReached);
            };
            let socket = gate::socket(address.is_ipv6()).map_err(|error| {
                self.report_no_room(&error);
                connect_error_code(&error)
            })?;
            let endpoint = SocketAddr::new(address, origin.port);
            match self.gate.connect(socket, endpoint, slot).await {
                Ok(connection) => {
                    return Ok((
                        self.secure(origin, Arc::clone(&connection)).await?,
                        connection,
                    ));
                }
                Err(error) => last = connect_error_code(&error),
            }
        }
        Err(last)
    }

    async fn secure(
        &self,
        origin: &Origin,
        connection: Arc<Connection>,
    ) -> Result<Box<dyn Duplex>, Error> {
        let stream = Stream(connection);
        if origin.scheme == Scheme::Http {
            return Ok(Box::new(stream));
        }
        let name = tls::server_name(&origin.host).map_err(|_| Error::HttpRequestUriInvalid)?;
        let connector = tls::connector().await.map_err(|error| {
            self.report(&error);
            Error::ConfigurationError
        })?;
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                self.report(&Insecure {
                    origin,
                    source: &error,
                });
                Err(insecure(&error).unwrap_or_else(|| connect_error_code(&error)))
            }
        }
    }

    /// What went wrong once the connection was there.
    fn failed(&self, error: &hyper::Error) -> Error {
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

fn connect_error_code(error: &io::Error) -> Error {
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

/// A way to a server, secured or not.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What a request is for: the one thing that its connection and its `Host` are made of.
fn origin(uri: &Uri) -> Result<Origin, Error> {
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(Error::HttpProtocolError),
    };
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let origin = Origin::new(&format!("{scheme}://{authority}"))
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    match origin.host {
        HostPattern::Below(_) => Err(Error::HttpRequestUriInvalid),
        _ => Ok(origin),
    }
}

fn unreachable(error: LookupError) -> Error {
    match error {
        LookupError::NoName { .. } => Error::HttpRequestUriInvalid,
        LookupError::Refused(_) => Error::DestinationIpProhibited,
        LookupError::Ended => Error::ConnectionTerminated,
        LookupError::TimedOut { .. } => Error::DnsTimeout,
        LookupError::NoAddress { .. } => Error::DestinationNotFound,
        LookupError::Failed { source, .. } => Error::DnsError {
            rcode: Some(source.to_string()),
            info_code: None,
        },
    }
}

/// A server whose identity cannot be relied on, or that does not speak TLS.
#[derive(Debug, thiserror::Error)]
#[error("no secure connection to {origin}: {source}")]
struct Insecure<'a> {
    origin: &'a Origin,
    source: &'a io::Error,
}

/// A server that announces an answer again and again, and does not give it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{origin} has sent more than {INFORMATIONAL_MAX} informational responses (1xx) instead of one that counts"
)]
struct Uninformative<'a> {
    origin: &'a Origin,
}

fn insecure(error: &io::Error) -> Option<Error> {
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

/// What the guest said that ended its own request, as far as it can be said again.
fn guest_error_code(error: &Error) -> Error {
    match error {
        Error::HttpRequestBodySize(size) => Error::HttpRequestBodySize(*size),
        Error::InternalError(reason) => Error::InternalError(reason.clone()),
        _ => Error::HttpProtocolError,
    }
}

/// What stays itself in a header, and everything else as `%` and two digits for each byte.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// What a server answers, for as long as it goes on.
struct ResponseBody {
    incoming: Incoming,
    silence: Duration,
    alarm: Pin<Box<Sleep>>,
    outbound: Arc<Outbound>,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let deadline = Instant::now() + self.silence;
                self.alarm.as_mut().reset(deadline);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.outbound.failed(&error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self
                .alarm
                .as_mut()
                .poll(context)
                .map(|()| Some(Err(Error::ConnectionReadTimeout))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(authority: &str) -> Result<String, Error> {
        origin(
            &Uri::builder()
                .scheme("https")
                .authority(authority)
                .path_and_query("/")
                .build()
                .unwrap(),
        )
        .map(|origin| origin.to_string())
    }

    #[test]
    fn what_a_request_is_for_is_read_in_one_way_only() {
        assert_eq!(
            asked("API.example.com.").unwrap(),
            "https://api.example.com"
        );
        assert_eq!(
            asked("api.example.com:443").unwrap(),
            "https://api.example.com"
        );
        assert_eq!(
            asked("[::ffff:10.0.0.1]:8443").unwrap(),
            "https://10.0.0.1:8443"
        );
        for trick in [
            "granted@evil.example",
            "granted:80@evil.example",
            "0x7f.1",
            "127.1",
            "2130706433",
            "*.example",
        ] {
            assert!(
                matches!(asked(trick), Err(Error::HttpRequestUriInvalid)),
                "{trick}"
            );
        }
    }

    #[test]
    fn a_task_of_any_name_fits_into_a_header() {
        assert_eq!(percent_encoded("nightly-report"), "nightly-report");
        assert_eq!(percent_encoded("a b%ü\r\n"), "a%20b%25%C3%BC%0D%0A");
    }
}
