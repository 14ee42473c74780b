//! The ensemble as a machine: messages and time go in, messages come out. It does no IO.

use std::collections::BTreeMap;
use std::time::Duration;

use super::access::{self, Identity};
use super::node::{Node, Stat};
use super::refusal::Refusal;
use super::sessions::Sessions;
use super::transactions::{self, Author};
use super::tree::Tree;
use super::watches::{Change, ConnectionId, Event, EventKind, Watches};
use super::wire::{Connect, Header, Message, Reader, Request, Writer, decode, xid};

mod answer;
mod read;
mod serve;
mod watch;

/// How many sessions there may be.
pub(super) const SESSIONS_MAX: usize = 10_000;
/// How often containers are looked for that are not needed any more.
const CONTAINER_INTERVAL: Duration = Duration::from_secs(60);
/// When events of that many bytes come of one message, whoever would hear of more is closed: it comes back, and sees what is
/// there then.
const EVENTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What clients are told a connected server's state is.
const SYNC_CONNECTED: i32 = 3;

/// The present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// Since the clock's beginning: what sessions go by.
    pub(super) elapsed: Duration,
    /// Milliseconds since 1970: what nodes are marked with.
    pub(super) wall: i64,
}

/// What the server has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Send this, after all that was sent before.
    Send(ConnectionId, Message),
    /// Send what is to be sent, and close the connection.
    Close(ConnectionId),
}

/// A connection of a client.
#[derive(Debug)]
struct Connection {
    /// None until the first message has come.
    session: Option<i64>,
    identities: Vec<Identity>,
    address: String,
}

/// The whole state.
#[derive(Debug)]
pub(super) struct Machine {
    tree: Tree,
    watches: Watches,
    sessions: Sessions,
    connections: BTreeMap<ConnectionId, Connection>,
    zxid: i64,
    next_container_check: Duration,
    effects: Vec<Effect>,
    /// How many bytes of events are among them.
    events_bytes: usize,
}

impl Machine {
    /// An empty ensemble.
    pub(super) fn new(tree: Tree, sessions: Sessions, zxid: i64) -> Self {
        Self {
            tree,
            watches: Watches::default(),
            sessions,
            connections: BTreeMap::new(),
            zxid,
            next_container_check: Duration::ZERO,
            effects: Vec::new(),
            events_bytes: 0,
        }
    }

    /// A client has connected from that address.
    pub(super) fn open(&mut self, connection: ConnectionId, address: String) {
        let identities = vec![Identity::new("ip", &address)];
        self.connections.insert(
            connection,
            Connection {
                session: None,
                identities,
                address,
            },
        );
    }

    /// A connection is gone.
    pub(super) fn lost(&mut self, connection: ConnectionId) {
        self.watches.forget(connection);
        let gone = self.connections.remove(&connection);
        let session = gone.and_then(|gone| self.sessions.get_mut(gone.session?));
        if let Some(session) = session.filter(|session| session.connection == Some(connection)) {
            session.connection = None;
        }
    }

    /// A whole message has come.
    pub(super) fn receive(&mut self, connection: ConnectionId, message: &[u8], now: Now) {
        let Some(known) = self.connections.get(&connection) else {
            return;
        };
        match known.session {
            None => self.connect(connection, message, now),
            Some(session) => self.request(connection, session, message, now),
        }
    }

