//! The two streams of a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::net::Shutdown;
use tokio::sync::oneshot;
use wasmtime::component::{
    Destination, Source, StreamConsumer, StreamProducer, StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

use super::super::super::connection::Connection;
use super::code;

/// How much the host reads at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Tells the guest how a stream has ended.
type Ended = oneshot::Sender<Result<(), ErrorCode>>;

/// The stream of bytes from a peer to the guest. When it is dropped, no more is received.
pub(super) struct Receiving {
    connection: Arc<Connection>,
    ended: Option<Ended>,
}

impl Receiving {
    pub(super) fn new(connection: Arc<Connection>, ended: Ended) -> Self {
        let ended = Some(ended);
        Self { connection, ended }
    }

    fn end(&mut self, outcome: Result<(), ErrorCode>) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(outcome);
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.end(Ok(()));
        let _ = self.connection.shutdown(Shutdown::Read);
    }
}

impl<D> StreamProducer<D> for Receiving {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let pending = if finish {
            Poll::Ready(Ok(StreamResult::Cancelled))
        } else {
            Poll::Pending
        };
        // A guest that offers no room only asks whether there is something to read.
        if destination.remaining(store.as_context_mut()) == Some(0) {
            return match self.connection.stream().poll_read_ready(context) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => pending,
            };
        }
        let mut destination = destination.as_direct(store, CHUNK_BYTES);
        match self.connection.poll_read(context, destination.remaining()) {
            Poll::Ready(Ok(0)) => {
                self.end(Ok(()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Ready(Ok(read)) => {
                destination.mark_written(read);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(error)) => {
                self.end(Err(code(&error)));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Pending => pending,
        }
    }
}

/// The stream of bytes from the guest to a peer. When it is dropped, the peer reads an end.
pub(super) struct Sending {
    connection: Arc<Connection>,
    ended: Option<Ended>,
}

impl Sending {
    pub(super) fn new(connection: Arc<Connection>, ended: Ended) -> Self {
        let ended = Some(ended);
        Self { connection, ended }
    }

    fn end(&mut self, outcome: Result<(), ErrorCode>) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(outcome);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let _ = self.connection.shutdown(Shutdown::Write);
        self.end(Ok(()));
    }
}

impl<D> StreamConsumer<D> for Sending {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let pending = if finish {
            Poll::Ready(Ok(StreamResult::Cancelled))
        } else {
            Poll::Pending
        };
        let mut source = source.as_direct(store);
        // A guest that offers no bytes only asks whether it could write.
        if source.remaining().is_empty() {
            return match self.connection.stream().poll_write_ready(context) {
                Poll::Ready(_) => Poll::Ready(Ok(StreamResult::Completed)),
                Poll::Pending => pending,
            };
        }
        match self.connection.poll_write(context, source.remaining()) {
            Poll::Ready(Ok(written)) => {
                source.mark_read(written);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Err(error)) => {
                self.end(Err(code(&error)));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Pending => pending,
        }
    }
}
