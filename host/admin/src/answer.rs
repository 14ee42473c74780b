//! How answers look.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A text for people.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// What a page of a browser may do that has come from here: load the other files, ask this host, and no more. Whatever an answer
/// holds, no script in it runs, no other page shows it in a frame, and no address of it is told to another site.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The body of an answer.
pub(crate) enum Answer {
    /// One that is there.
    Whole(Full<Bytes>),
    /// One that comes part by part.
    Live(mpsc::Receiver<Bytes>),
}

/// A text that has one of so many places until it is dropped: whoever reads slowly keeps both.
struct Placed {
    text: String,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Answer {
    pub(crate) fn live(parts: mpsc::Receiver<Bytes>) -> Self {
        Self::Live(parts)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(context),
            Self::Live(parts) => {
                let part = parts.poll_recv(context);
                part.map(|part| part.map(|part| Ok(Frame::data(part))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Live(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Live(_) => SizeHint::default(),
        }
    }
}

pub(crate) fn whole(response: Response<Bytes>) -> Response<Answer> {
    response.map(|body| Answer::Whole(Full::new(body)))
}

/// A body that keeps its place until it has been read.
pub(crate) fn placed(text: String, place: OwnedSemaphorePermit) -> Bytes {
    Bytes::from_owner(Placed {
        text,
        _place: place,
    })
}

pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    respond(status, TEXT, Bytes::from_static(text.as_bytes()))
}

pub(crate) fn respond(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}
