//! Asks another host for lines about a task: `/logs/TASK`, as `soloist logs` does.
//!
//! The address comes from the ensemble, and the answer from whoever is there: neither is trusted with more time or memory than a host
//! needs, and nobody is followed elsewhere.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::uri::Scheme;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use soloist_core::secret::Secret;
use soloist_core::text::printable;
use soloist_tls::{FileError, PemFile, TrustError, trusted_by_machine, trusting};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::logs::{MISSED, NEXT};

/// How long a host may take to let somebody connect, and to answer. It has all that it tells in memory.
const PATIENCE: Duration = Duration::from_secs(10);
/// No host keeps so much of one task.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// What is told of an answer that is no lines.
const TOLD_BYTES_MAX: usize = 300;

/// What stands in a path as it is.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#').add(b'/');

/// Asks hosts for lines.
#[derive(Clone)]
pub struct Client {
    token: Option<Secret>,
    tls: Option<Arc<ClientConfig>>,
}

/// Which lines are asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Those after this place, which an earlier answer has named.
    pub after: Option<String>,
    /// Those from this time on: RFC 3339.
    pub since: Option<String>,
    /// The latest of them, so many at most.
    pub tail: Option<usize>,
}

/// Lines about a task. Whoever answered may have written anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The lines, one object of JSON each, the oldest first.
    pub lines: Vec<String>,
    /// The place after the last one.
    pub next: Option<String>,
    /// How many lines between [`Asked::after`] and the first are kept no more.
    pub missed: u64,
}

/// A host has not told its lines.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none that hosts write.
    #[error("{0:?} is no address of a host: http:// or https://, an address and a port")]
    Address(String),
    /// The host cannot be reached.
    #[error("cannot connect to it: {0}")]
    Connect(#[source] io::Error),
    /// Nothing comes.
    #[error("it does not answer within {PATIENCE:?}")]
    Silent,
    /// The file of those who vouch for hosts cannot be used.
    #[error(transparent)]
    Authorities(FileError),
    /// The host is not verified, or does not speak TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// What it says is no HTTP, or the connection was lost.
    #[error("no answer: {0}")]
    Broken(String),
    /// It wants another token, or any.
    #[error("it wants a token")]
    Unauthorized,
    /// It does not know the task.
    #[error("it has no lines about a task of that name")]
    NoLines,
    /// It tells nobody, or has enough to do.
    #[error("it refuses, with {status}: {}", printable(text))]
    Refused {
        /// The status.
        status: u16,
        /// What it says of it, which may be anything.
        text: String,
    },
}

