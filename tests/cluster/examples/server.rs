//! A server on this machine that remembers what it was asked, and answers as the test says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use soloist_tests::{PATIENCE, eventually};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::io::TokioIo;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) bytes: Bytes,
    /// How many requests before it bore the same idempotency key.
    pub(crate) earlier_of_key: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What is answered.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    comes: bool,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            comes: true,
        }
    }

    /// None, though the request was taken.
    pub(crate) fn never() -> Self {
        Self {
            comes: false,
            ..Self::status(500)
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The server, which ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Answers = dyn Fn(&Seen) -> Reply + Send + Sync;

impl Server {
    pub(crate) async fn start(
        answers: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (all, answers) = (
            Arc::clone(&seen),
            Arc::<Answers>::from(Box::new(answers) as Box<Answers>),
        );
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, answers) = (Arc::clone(&all), Arc::clone(&answers));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&all), Arc::clone(&answers))
                });
                tokio::spawn(async move {
                    // How it ends is the client's business.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            seen,
            serving,
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn requests(&self, count: usize) -> Result<()> {
        eventually("requests", PATIENCE, async || {
            (self.seen().len() >= count).then_some(())
        })
        .await
    }

    /// Waits for a request with that body.
    pub(crate) async fn body(&self, body: &str) -> Result<()> {
        let has_come = || self.seen().iter().any(|request| request.body == body);
        eventually(body, PATIENCE, async || has_come().then_some(())).await
    }
}

async fn answer(
    request: Request<Incoming>,
    all: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Answers>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let headers: BTreeMap<String, String> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let path = request.uri().path().to_owned();
    let Ok(body) = request.into_body().collect().await else {
        // Cut before it was whole: it was not asked.
        return std::future::pending().await;
    };
    let bytes = body.to_bytes();
    let reply = {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = headers.get("idempotency-key");
        let seen = Seen {
            path,
            body: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
            earlier_of_key: all
                .iter()
                .filter(|it| key.is_some() && it.headers.get("idempotency-key") == key)
                .count(),
            headers,
        };
        let reply = answers(&seen);
        all.push(seen);
        reply
    };
    if !reply.comes {
        return std::future::pending().await;
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response
        .body(Full::default())
        .expect("the reply is one of HTTP"))
}
