//! What goes out to the connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::super::machine::{Effect, Machine};
use super::super::watches::ConnectionId;
use super::super::wire::Message;

/// A client for which that much waits does not read: it is closed.
const QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// When that much waits for all of them together, those are closed for which most of it waits, but none for which less than
/// a usual answer does: whoever reads is not among them.
const QUEUED_BYTES_MAX_FOR_ALL: usize = 256 * 1024 * 1024;
const QUEUED_BYTES_USUAL: usize = 2 * 1024 * 1024;
/// How many connections there may be.
const CONNECTIONS_MAX: usize = 4096;

/// What a connection is to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(Message),
    /// Nothing comes after it.
    Close,
}

/// How much waits to be sent on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Queued(Arc<Share>);

/// A connection's part of what waits to be sent on all of them.
#[derive(Debug, Default)]
struct Share {
    bytes: AtomicUsize,
    all: Arc<AtomicUsize>,
    /// Nothing more is to be sent, not even what waits.
    is_given_up: AtomicBool,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

/// The end of a connection that sends.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) messages: mpsc::UnboundedReceiver<Outgoing>,
    pub(super) queued: Queued,
}

/// The other ends of all of them.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    by_connection: HashMap<ConnectionId, (mpsc::UnboundedSender<Outgoing>, Queued)>,
    last: ConnectionId,
    /// How much waits to be sent, those included that are closing.
    queued: Arc<AtomicUsize>,
}

