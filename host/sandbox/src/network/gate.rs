//! Every connection that a plugin has: how many there may be, and their common end.
//!
//! A connection lives for as long as the plugin may have effects. When demotion begins it is cut by its socket, so that
//! nothing depends on the guest, on the store, or on whoever holds the connection then: the other side sees it reset, and
//! what was not sent yet is thrown away.
//!
//! A connection that the plugin has let go is held to the same: the kernel would go on sending what the other side has not
//! acknowledged, for minutes and into somebody else's term. So the gate keeps such a connection until all has arrived, and
//! cuts it if the term ends before that, or if it takes too long. An exchange that was given up is not kept, but cut at
//! once, by whoever gives it up.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::connection::{Connection, cut};
use super::unsent::all_arrived;
use crate::descriptors;
use soloist_core::permit::{Permit, Phase};

/// How long it may take until a connection is there.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);

/// How many connections may be kept that the plugin has let go. While there are so many it gets no new ones.
const KEPT_MAX: usize = 128;

/// How long one is kept whose other side does not take what was sent.
const KEPT_TIME: Duration = Duration::from_secs(60);

/// How often the kept ones are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What opens connections, and closes all of them.
#[derive(Debug)]
pub(super) struct Gate {
    permit: Permit,
    slots: Arc<Semaphore>,
    slots_max: usize,
    open: Mutex<Open>,
    kept_one: Notify,
}

#[derive(Debug, Default)]
struct Open {
    closed: bool,
    next: u64,
    /// Those that the plugin has.
    connections: BTreeMap<u64, Arc<TcpStream>>,
    /// Those that it has let go, and since when.
    kept: Vec<(Arc<TcpStream>, Instant)>,
}

/// A socket for one connection. `NFILE` when the host has none for plugins.
pub(super) fn socket(ipv6: bool) -> io::Result<TcpSocket> {
    let socket = if ipv6 {
        TcpSocket::new_v6()?
    } else {
        TcpSocket::new_v4()?
    };
    if descriptors::is_for_plugins(&socket) {
        Ok(socket)
    } else {
        Err(Errno::NFILE.into())
    }
}

/// Room for one connection.
#[derive(Debug)]
pub(super) struct Slot(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Gate {
    /// A gate that closes when the permit no longer allows effects. `slots_max` connections may be open at once.
    ///
    /// Must be called on the runtime on which the connections live.
    pub(super) fn new(permit: Permit, slots_max: usize) -> (Arc<Self>, AbortOnDropJoinHandle<()>) {
        let slots_max = slots_max.min(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(slots_max));
        let gate = Arc::new(Self {
            permit,
            slots,
            slots_max,
            open: Mutex::default(),
            kept_one: Notify::new(),
        });
        let watch = spawn({
            let gate = Arc::clone(&gate);
            async move {
                tokio::select! {
                    () = gate.permit.effects_ended() => {}
                    () = gate.look_after_kept() => {}
                }
                gate.close();
            }
        });
        (gate, watch)
    }

    /// Whether the plugin may have effects, at this moment.
    pub(super) fn is_open(&self) -> bool {
        self.permit.check() == Ok(Phase::Held)
    }

    /// Waits until effects have ended.
    pub(super) async fn closed(&self) {
        self.permit.effects_ended().await;
    }

    /// The most connections there may be.
    pub(super) fn slots_max(&self) -> usize {
        self.slots_max
    }

    /// Whether as many connections are kept as may be.
    pub(super) fn is_clogged(&self) -> bool {
        self.open().kept.len() >= KEPT_MAX
    }

    /// Room for one more connection, if there is any.
    pub(super) fn slot(&self) -> Option<Slot> {
        if self.is_clogged() {
            return None;
        }
        Arc::clone(&self.slots).try_acquire_owned().ok().map(Slot)
    }

    /// Connects, whether or not anybody waits for it, until the handle is dropped.
    pub(super) fn connect(
        self: &Arc<Self>,
        socket: TcpSocket,
        address: SocketAddr,
        slot: Slot,
    ) -> AbortOnDropJoinHandle<io::Result<Arc<Connection>>> {
        let gate = Arc::clone(self);
        spawn(async move {
            let stream = tokio::select! {
                biased;
                () = gate.closed() => return Err(Errno::ACCESS.into()),
                stream = timeout(CONNECT_TIME, socket.connect(address)) => stream.map_err(|_| Errno::TIMEDOUT)??,
            };
            gate.register(stream, slot)
        })
    }

    fn register(self: &Arc<Self>, stream: TcpStream, slot: Slot) -> io::Result<Arc<Connection>> {
        // Small messages are not held back to wait for more.
        stream.set_nodelay(true)?;
        let mut open = self.open();
        let id = open.next;
        open.next += 1;
        if open.closed {
            return Err(Errno::ACCESS.into());
        }
        let stream = Arc::new(stream);
        open.connections.insert(id, Arc::clone(&stream));
        Ok(Arc::new(Connection::new(
            stream,
            Arc::clone(self),
            id,
            slot,
        )))
    }

    /// Cuts every connection, and lets none be made any more.
    pub(super) fn close(&self) {
        let mut open = self.open();
        open.closed = true;
        // Within the lock, so that whoever closes a closed gate knows that all have been cut.
        open.connections.values().for_each(|stream| cut(stream));
        open.kept.drain(..).for_each(|(stream, _)| cut(&stream));
    }

    /// The plugin has let the connection go: it is closed, at once or when all that was sent has arrived.
    pub(super) fn let_go(&self, id: u64) {
        let mut open = self.open();
        let Some(stream) = open.connections.remove(&id) else {
            return;
        };
        if all_arrived(&stream) {
            return;
        }
        if open.closed {
            return cut(&stream);
        }
        // The end comes after all that was sent.
        let _ = shutdown(&*stream, Shutdown::Write);
        open.kept.push((stream, Instant::now()));
        self.kept_one.notify_one();
    }

    /// Closes what has been kept as soon as all of it has arrived. Never ends.
    async fn look_after_kept(&self) {
        loop {
            self.kept_one.notified().await;
            while self.keeps_some() {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    fn keeps_some(&self) -> bool {
        let mut open = self.open();
        open.kept.retain(|(stream, since)| {
            let late = since.elapsed() >= KEPT_TIME;
            if late {
                cut(stream);
            }
            !late && !all_arrived(stream)
        });
        !open.kept.is_empty()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // The list is right whoever panicked while holding it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