    /// What the server has to do now, in order.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        self.events_bytes = 0;
        std::mem::take(&mut self.effects)
    }

    /// When [`Machine::tick`] is to be called next.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        self.sessions.next_expiry()
    }

    /// Ends the sessions whose time is over.
    pub(super) fn tick(&mut self, now: Now) {
        while let Some(session) = self.sessions.expired(now.elapsed) {
            self.end(session);
        }
        if now.elapsed >= self.next_container_check {
            self.next_container_check = now.elapsed.saturating_add(CONTAINER_INTERVAL);
            for path in self.tree.emptied_containers() {
                self.zxid += 1;
                self.remove(&path);
            }
        }
    }

    /// Ends a session as if its time were over; tells whether there was one.
    pub(super) fn expire(&mut self, session: i64) -> bool {
        self.sessions.get(session).is_some() && {
            self.end(session);
            true
        }
    }

    /// Takes a session's connection away, and denies it another one until then; tells whether there is such a session.
    pub(super) fn cut(&mut self, session: i64, until: Duration) -> bool {
        let Some(session) = self.sessions.get_mut(session) else {
            return false;
        };
        session.cut_until = until;
        if let Some(connection) = session.connection {
            self.close(connection);
        }
        true
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(super) fn zxid(&self) -> i64 {
        self.zxid
    }

    pub(super) fn watch_count(&self) -> usize {
        self.watches.count()
    }

    fn connect(&mut self, connection: ConnectionId, message: &[u8], now: Now) {
        let Ok(connect) = Connect::read(message) else {
            return self.close(connection);
        };
        if connect.last_zxid > self.zxid {
            // The client has heard of what this ensemble does not know.
            return self.close(connection);
        }
        let timeout = self.sessions.negotiate(connect.timeout);
        let session = if connect.session == 0 {
            if self.sessions.all().len() >= SESSIONS_MAX {
                return self.close(connection);
            }
            self.zxid += 1;
            Some(self.sessions.begin(timeout, now.elapsed))
        } else {
            match self.resume(&connect, timeout, now) {
                Resumed::Cut => return self.close(connection),
                Resumed::Yes => Some(connect.session),
                Resumed::No => None,
            }
        };
        let mut answer = Writer::new();
        match session {
            Some(id) => {
                let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
                let password = self.sessions.password(id);
                answer.int(0).int(timeout).long(id).buffer(Some(&password));
            }
            None => drop(answer.int(0).int(0).long(0).buffer(Some(&[0; 16]))),
        }
        if !connect.is_old {
            answer.bool(false);
        }
        self.send(connection, answer.finish());
        let Some(id) = session else {
            return self.close(connection);
        };
        if let Some(session) = self.sessions.get_mut(id) {
            let before = session.connection.replace(connection);
            if let Some(before) = before {
                self.close(before);
            }
        }
        if let Some(known) = self.connections.get_mut(&connection) {
            known.session = Some(id);
        }
    }

    fn resume(&mut self, connect: &Connect, timeout: Duration, now: Now) -> Resumed {
        let id = connect.session;
        let is_own = connect.password == self.sessions.password(id);
        let Some(session) = self.sessions.get_mut(id).filter(|_| is_own) else {
            return Resumed::No;
        };
        if session.cut_until > now.elapsed {
            return Resumed::Cut;
        }
        session.timeout = timeout;
        self.sessions.touch(id, now.elapsed);
        Resumed::Yes
    }

    fn request(&mut self, connection: ConnectionId, session: i64, message: &[u8], now: Now) {
        let mut reader = Reader::new(message);
        let Ok(header) = Header::read(&mut reader) else {
            return self.close(connection);
        };
        self.sessions.touch(session, now.elapsed);
        match decode(header.code, &mut reader) {
            Ok(request) => self.serve(connection, session, header, request, now),
            Err(_) => self.refuse_malformed(connection, header),
        }
    }

    /// Ends a session: what is ephemeral goes with it.
    fn end(&mut self, id: i64) {
        self.zxid += 1;
        let Some(session) = self.sessions.end(id) else {
            return;
        };
        let paths: Vec<_> = self.tree.ephemerals(id).cloned().collect();
        for path in paths {
            self.remove(&path);
        }
        if let Some(connection) = session.connection {
            self.close(connection);
        }
    }

    fn remove(&mut self, path: &str) {
        if let Some(change) = transactions::remove(&mut self.tree, path, self.zxid) {
            self.tell(&change);
        }
    }

    /// Tells those who watch of a change.
    fn tell(&mut self, change: &Change) {
        let connections = &self.connections;
        let may_hear = |connection, acl: &[access::Acl]| {
            let known: Option<&Connection> = connections.get(&connection);
            known.is_some_and(|known| {
                access::check(acl, access::permission::READ, &known.identities).is_ok()
            })
        };
        for event in self.watches.trigger(change, may_hear) {
            self.send_event(&event);
        }
    }

    fn send_event(&mut self, event: &Event) {
        let mut message = Writer::reply(xid::EVENT, -1, 0);
        message
            .int(event.kind as i32)
            .int(SYNC_CONNECTED)
            .text(&event.path);
        let message = message.finish();
        self.events_bytes += message.len();
        if self.events_bytes <= EVENTS_BYTES_MAX {
            self.send(event.connection, message);
        } else if self.connections.contains_key(&event.connection) {
            self.close(event.connection);
        }
    }

    fn send(&mut self, connection: ConnectionId, message: Message) {
        self.effects.push(Effect::Send(connection, message));
    }

    fn close(&mut self, connection: ConnectionId) {
        self.effects.push(Effect::Close(connection));
        self.lost(connection);
    }
}

/// What comes of the wish to go on with a session.
enum Resumed {
    Yes,
    /// It is over, or another's.
    No,
    /// No connection is given to it now.
    Cut,
}
