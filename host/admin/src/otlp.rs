//! Sends spans to a collector, by OTLP over HTTP, on a thread of its own.
//!
//! Nobody waits for it. What waits is bounded, and what the collector does not take is counted and dropped: it is away, or it
//! is slow, and a later attempt would only have more to send.

use std::io;
use std::sync::Arc;
use std::sync::mpsc as wait;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use soloist_core::grants::{HostPattern, Scheme};
use soloist_core::spans::{Collector, Sent, Span, Tracer};
use soloist_tls::trusted_by_machine;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

mod encode;
mod terms;

pub use terms::TermSpans;

/// How many spans are sent with one request.
const BATCH_MAX: usize = 512;

/// How long spans wait for others that could be sent with them.
const GATHER_TIME: Duration = Duration::from_millis(500);

/// How long a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// How long nothing is sent after a request that has failed. Meanwhile what waits is bounded.
const PAUSE: Duration = Duration::from_secs(2);

/// How long the end of the process waits for the last spans.
const LAST_TIME: Duration = Duration::from_secs(1);

/// Sends spans until it is dropped; then it sends what waits, if that does not take long.
#[derive(Debug)]
pub struct Exporting {
    stop: watch::Sender<bool>,
    sent: wait::Receiver<()>,
}

/// A request has failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it cannot be reached")]
    Unreachable(#[from] io::Error),
    #[error("it does not speak HTTP/1.1")]
    Http(#[from] hyper::Error),
    #[error("no request can be made of it")]
    Request(#[from] http::Error),
    #[error("it answers with {0}")]
    Refused(StatusCode),
    #[error("it takes too long")]
    Late,
}

impl Exporting {
    /// Begins to send the spans of this host.
    ///
    /// # Errors
    /// There is no thread for it, or no certificates that could be trusted.
    pub fn begin(
        collector: Collector,
        host: Arc<str>,
        tracer: Arc<Tracer>,
        spans: mpsc::Receiver<Span>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let tls = match collector.origin.scheme {
            Scheme::Https => Some(connector()?),
            Scheme::Http => None,
        };
        let exporter = Exporter {
            collector,
            tls,
            host,
            tracer,
        };
        let (stop, stopped) = watch::channel(false);
        let (all_sent, sent) = wait::channel();
        std::thread::Builder::new()
            .name("otlp".into())
            .spawn(move || {
                let mut to_end = stopped.clone();
                runtime.block_on(async {
                    tokio::select! {
                        () = exporter.run(spans, stopped) => {}
                        () = async {
                            ended(&mut to_end).await;
                            sleep(LAST_TIME).await;
                        } => {}
                    }
                });
                drop(all_sent);
            })?;
        Ok(Self { stop, sent })
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let _ = self.sent.recv_timeout(2 * LAST_TIME);
    }
}

/// Waits until the process is about to end.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    // Whoever could say so says so by going away as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

struct Exporter {
    collector: Collector,
    tls: Option<TlsConnector>,
    host: Arc<str>,
    tracer: Arc<Tracer>,
}

impl Exporter {
    async fn run(self, mut spans: mpsc::Receiver<Span>, mut stopped: watch::Receiver<bool>) {
        let mut batch = Vec::new();
        let mut has_told = false;
        loop {
            let is_last = tokio::select! {
                received = spans.recv_many(&mut batch, BATCH_MAX) => received == 0,
                () = ended(&mut stopped) => true,
            };
            let gather = async {
                while batch.len() < BATCH_MAX {
                    let room = BATCH_MAX - batch.len();
                    if spans.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            };
            tokio::select! {
                _ = timeout(GATHER_TIME, gather) => {}
                () = ended(&mut stopped) => {}
            }
            while let (true, Ok(span)) = (batch.len() < BATCH_MAX, spans.try_recv()) {
                batch.push(span);
            }
            if batch.is_empty() {
                if is_last {
                    return;
                }
                continue;
            }
            let sent = timeout(REQUEST_TIME, self.send(&batch)).await;
            let failed = sent.unwrap_or(Err(Failed::Late)).err();
            let outcome = if failed.is_some() {
                Sent::Failed
            } else {
                Sent::Sent
            };
            self.tracer.count(outcome, batch.len());
            batch.clear();
            match failed {
                None => has_told = false,
                Some(failed) => {
                    // It is said once, and counted each time.
                    if !std::mem::replace(&mut has_told, true) {
                        let failed = soloist_core::event::chain(&failed);
                        tracing::warn!(
                            "`otlp`: spans are not sent to {}: {failed}",
                            self.collector.origin
                        );
                    }
                    tokio::select! {
                        () = sleep(PAUSE) => {}
                        () = ended(&mut stopped) => return,
                    }
                }
            }
        }
    }

    async fn send(&self, spans: &[Span]) -> Result<(), Failed> {
        let origin = &self.collector.origin;
        let stream = match &origin.host {
            HostPattern::Address(address) => TcpStream::connect((*address, origin.port)).await?,
            HostPattern::Name(name) | HostPattern::Below(name) => {
                TcpStream::connect((&**name, origin.port)).await?
            }
        };
        let body = Bytes::from(encode::request(&self.host, spans));
        let Some(tls) = &self.tls else {
            return self.post(stream, body).await;
        };
        let name = match &origin.host {
            HostPattern::Address(address) => ServerName::from(*address),
            HostPattern::Name(name) | HostPattern::Below(name) => {
                ServerName::try_from(name.clone()).map_err(io::Error::other)?
            }
        };
        self.post(tls.connect(name, stream).await?, body).await
    }

    async fn post<S>(&self, stream: S, body: Bytes) -> Result<(), Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::post(&self.collector.path)
            .header(HOST, self.collector.origin.authority())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, concat!("soloist/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))?;
        let answered = tokio::select! {
            answered = sender.send_request(request) => answered?,
            // It ends before only if there is no answer.
            ended = connection => {
                ended?;
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
            }
        };
        match answered.status() {
            status if status.is_success() => Ok(()),
            status => Err(Failed::Refused(status)),
        }
    }
}

/// What connects with TLS: whom this machine trusts is trusted.
fn connector() -> io::Result<TlsConnector> {
    let config = trusted_by_machine().map_err(io::Error::other)?;
    Ok(TlsConnector::from(Arc::new(config)))
}
