//! One connection: messages come in one after the other, and what is to be sent goes out in its order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::watches::ConnectionId;
use super::super::wire::MESSAGE_BYTES_MAX;
use super::Shared;
use super::outlets::{Outgoing, Outlet};
use super::words;

/// While that much waits to be sent, a client is not listened to.
const QUEUED_BYTES_ENOUGH: usize = 4 * 1024 * 1024;
/// How long a client may take to say who it is, and how long what it says may be.
const GREETING_TIME: Duration = Duration::from_secs(10);
const GREETING_BYTES_MAX: usize = 1024;
/// How long a client may take to read what was sent before its connection is closed.
const CLOSING_TIME: Duration = Duration::from_secs(10);
/// What a message's length takes.
const LENGTH_BYTES: usize = 4;

/// Serves a client until it is gone, or is to go.
pub(super) async fn serve(shared: Arc<Shared>, mut stream: TcpStream, address: SocketAddr) {
    let mut incoming = BytesMut::new();
    // An error of a client's connection is that client's own.
    if !matches!(
        timeout(GREETING_TIME, greeting(&mut stream, &mut incoming)).await,
        Ok(Ok(()))
    ) {
        return;
    }
    if let Some(answer) = words::answer(&incoming[..LENGTH_BYTES], &shared) {
        // It fits into what the system keeps, so nobody has to read it.
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        return;
    }
    let Some((connection, outlet)) = open(&shared, address) else {
        return;
    };
    let guard = Guard { shared, connection };
    // The same: whoever ends the connection, its session is told.
    let _ = exchange(&guard, stream, incoming, outlet).await;
}

/// Takes the connection off the machine, however it ends.
struct Guard {
    shared: Arc<Shared>,
    connection: ConnectionId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.outlets.forget(self.connection);
        state.machine.lost(self.connection);
    }
}

fn open(shared: &Shared, address: SocketAddr) -> Option<(ConnectionId, Outlet)> {
    let mut state = shared.lock();
    let (connection, outlet) = state.outlets.open()?;
    state.machine.open(connection, address.ip().to_string());
    Some((connection, outlet))
}

/// Reads the first message, or a word instead. Whoever begins one and does not end it has no connection that counts.
async fn greeting(stream: &mut TcpStream, incoming: &mut BytesMut) -> io::Result<()> {
    loop {
        if let Some(begin) = incoming.first_chunk::<LENGTH_BYTES>() {
            if words::is_word(begin) || has_message(incoming)? {
                return Ok(());
            }
            if length(incoming)?.is_some_and(|length| length > GREETING_BYTES_MAX) {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        if stream.read_buf(incoming).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn exchange(
    guard: &Guard,
    mut stream: TcpStream,
    mut incoming: BytesMut,
    outlet: Outlet,
) -> io::Result<()> {
    let Outlet {
        mut messages,
        queued,
    } = outlet;
    let Guard { shared, connection } = guard;
    let mut pending = BytesMut::new();
    let mut is_closing = false;
    let (mut reader, mut writer) = stream.split();
    loop {
        if queued.is_given_up() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let is_listening = queued.get() < QUEUED_BYTES_ENOUGH;
        if is_listening && let Some(message) = take_message(&mut incoming)? {
            shared.with(|machine, now| machine.receive(*connection, &message, now));
            // Whatever came of it goes out before the next message is looked at, if there is room.
        }
        while let Ok(outgoing) = messages.try_recv() {
            match outgoing {
                Outgoing::Message(message) => pending.extend_from_slice(&message),
                Outgoing::Close => is_closing = true,
            }
        }
        if is_closing {
            // Nobody waits for long for a client that does not read: what it is sent takes memory.
            let rest = timeout(CLOSING_TIME, writer.write_all(&pending)).await;
            rest.map_err(|_| io::ErrorKind::TimedOut)??;
            return writer.shutdown().await;
        }
        if is_listening && has_message(&incoming)? {
            continue;
        }
        tokio::select! {
            written = writer.write(&pending), if !pending.is_empty() => {
                let written = written?;
                pending.advance(written);
                queued.sent(written);
            }
            outgoing = messages.recv() => match outgoing {
                Some(Outgoing::Message(message)) => pending.extend_from_slice(&message),
                Some(Outgoing::Close) | None => is_closing = true,
            },
            read = reader.read_buf(&mut incoming), if is_listening => {
                if read? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// The next message, without its length, if all of it is there.
fn take_message(incoming: &mut BytesMut) -> io::Result<Option<BytesMut>> {
    if !has_message(incoming)? {
        return Ok(None);
    }
    let length = length(incoming)?.unwrap_or(0);
    incoming.advance(LENGTH_BYTES);
    Ok(Some(incoming.split_to(length)))
}

fn has_message(incoming: &BytesMut) -> io::Result<bool> {
    let length = length(incoming)?;
    Ok(length.is_some_and(|length| incoming.len() >= LENGTH_BYTES + length))
}

/// The length of the next message, if it is there.
fn length(incoming: &BytesMut) -> io::Result<Option<usize>> {
    let Some(bytes) = incoming.first_chunk() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*bytes)).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Some(length))
}
