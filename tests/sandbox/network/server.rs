//! Servers on this machine.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use soloist_dev::testbed::{PATIENCE, runtime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::io::TokioIo;

/// A server on this machine, which ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Connections over which something has come.
    heard: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Serves each connection with `serve`.
    pub(crate) fn start<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_hearing(Arc::default(), serve)
    }

    pub(crate) fn start_hearing<F>(
        heard: Arc<AtomicUsize>,
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::<AtomicUsize>::default();
        runtime.spawn({
            let accepted = Arc::clone(&accepted);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(serve(stream));
                }
            }
        });
        Self {
            address,
            accepted,
            heard,
            _runtime: runtime,
        }
    }

    /// Answers requests.
    pub(crate) fn http() -> Self {
        Self::start(serve)
    }

    /// Reads what comes, answers with `answer` as soon as something has come, and tells how the connection ended.
    pub(crate) fn listening(answer: &'static [u8]) -> (Self, mpsc::Receiver<io::Result<usize>>) {
        let (ended, end) = mpsc::channel();
        let heard = Arc::<AtomicUsize>::default();
        let server = Self::start_hearing(Arc::clone(&heard), move |mut stream| {
            let (ended, heard) = (ended.clone(), Arc::clone(&heard));
            async move {
                let (mut bytes, mut buffer) = (0, vec![0; 65536]);
                let outcome = loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) => break Ok(bytes),
                        Ok(read) if bytes == 0 => {
                            bytes = read;
                            stream.write_all(answer).await.expect("the guest is there");
                            heard.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(read) => bytes += read,
                        Err(error) => break Err(error),
                    }
                };
                let _ = ended.send(outcome);
            }
        });
        (server, end)
    }

    /// Says back what it hears.
    pub(crate) fn echo() -> Self {
        Self::start(|mut stream| async move {
            let (mut reader, mut writer) = stream.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        })
    }

    /// Announces an answer so many times, and then gives it.
    pub(crate) fn announcing(times: usize) -> Self {
        Self::start(move |mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            for _ in 0..times {
                // The guest's host may have had enough.
                if stream
                    .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                    .await
                    .is_err()
                {
                    return;
                }
            }
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere")
                .await;
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port())
    }

    pub(crate) fn origin(&self) -> String {
        self.url("")
    }

    /// Waits until so many connections have come.
    pub(crate) fn wait_for(&self, accepted: usize) {
        let end = Instant::now() + PATIENCE;
        while self.accepted() < accepted {
            assert!(
                Instant::now() < end,
                "only {} connections have come",
                self.accepted()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until something has come over a connection: before that the guest may not have it yet.
    pub(crate) fn wait_until_heard(&self) {
        let end = Instant::now() + PATIENCE;
        while self.heard.load(Ordering::SeqCst) == 0 {
            assert!(
                Instant::now() < end,
                "nothing has come over {} connections",
                self.accepted()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    // How it ends is the guest's business.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| async { answer(request).await }),
        )
        .await;
}

pub(crate) async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let full = |text: String| {
        Full::new(Bytes::from(text))
            .map_err(|never| match never {})
            .boxed()
    };
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/echo" => Response::new(request.into_body().boxed()),
        "/never" => std::future::pending().await,
        "/redirect" => {
            let to = request.uri().query().unwrap_or_default().to_owned();
            Response::builder()
                .status(302)
                .header("location", to)
                .body(full(String::new()))
                .unwrap()
        }
        "/headers" => {
            let mut response = Response::new(full(String::new()));
            for number in 0..1000 {
                response.headers_mut().insert(
                    hyper::header::HeaderName::try_from(format!("x-{number}")).unwrap(),
                    hyper::header::HeaderValue::from_static("x"),
                );
            }
            response
        }
        "/long-header" => Response::builder()
            .header("x-long", "x".repeat(200_000))
            .body(full(String::new()))
            .unwrap(),
        _ => {
            let mut told = format!("{} {path}", request.method());
            let mut headers: Vec<_> = request.headers().iter().collect();
            headers.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in headers {
                let _ = write!(told, "|{name}={}", value.to_str().unwrap());
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let _ = write!(told, "|{} bytes", body.len());
            Response::builder()
                .header("x-answer", "yes")
                .body(full(told))
                .unwrap()
        }
    })
}
