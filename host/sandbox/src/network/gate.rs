//! All connections of a plugin: the gate bounds their number, and ends them together.
//!
//! A connection lives until demotion begins, or until the permit ends without one. Then the gate cuts it by its socket. So it
//! makes no difference what the guest does or who else holds the connection. The peer sees a reset, and bytes that were not
//! sent are dropped.
//!
//! The same holds for a connection that the plugin has let go. The kernel would go on sending bytes that the peer has not
//! acknowledged, for minutes and into the next term. So the gate keeps such a connection until the peer has all bytes. It cuts
//! the connection if the term ends before, or if that takes too long. An HTTP exchange that is given up is cut at once.
//!
//! And it holds when the whole process is killed, since a guardian gives the term back at once then: the kernel resets each
//! connection that still has its `SO_LINGER` of zero. The gate sets that back when it lets go of one whose bytes have arrived.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::connection::{Connection, cut};
use super::unsent::all_arrived;
use crate::descriptors;
use soloist_core::meter::{Effect, Outcome};
use soloist_core::permit::{Permit, Phase};

/// How long the host tries to connect.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);

/// How many connections the gate keeps that the plugin has let go. While it keeps so many, the plugin gets no new one.
const KEPT_MAX: usize = 128;

/// How long the gate keeps such a connection if the peer does not acknowledge all bytes.
const KEPT_TIME: Duration = Duration::from_secs(60);

/// How often the gate checks the connections that it keeps.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Opens the connections of a plugin, and ends all of them.
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
    /// The connections that the plugin has.
    connections: BTreeMap<u64, Arc<TcpStream>>,
    /// The connections that the plugin has let go, each with the time at which it did.
    kept: Vec<(Arc<TcpStream>, Instant)>,
}

/// A socket for one connection. The error is `NFILE` if the host has no descriptors left for plugins.
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

/// Has a connection end, once it is closed, as the kernel ends any other.
fn let_end(stream: &TcpStream) {
    if let Err(error) = sockopt::set_socket_linger(stream, None) {
        tracing::debug!("a connection ends by a reset: {error}");
    }
}

/// The right to open one connection.
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

    /// Whether the plugin may have effects at this moment.
    pub(super) fn is_open(&self) -> bool {
        self.permit.check() == Ok(Phase::Held)
    }

    /// Counts what came of an effect.
    pub(super) fn count(&self, effect: Effect, outcome: Outcome) {
        self.permit.count(effect, outcome);
    }

    /// What measures the effects of the plugin.
    pub(super) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Waits until demotion begins, or the permit has ended without one.
    pub(super) async fn closed(&self) {
        self.permit.effects_ended().await;
    }

    /// The most connections that the plugin may have.
    pub(super) fn slots_max(&self) -> usize {
        self.slots_max
    }

    /// Whether the gate keeps as many connections as it may.
    pub(super) fn is_clogged(&self) -> bool {
        self.open().kept.len() >= KEPT_MAX
    }

    /// The right to open one more connection. None if the plugin has as many as it may.
    pub(super) fn slot(&self) -> Option<Slot> {
        if self.is_clogged() {
            return None;
        }
        Arc::clone(&self.slots).try_acquire_owned().ok().map(Slot)
    }

    /// Connects in a task of its own, until the returned handle is dropped.
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
        // The kernel must not hold back small messages to wait for more.
        stream.set_nodelay(true)?;
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
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

    /// Cuts every connection, and allows no new one.
    pub(super) fn close(&self) {
        let mut open = self.open();
        open.closed = true;
        // The lock is held here, so that a second caller returns only after all connections have been cut.
        open.connections.values().for_each(|stream| cut(stream));
        open.kept.drain(..).for_each(|(stream, _)| cut(&stream));
    }

    /// Takes over a connection that the plugin has let go. Closes it at once, or when the peer has all bytes.
    pub(super) fn let_go(&self, id: u64) {
        let mut open = self.open();
        let Some(stream) = open.connections.remove(&id) else {
            return;
        };
        if all_arrived(&stream) {
            return let_end(&stream);
        }
        if open.closed {
            return cut(&stream);
        }
        // The peer reads the end of the stream after all bytes.
        let _ = shutdown(&*stream, Shutdown::Write);
        open.kept.push((stream, Instant::now()));
        self.kept_one.notify_one();
    }

    /// Closes each kept connection as soon as the peer has all bytes. Never returns.
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
            } else if all_arrived(stream) {
                let_end(stream);
                return false;
            }
            !late
        });
        !open.kept.is_empty()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // A thread that panicked while it held the lock left the list right.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
