//! The body of a response, as the guest reads it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::Error;

use super::super::Outbound;

/// The body that a server sends. It fails if the server is silent for too long.
pub(super) struct ResponseBody {
    incoming: Incoming,
    silence: Duration,
    alarm: Pin<Box<Sleep>>,
    outbound: Arc<Outbound>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, silence: Duration, outbound: Arc<Outbound>) -> Self {
        Self {
            incoming,
            silence,
            alarm: Box::pin(sleep(silence)),
            outbound,
        }
    }
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
