//! One connection of a plugin, which ends with the term.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{Shutdown, connect_unspec, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

use super::gate::{Gate, Slot};
use super::unsent::all_arrived;

/// A connection. Everything that has an effect looks at the permit first; once effects have ended the error is `EACCES`.
#[derive(Debug)]
pub(super) struct Connection {
    /// Shared with the gate, which may keep it longer.
    stream: Arc<TcpStream>,
    gate: Arc<Gate>,
    id: u64,
    /// Whether what is sent was brought to its end.
    ended: AtomicBool,
    _slot: Slot,
}

impl Connection {
    /// A connection that the gate knows by `id`.
    pub(super) fn new(stream: Arc<TcpStream>, gate: Arc<Gate>, id: u64, slot: Slot) -> Self {
        Self {
            stream,
            gate,
            id,
            ended: AtomicBool::new(false),
            _slot: slot,
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = ready!(self.stream.poll_read_ready(context)) {
                        return Poll::Ready(Err(self.explain(error)));
                    }
                }
                // The end that a cut makes is none that the other side made.
                Ok(0) => return Poll::Ready(self.check().map(|()| 0)),
                read => return Poll::Ready(read.map_err(|error| self.explain(error))),
            }
        }
    }

    pub(super) fn poll_write(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            self.check()?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = ready!(self.stream.poll_write_ready(context)) {
                        return Poll::Ready(Err(self.explain(error)));
                    }
                }
                written => return Poll::Ready(written.map_err(|error| self.explain(error))),
            }
        }
    }

    /// Says that nothing more will be sent, or received.
    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.check()?;
        if how != Shutdown::Read {
            self.ended.store(true, Ordering::Relaxed);
        }
        Ok(shutdown(&self.stream, how)?)
    }

    /// Resets the connection if the other side has not got all of what was sent, and that was not brought to its end:
    /// nobody could do anything with a part.
    fn give_up(&self) {
        if !self.ended.load(Ordering::Relaxed) && !all_arrived(&self.stream) {
            cut(&self.stream);
        }
    }

    /// Ends the connection at once, whoever is at it: the next read or write fails.
    pub(super) fn cut(&self) {
        cut(&self.stream);
    }

    fn check(&self) -> io::Result<()> {
        if self.gate.is_open() {
            Ok(())
        } else {
            Err(Errno::ACCESS.into())
        }
    }

    /// Replaces an I/O error with `EACCES` if the term's effects have ended: the host cuts the connection then, and the error
    /// that comes of it would mislead.
    fn explain(&self, error: io::Error) -> io::Error {
        self.check().err().unwrap_or(error)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.gate.is_open() {
            // Whoever lets go first: what did not come to its end must not look as if it had.
            cut(&self.stream);
        }
        self.gate.let_go(self.id);
    }
}

/// Resets a connection, which throws away what waits to be sent.
pub(super) fn cut(stream: &TcpStream) {
    let reset = connect_unspec(stream);
    // A system that knows no such thing closes it at least.
    let closed = shutdown(stream, Shutdown::Both);
    if let (Err(error), Err(_)) = (reset, closed) {
        tracing::debug!("a connection was gone before it was cut: {error}");
    }
}

/// A connection as tokio's libraries want it. What these let go without an end is given up.
#[derive(Debug)]
pub(super) struct Stream(pub(super) Arc<Connection>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever sends without a pause must not keep a thread that others wait for.
        let coop = ready!(coop::poll_proceed(context));
        let read = ready!(self.0.poll_read(context, buffer.initialize_unfilled()))?;
        coop.made_progress();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let coop = ready!(coop::poll_proceed(context));
        let written = ready!(self.0.poll_write(context, bytes))?;
        coop.made_progress();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(Shutdown::Write))
    }
}
