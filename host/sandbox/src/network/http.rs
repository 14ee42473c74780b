//! Outbound HTTP by `wasi:http` 0.3: HTTP/1.1, one connection for each request.
//!
//! The policy judges each request by its origin. The host follows no redirect: the plugin reads it and sends a request of
//! its own, which is judged again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use rustix::io::Errno;
use tokio::time::timeout;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::gate::CONNECT_TIME;
use super::{NetworkAccess, Outbound};
use soloist_core::grants::Origin;
use soloist_core::meter::{Effect, Outcome};
use soloist_core::spans::Begun;

mod answers;
mod body;
mod connect;
mod failure;
mod request;

pub use answers::AnswerHttp;
use body::ResponseBody;
use request::{complete, origin};

/// How long all headers of a request, or of a response, may be together, in bytes.
pub const HEADER_BYTES: usize = 64 * 1024;

/// How much of a request's body the host takes from the guest at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many headers a response may have.
const HEADERS_MAX: usize = 128;

/// How many informational responses (1xx) a server may send before the final response. The guest sees none of them.
const INFORMATIONAL_MAX: usize = 32;

/// How long a server may be silent, unless the guest asks for another time.
const SILENCE: Duration = Duration::from_secs(600);

/// Resolves when the exchange with the server has ended, with its error if it failed after the response began.
type Exchange = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NetworkAccess {
    fn set_host_header(&mut self) -> bool {
        // The host itself sets it, to the origin that the policy has judged.
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
            let permit = outbound.gate.permit();
            let begun = permit.begin();
            let counted = |outcome| permit.finish(begun, Effect::Http, outcome);
            if !outbound.gate.is_open() {
                counted(Outcome::Lease);
                return Err(Error::HttpRequestDenied);
            }
            let sent = tokio::select! {
                biased;
                () = outbound.gate.closed() => {
                    counted(Outcome::Lease);
                    return Err(Error::ConnectionTerminated);
                }
                answered = outbound.send(request, options.unwrap_or_default(), begun) => answered,
            };
            counted(match &sent {
                Ok(_) => Outcome::Done,
                Err(Error::HttpRequestDenied | Error::DestinationIpProhibited) => Outcome::Grant,
                Err(_) => Outcome::Error,
            });
            let (response, driver) = sent?;
            let exchange: Exchange = Box::new(async move {
                if let Some(driver) = driver {
                    driver.await;
                }
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
        begun: Option<Begun>,
    ) -> Result<(Response<WasiBody>, Option<AbortOnDropJoinHandle<()>>), Error> {
        let origin = origin(request.uri())?;
        if request.method() == Method::CONNECT {
            // A server that obeys becomes a tunnel to anywhere.
            return Err(Error::HttpRequestMethodInvalid);
        }
        let judged = self.policy.check_origin(&origin);
        if let Err(refusal) = self.pass(judged, |contacts| contacts.add_origin(&origin)) {
            self.report(&refusal);
            return Err(Error::HttpRequestDenied);
        }
        let identity = self.policy.identify.then_some(&*self.term);
        let trace = self.gate.permit().trace_parent(begun);
        complete(&mut request, &origin, identity, trace.as_deref())?;
        if let Some(answers) = &self.answers {
            let answered = self.answered(&**answers, &origin, request).await?;
            return Ok((answered, None));
        }
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
                // The library would read such responses for ever.
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
        let body = |incoming| ResponseBody::new(incoming, silence, outbound).boxed_unsync();
        Ok((response.map(body), Some(driver)))
    }
}

/// A server sends informational responses again and again, and no final one.
#[derive(Debug, thiserror::Error)]
#[error(
    "{origin} has sent more than {INFORMATIONAL_MAX} informational responses (1xx) instead of one that counts"
)]
struct Uninformative<'a> {
    origin: &'a Origin,
}
