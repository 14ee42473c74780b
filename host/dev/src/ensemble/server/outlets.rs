//! What goes out to the connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::super::machine::{Effect, Machine};
use super::super::watches::ConnectionId;
use super::super::wire::Message;

/// A client for which that much waits does not read: it is closed.
const QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many connections there may be.
const CONNECTIONS_MAX: usize = 4096;

/// What a connection is to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(Message),
    /// Nothing comes after it.
    Close,
}

/// How much waits to be sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Queued(Arc<AtomicUsize>);

/// The end of a connection that sends.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) messages: mpsc::UnboundedReceiver<Outgoing>,
    pub(super) queued: Queued,
}

/// The other ends of all of them.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    outlets: HashMap<ConnectionId, (mpsc::UnboundedSender<Outgoing>, Queued)>,
    last: ConnectionId,
}

impl Queued {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Outlets {
    /// Makes room for a new connection; none if there are too many.
    pub(super) fn open(&mut self) -> Option<(ConnectionId, Outlet)> {
        if self.outlets.len() >= CONNECTIONS_MAX {
            return None;
        }
        self.last += 1;
        let (sender, messages) = mpsc::unbounded_channel();
        let queued = Queued::default();
        self.outlets.insert(self.last, (sender, queued.clone()));
        Some((self.last, Outlet { messages, queued }))
    }

    /// Forgets a connection that is gone.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.outlets.remove(&connection);
    }

    pub(super) fn len(&self) -> usize {
        self.outlets.len()
    }

    /// Does what the machine says, in its order.
    pub(super) fn carry_out(&mut self, machine: &mut Machine) {
        for effect in machine.take_effects() {
            match effect {
                Effect::Send(connection, message) => {
                    let Some((sender, queued)) = self.outlets.get(&connection) else {
                        continue;
                    };
                    queued.add(message.len());
                    // A connection that does not receive is ending, and says so itself.
                    let _ = sender.send(Outgoing::Message(message));
                    if queued.get() > QUEUED_BYTES_MAX {
                        machine.lost(connection);
                        self.forget(connection);
                    }
                }
                Effect::Close(connection) => {
                    if let Some((sender, _)) = self.outlets.remove(&connection) {
                        let _ = sender.send(Outgoing::Close);
                    }
                }
            }
        }
    }
}