impl ClientError {
    /// Whether the same may be answered later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Silent | Self::Broken(_) => true,
            Self::Refused { status, .. } => *status == 503,
            Self::Address(_)
            | Self::Authorities(_)
            | Self::Tls(_)
            | Self::Unauthorized
            | Self::NoLines => false,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Client {
    /// Shows this token, if there is one. Hosts that are asked over TLS are vouched for by one of the certificates in the file that
    /// `--ca` names, or by whom this machine trusts. It blocks.
    ///
    /// # Errors
    /// [`ClientError::Authorities`], [`ClientError::Tls`].
    pub fn new(token: Option<Secret>, ca: Option<&Path>) -> Result<Self, ClientError> {
        let tls = ca.map(|path| {
            let read = PemFile::read("--ca", path).and_then(|file| file.authorities());
            let config = trusting(read.map_err(ClientError::Authorities)?);
            let config = config.map_err(|error| ClientError::Tls(error.to_string()))?;
            Ok::<_, ClientError>(Arc::new(config))
        });
        let tls = tls.transpose()?;
        Ok(Self { token, tls })
    }

    /// Asks the host at `url`, `http://ADDRESS:PORT`, for lines of a task.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancellation safety
    /// Dropped, the connection is closed.
    pub async fn lines(&self, url: &str, task: &str, asked: &Asked) -> Result<Lines, ClientError> {
        let bad = || ClientError::Address(url.chars().take(100).collect());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().cloned().ok_or_else(bad)?;
        let has_user = authority.as_str().contains('@');
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(bad()),
        };
        // Whoever names an authority wants only those to have the token whom it vouches for.
        if !is_tls && self.tls.is_some() {
            return Err(ClientError::Tls(
                "it answers without TLS, and --ca was given".to_owned(),
            ));
        }
        let port = authority.port_u16().filter(|_| !has_user).ok_or_else(bad)?;
        let name = authority.host().trim_matches(['[', ']']);
        let mut request = Request::get(target(task, asked))
            .header(HOST, authority.as_str())
            .header(CONNECTION, "close")
            .header(USER_AGENT, concat!("soloist/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|_| bad())?;
        if let Some(token) = &self.token {
            let shown = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut shown = shown.map_err(|_| ClientError::Unauthorized)?;
            shown.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, shown);
        }
        let answered = timeout(PATIENCE, async {
            let stream = TcpStream::connect((name, port)).await;
            let stream = stream.map_err(ClientError::Connect)?;
            let stream: Box<dyn Stream> = if is_tls {
                Box::new(self.secured(name, stream).await?)
            } else {
                Box::new(stream)
            };
            exchange(stream, request).await
        });
        answered.await.map_err(|_| ClientError::Silent)?
    }

    async fn secured(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ClientError> {
        let config = match &self.tls {
            Some(config) => Arc::clone(config),
            None => Arc::new(trusted_by_machine().map_err(untrusting)?),
        };
        let told = |error: &dyn std::error::Error| ClientError::Tls(error.to_string());
        let name = ServerName::try_from(name.to_owned()).map_err(|error| told(&error))?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| told(&error))
    }
}

fn untrusting(error: TrustError) -> ClientError {
    ClientError::Tls(match error {
        TrustError::NoRoots { .. } => {
            "there is no certificate of an authority: say which with --ca".to_owned()
        }
        TrustError::Setup(error) => error.to_string(),
    })
}

/// What is asked for, as a request writes it.
fn target(task: &str, asked: &Asked) -> String {
    let mut target = format!("/logs/{}", utf8_percent_encode(task, PATH));
    let tail = asked.tail.map(|tail| tail.to_string());
    let parts = [
        ("after", &asked.after),
        ("since", &asked.since),
        ("tail", &tail),
    ];
    let given = parts
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    for (at, (name, value)) in given.enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    target
}

async fn exchange(
    stream: Box<dyn Stream>,
    request: Request<Empty<Bytes>>,
) -> Result<Lines, ClientError> {
    let broken = |error: &dyn std::error::Error| ClientError::Broken(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let asking = async {
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(|error| broken(&error))?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| ClientError::Broken(error.to_string()))?;
        Ok((head, body.to_bytes()))
    };
    let mut asking = std::pin::pin!(asking);
    let mut connection = std::pin::pin!(connection);
    let (head, body) = tokio::select! {
        answer = &mut asking => answer?,
        // The other side closes it once all is sent.
        _ = &mut connection => asking.await?,
    };
    let text = String::from_utf8_lossy(&body);
    let header = |name: &HeaderName| head.headers.get(name)?.to_str().ok();
    match head.status {
        StatusCode::OK => Ok(Lines {
            lines: text.lines().map(str::to_owned).collect(),
            next: header(&NEXT).map(str::to_owned),
            missed: header(&MISSED)
                .and_then(|missed| missed.parse().ok())
                .unwrap_or(0),
        }),
        StatusCode::UNAUTHORIZED => Err(ClientError::Unauthorized),
        StatusCode::NOT_FOUND => Err(ClientError::NoLines),
        status => Err(ClientError::Refused {
            status: status.as_u16(),
            text: text.trim().chars().take(TOLD_BYTES_MAX).collect(),
        }),
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_written_as_a_path_has_it() {
        let asked = Asked {
            since: Some("2026-01-01T00:00:00Z".into()),
            tail: Some(7),
            ..Asked::default()
        };
        assert_eq!(
            target("daily report/é?", &asked),
            "/logs/daily%20report%2F%C3%A9%3F?since=2026%2D01%2D01T00%3A00%3A00Z&tail=7"
        );
        assert_eq!(target("a", &Asked::default()), "/logs/a");
    }

    #[tokio::test]
    async fn what_is_no_address_of_a_host_is_not_asked() {
        let client = Client::new(None, None).unwrap();
        for bad in [
            "",
            "10.0.0.1:9464",
            "file:///etc/passwd",
            "http://10.0.0.1",
            "http://ada:hush@10.0.0.1:1",
            "http://a b:1",
            "ftp://10.0.0.1:1",
        ] {
            let asked = client.lines(bad, "a", &Asked::default()).await;
            assert!(
                matches!(asked, Err(ClientError::Address(_))),
                "{bad}: {asked:?}"
            );
        }
    }
}
