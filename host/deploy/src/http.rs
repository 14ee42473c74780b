//! HTTP, as far as fetching needs it: one connection a request, and nothing without a bound.
//!
//! What follows a redirect has no credentials, if it leaves the server that they are for. Only this machine itself is asked
//! without TLS.

mod connection;
mod error;
mod trust;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::timeout;
use url::Url;

use self::connection::Connection;
pub use self::error::HttpError;
use crate::bounds::Bounds;

const REDIRECTS_MAX: usize = 5;

/// Sends requests.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    bounds: Bounds,
}

/// A request to one server. Its headers and its body can hold secrets.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// For the server that is asked, and for no other.
    pub(crate) credentials: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn get() -> Self {
        Self::new(Method::GET)
    }

    pub(crate) fn new(method: Method) -> Self {
        Self {
            method,
            headers: HeaderMap::new(),
            credentials: None,
            body: Bytes::new(),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What a server answers. The connection lasts as long as it.
pub(crate) struct Answer {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    silence: Duration,
    _connection: Connection,
}

impl Client {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds }
    }

    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether the server at the URL speaks TLS. It is sent nothing but the beginning of TLS.
    pub(crate) async fn speaks_tls(&self, url: &Url) -> Result<bool, HttpError> {
        match Connection::open(url, self.bounds.connect).await {
            Ok(_) => Ok(true),
            Err(HttpError::NotTls { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a request and follows redirects, if it asks for something. The status is not judged.
    ///
    /// # Cancellation safety
    /// Dropped, the connection is closed.
    pub(crate) async fn send(&self, url: &Url, mut ask: Ask) -> Result<Answer, HttpError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send_once(&url, &ask).await?;
            let is_redirect = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
            if ask.method != Method::GET || !is_redirect {
                return Ok(answer);
            }
            let next = redirected(&url, &answer.headers)?;
            if next.origin() != url.origin() {
                ask.credentials = None;
            }
            url = next;
        }
        Err(HttpError::Circle { url: shown(&url) })
    }

    async fn send_once(&self, url: &Url, ask: &Ask) -> Result<Answer, HttpError> {
        let mut connection = Connection::open(url, self.bounds.connect).await?;
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(
                HOST,
                &url[url::Position::BeforeHost..url::Position::AfterPort],
            )
            .header(USER_AGENT, concat!("soloist/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(ask.body.clone()))
            .map_err(|_| HttpError::Url { url: shown(url) })?;
        request.headers_mut().extend(
            ask.headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        if let Some(credentials) = &ask.credentials {
            request
                .headers_mut()
                .insert(AUTHORIZATION, credentials.clone());
        }
        // A body is sent before the answer comes, and may take its time.
        let patience = self.bounds.silence + sending(&ask.body);
        let sent = timeout(patience, connection.sender.send_request(request)).await;
        let response = sent
            .map_err(|_| HttpError::Silent {
                url: shown(url),
                after: patience,
            })?
            .map_err(|source| HttpError::Broken {
                url: shown(url),
                source,
            })?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            url: url.clone(),
            status: head.status,
            headers: head.headers,
            body,
            silence: self.bounds.silence,
            _connection: connection,
        })
    }
}

impl Answer {
    /// The next bytes of the body; none at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = timeout(self.silence, self.body.frame()).await;
            let frame = frame.map_err(|_| HttpError::Silent {
                url: shown(&self.url),
                after: self.silence,
            })?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(source)) => {
                    return Err(HttpError::Broken {
                        url: shown(&self.url),
                        source,
                    });
                }
            }
        }
    }

    /// The whole body, if it is not longer than that.
    pub(crate) async fn all(mut self, max: usize) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > max {
                return Err(HttpError::TooLong {
                    url: shown(&self.url),
                    max: max as u64,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// A header as text.
    pub(crate) fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the server means if it is not what was asked for.
    pub(crate) fn refusal(&self) -> HttpError {
        HttpError::Status {
            url: shown(&self.url),
            status: self.status,
        }
    }
}

/// A URL without what may be secret in it: no user, no password, no query.
pub(crate) fn shown(url: &Url) -> String {
    let place = &url[url::Position::BeforeHost..url::Position::AfterPath];
    format!("{}://{place}", url.scheme())
}

/// Where the server sends us, if we may go there.
fn redirected(url: &Url, headers: &HeaderMap) -> Result<Url, HttpError> {
    let location = headers
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    let next = location
        .and_then(|location| url.join(location).ok())
        .filter(|next| matches!(next.scheme(), "http" | "https"))
        .filter(|next| next.username().is_empty() && next.password().is_none())
        .ok_or_else(|| HttpError::Nowhere { url: shown(url) })?;
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(HttpError::Downgrade {
            url: shown(url),
            to: shown(&next),
        });
    }
    Ok(next)
}

/// How long it takes to send a body at 64 KiB a second.
fn sending(body: &Bytes) -> Duration {
    Duration::from_secs(body.len() as u64 >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_of_a_request_is_shown() {
        let ask = Ask {
            credentials: Some(HeaderValue::from_static("Basic hush")),
            headers: HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("hush"))]),
            body: "grant_type=refresh_token&refresh_token=hush".into(),
            ..Ask::new(Method::POST)
        };
        assert_eq!(format!("{ask:?}"), "Ask { method: POST, .. }");
        for (url, expected) in [
            (
                "https://ada:hush@a.example:8443/token?key=hush#hush",
                "https://a.example:8443/token",
            ),
            ("http://hush@[::1]/", "http://[::1]/"),
            ("https://a.example/b", "https://a.example/b"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        }
    }
}
