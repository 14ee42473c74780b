//! Every connection that a plugin has: how many there may be, and their common end.
//!
//! A connection lives for as long as the plugin may have effects. When demotion begins it is cut by its socket, so that
//! nothing depends on the guest, on the store, or on whoever holds the connection then: the other side sees it reset, and
//! what was not sent yet is thrown away.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::connection::Connection;
use crate::permit::{Permit, Phase};

/// How long it may take until a connection is there.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);

/// What opens connections, and closes all of them.
#[derive(Debug)]
pub(super) struct Gate {
    permit: Permit,
    slots: Arc<Semaphore>,
    slots_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    closed: bool,
    next: u64,
    connections: BTreeMap<u64, Weak<Connection>>,
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
        let gate = Arc::new(Self { permit, slots, slots_max, open: Mutex::default() });
        let watch = spawn({
            let gate = Arc::clone(&gate);
            async move {
                gate.permit.effects_ended().await;
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

    /// Room for one more connection, if there is any.
    pub(super) fn slot(&self) -> Option<Slot> {
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
        let connection = Arc::new(Connection::new(stream, Arc::clone(self), id, slot));
        open.connections.insert(id, Arc::downgrade(&connection));
        Ok(connection)
    }

    /// Cuts every connection, and lets none be made any more.
    pub(super) fn close(&self) {
        let mut open = self.open();
        open.closed = true;
        let connections: Vec<_> = open.connections.values().filter_map(Weak::upgrade).collect();
        // Within the lock, so that whoever closes a closed gate knows that all have been cut.
        for connection in &connections {
            connection.cut();
        }
        // The last holder of a connection takes it off the list.
        drop(open);
        drop(connections);
    }

    pub(super) fn forget(&self, id: u64) {
        self.open().connections.remove(&id);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // The list is right whoever panicked while holding it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
