//! The two streams of a connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::future::poll_fn;
use rustix::io::Errno;
use rustix::net::Shutdown;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::nobody;
use crate::network::connection::Connection;

/// How much is read or written in one call, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// What the guest reads from.
pub(super) struct Reader {
    connection: Arc<Connection>,
    closed: bool,
}

impl Reader {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            closed: false,
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if !self.closed {
            // What is wrong shows in the next read.
            let _ = poll_fn(|context| self.connection.stream().poll_read_ready(context)).await;
        }
    }
}

impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = BytesMut::zeroed(size.min(CHUNK_BYTES));
        match self.connection.poll_read(&mut nobody(), &mut buffer) {
            Poll::Pending => Ok(Bytes::new()),
            Poll::Ready(Ok(0)) => {
                self.closed = true;
                Err(StreamError::Closed)
            }
            Poll::Ready(Ok(read)) => {
                buffer.truncate(read);
                Ok(buffer.freeze())
            }
            Poll::Ready(Err(error)) => {
                self.closed = true;
                Err(StreamError::LastOperationFailed(error.into()))
            }
        }
    }
}

/// What the guest writes to. Shared by the stream and its socket.
#[derive(Clone)]
pub(super) struct Writer(Arc<Mutex<Writing>>);

struct Writing {
    connection: Arc<Connection>,
    state: WriteState,
}

enum WriteState {
    Ready,
    /// The system would not take all of it at once: the rest, and then perhaps the end.
    Busy(AbortOnDropJoinHandle<io::Result<()>>),
    /// What was written before could not be sent, which nobody has been told yet.
    Failed(io::Error),
    Closed,
}

impl Writer {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self(Arc::new(Mutex::new(Writing {
            connection,
            state: WriteState::Ready,
        })))
    }

    /// Ends what is sent, after all that was written.
    pub(super) fn shut_down(&self) -> io::Result<()> {
        let mut writing = self.lock();
        let connection = Arc::clone(&writing.connection);
        match std::mem::replace(&mut writing.state, WriteState::Closed) {
            WriteState::Ready => connection.shutdown(Shutdown::Write),
            WriteState::Busy(rest) => {
                writing.state = WriteState::Busy(spawn(async move {
                    rest.await?;
                    connection.shutdown(Shutdown::Write)
                }));
                Ok(())
            }
            WriteState::Failed(error) => Err(error),
            WriteState::Closed => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// Takes note of a rest that is done.
    fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let WriteState::Busy(rest) = &mut self.state {
            self.state = match ready!(Pin::new(rest).poll(context)) {
                Ok(()) => WriteState::Ready,
                Err(error) => WriteState::Failed(error),
            };
        }
        Poll::Ready(())
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_settled(context));
        match self.state {
            // What is wrong shows in the next write.
            WriteState::Ready => self.connection.stream().poll_write_ready(context).map(drop),
            _ => Poll::Ready(()),
        }
    }

    /// The error of what was written before.
    fn check(&mut self) -> StreamResult<()> {
        match std::mem::replace(&mut self.state, WriteState::Closed) {
            WriteState::Failed(error) => Err(self.fail(error)),
            WriteState::Closed => Err(StreamError::Closed),
            state => {
                self.state = state;
                Ok(())
            }
        }
    }

    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if bytes.len() > CHUNK_BYTES || matches!(self.state, WriteState::Busy(_)) {
            return Err(StreamError::trap(
                "more was written than `check-write` allowed",
            ));
        }
        while !bytes.is_empty() {
            match self.connection.poll_write(&mut nobody(), &bytes) {
                Poll::Ready(Ok(written)) => drop(bytes.split_to(written)),
                Poll::Ready(Err(error)) => return Err(self.fail(error)),
                Poll::Pending => {
                    let connection = Arc::clone(&self.connection);
                    self.state = WriteState::Busy(spawn(async move {
                        while !bytes.is_empty() {
                            let written =
                                poll_fn(|context| connection.poll_write(context, &bytes)).await?;
                            drop(bytes.split_to(written));
                        }
                        Ok(())
                    }));
                    break;
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: io::Error) -> StreamError {
        self.state = WriteState::Closed;
        match Errno::from_io_error(&error) {
            Some(Errno::PIPE) => StreamError::Closed,
            _ => StreamError::LastOperationFailed(error.into()),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        poll_fn(|context| self.lock().poll_ready(context)).await;
    }
}

#[async_trait::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        // All is on its way as soon as it can be.
        self.lock().check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let mut writing = self.lock();
        let ready = writing.poll_ready(&mut nobody());
        writing.check()?;
        Ok(if ready.is_ready() { CHUNK_BYTES } else { 0 })
    }

    async fn cancel(&mut self) {
        // What the guest has written must not be lost because it drops the stream.
        poll_fn(|context| self.lock().poll_settled(context)).await;
    }
}