impl Queued {
    pub(super) fn get(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.all.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether the connection is to end at once.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.is_given_up.load(Ordering::Relaxed)
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.0.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Outlets {
    /// Makes room for a new connection; none if there are too many.
    pub(super) fn open(&mut self) -> Option<(ConnectionId, Outlet)> {
        if self.by_connection.len() >= CONNECTIONS_MAX {
            return None;
        }
        self.last += 1;
        let (sender, messages) = mpsc::unbounded_channel();
        let queued = Queued(Arc::new(Share {
            bytes: AtomicUsize::new(0),
            all: self.queued.clone(),
            is_given_up: AtomicBool::new(false),
        }));
        self.by_connection
            .insert(self.last, (sender, queued.clone()));
        Some((self.last, Outlet { messages, queued }))
    }

    /// Forgets a connection that is gone.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.by_connection.remove(&connection);
    }

    pub(super) fn len(&self) -> usize {
        self.by_connection.len()
    }

    /// The connection for which most waits, if it is more than usual.
    fn most_queued(&self) -> Option<ConnectionId> {
        let all = self.by_connection.iter();
        let all = all.map(|(connection, (_, queued))| (queued.get(), *connection));
        let most = all.max().filter(|(bytes, _)| *bytes > QUEUED_BYTES_USUAL);
        most.map(|(_, connection)| connection)
    }

    /// Forgets a connection, and all that waits to be sent on it.
    fn give_up(&mut self, connection: ConnectionId) {
        if let Some((_, queued)) = self.by_connection.remove(&connection) {
            queued.0.is_given_up.store(true, Ordering::Relaxed);
        }
    }

    /// Does what the machine says, in its order.
    pub(super) fn carry_out(&mut self, machine: &mut Machine) {
        for effect in machine.take_effects() {
            match effect {
                Effect::Send(connection, message) => {
                    let Some((sender, queued)) = self.by_connection.get(&connection) else {
                        continue;
                    };
                    queued.add(message.len());
                    // A connection that does not receive is ending, and says so itself.
                    let _ = sender.send(Outgoing::Message(message));
                    let most = if queued.get() > QUEUED_BYTES_MAX {
                        Some(connection)
                    } else if self.queued.load(Ordering::Relaxed) > QUEUED_BYTES_MAX_FOR_ALL {
                        self.most_queued()
                    } else {
                        None
                    };
                    if let Some(most) = most {
                        machine.lost(most);
                        self.give_up(most);
                    }
                }
                Effect::Close(connection) => {
                    if let Some((sender, _)) = self.by_connection.remove(&connection) {
                        let _ = sender.send(Outgoing::Close);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::machine::Now;
    use super::super::super::sessions::{Secret, Sessions};
    use super::super::super::tree::Tree;
    use super::super::super::wire::{Writer, code};
    use super::*;

    const NOW: Now = Now {
        elapsed: Duration::ZERO,
        wall: 0,
    };

    /// A machine with a session on each of these connections.
    fn connected(outlets: &mut Outlets, count: usize) -> (Machine, Vec<(ConnectionId, Outlet)>) {
        let tick = Duration::from_secs(2);
        let sessions = Sessions::new(tick, 0, Secret([1; 32]));
        let mut machine = Machine::new(Tree::new(usize::MAX), sessions, 0);
        let opened: Vec<_> = (0..count).map(|_| outlets.open().unwrap()).collect();
        for (connection, _) in &opened {
            machine.open(*connection, "127.0.0.1".into());
            let mut greeting = Writer::new();
            greeting.int(0).long(0).int(10_000).long(0).buffer(None);
            machine.receive(*connection, &greeting.finish()[4..], NOW);
        }
        outlets.carry_out(&mut machine);
        (machine, opened)
    }

    fn request(
        machine: &mut Machine,
        connection: ConnectionId,
        code: i32,
        write: impl FnOnce(&mut Writer),
    ) {
        let mut writer = Writer::new();
        writer.int(1).int(code);
        write(&mut writer);
        machine.receive(connection, &writer.finish()[4..], NOW);
    }

    fn create(machine: &mut Machine, connection: ConnectionId, path: &str, data: &[u8]) {
        request(machine, connection, code::CREATE, |writer| {
            let acl = super::super::super::access::open();
            writer.text(path).buffer(Some(data)).acl(&acl).int(0);
        });
    }

    fn received(outlet: &mut Outlet) -> usize {
        std::iter::from_fn(|| outlet.messages.try_recv().ok()).count()
    }

    #[test]
    fn those_who_do_not_read_are_given_up_before_memory_is_full_and_whoever_reads_is_not() {
        let mut outlets = Outlets::default();
        let (mut machine, mut opened) = connected(&mut outlets, 20);
        let reader = opened[0].0;
        create(&mut machine, reader, "/a", &vec![0; 1_000_000]);
        let mut most = 0;
        for _ in 0..30 {
            for (connection, outlet) in &mut opened {
                request(&mut machine, *connection, code::GET_DATA, |writer| {
                    writer.text("/a").bool(false);
                });
                outlets.carry_out(&mut machine);
                if outlet.queued.is_given_up() {
                    // What it holds goes with its connection.
                    outlet.queued = Queued::default();
                }
                if *connection == reader {
                    outlet.queued.sent(outlet.queued.get());
                    assert!(received(outlet) > 0);
                }
                most = most.max(outlets.queued.load(Ordering::Relaxed));
            }
        }
        assert!(outlets.by_connection.contains_key(&reader) && outlets.len() < 20);
        assert!(most < QUEUED_BYTES_MAX_FOR_ALL + 20 * 1_000_100, "{most}");
        drop((opened, machine));
        drop(std::mem::take(&mut outlets.by_connection));
        assert_eq!(outlets.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_message_that_many_would_hear_of_takes_no_more_memory_than_there_is() {
        const WRITES: usize = 90;
        let mut outlets = Outlets::default();
        let (mut machine, mut opened) = connected(&mut outlets, 200);
        let writer = opened[0].0;
        let path = format!("/{}", "x".repeat(10_000));
        create(&mut machine, writer, &path, b"");
        for (connection, _) in &opened[1..] {
            request(&mut machine, *connection, code::ADD_WATCH, |writer| {
                writer.text(&path).int(0);
            });
        }
        outlets.carry_out(&mut machine);
        request(&mut machine, writer, code::MULTI, |writer| {
            for _ in 0..WRITES {
                writer
                    .int(code::SET_DATA)
                    .bool(false)
                    .int(-1)
                    .text(&path)
                    .buffer(None)
                    .int(-1);
            }
            writer.int(-1).bool(true).int(-1);
        });
        let effects = machine.take_effects();
        let sent = effects.iter().map(|effect| match effect {
            Effect::Send(_, message) => message.len(),
            Effect::Close(_) => 0,
        });
        let sent: usize = sent.sum();
        assert!(sent < 70_000_000, "{sent}");
        let closed = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Close(_)));
        assert_eq!(closed.count(), 199);
        // Whoever made the changes is answered.
        assert!(
            matches!(effects.last(), Some(Effect::Send(connection, _)) if *connection == writer)
        );
        assert_eq!(machine.watch_count(), 0);
        assert_eq!(received(&mut opened[0].1), 2);
    }
}
