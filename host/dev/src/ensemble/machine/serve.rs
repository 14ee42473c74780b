//! What comes of each request.

use super::super::access::{self, permission};
use super::super::watches::watch_bytes;
use super::super::wire::{Paths, Read, WatchMode, Write};
use super::answer::{self, Found};
use super::{
    Author, ConnectionId, Event, EventKind, Header, Identity, Machine, Message, Node, Now, Refusal,
    Request, Writer, transactions, xid,
};

/// How much memory all watches may take, about.
const WATCHES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest answer to a request that reads several things.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How many identities a connection may show, and how long what it shows for one may be.
const IDENTITIES_MAX: usize = 64;
const SECRET_BYTES_MAX: usize = 4096;

impl Machine {
    pub(super) fn serve(
        &mut self,
        connection: ConnectionId,
        session: i64,
        header: Header,
        request: Request,
        now: Now,
    ) {
        let answer = match request {
            Request::Ping => Ok(Writer::reply(xid::PING, self.zxid, 0)),
            // ZooKeeper's own server ends itself when it is asked for a check outside of a transaction.
            Request::Write(Write::Check { .. }) | Request::Unknown => {
                return self.refuse_and_close(connection, header, Refusal::Unimplemented);
            }
            Request::Write(write) => self.write(connection, session, header, write, now),
            Request::Multi(writes) => Ok(self.multi(connection, session, header, writes, now)),
            Request::Read(read) => self.read(connection, session, &read).map(|found| {
                let mut reply = self.reply(header);
                answer::found(&mut reply, &found);
                reply
            }),
            Request::MultiRead(reads) => Ok(self.multi_read(connection, session, header, &reads)),
            Request::Sync { path } => {
                let mut reply = self.reply(header);
                reply.text(&path);
                Ok(reply)
            }
            Request::Auth { scheme, secret } => {
                return self.authenticate(connection, header, &scheme, &secret);
            }
            Request::SetWatches { since, paths } => {
                let done = self.set_watches(connection, since, &paths);
                done.map(|()| self.reply(header))
            }
            Request::AddWatch { path, mode } => self.add_watch(connection, &path, mode).map(|()| {
                let mut reply = self.reply(header);
                reply.int(0);
                reply
            }),
            Request::CheckWatches { path, kind } => {
                let found = self.watches.contains(&path, connection, kind);
                found.then(|| self.reply(header)).ok_or(Refusal::NoWatcher)
            }
            Request::RemoveWatches { path, kind } => {
                let found = self.watches.remove(&path, connection, kind);
                found.then(|| self.reply(header)).ok_or(Refusal::NoWatcher)
            }
            Request::Reconfig => {
                self.zxid += 1;
                Err(Refusal::ReconfigDisabled)
            }
            Request::CloseSession => {
                self.close_session(connection, session, header);
                return;
            }
        };
        let answer = answer.unwrap_or_else(|refusal| self.refusal(header, refusal));
        self.send(connection, answer.finish());
    }

    /// Answers a request whose header alone could be read.
    pub(super) fn refuse_malformed(&mut self, connection: ConnectionId, header: Header) {
        if answer::is_write(header.code) {
            self.zxid += 1;
        }
        let answer = self.refusal(header, Refusal::Marshalling).finish();
        self.send(connection, answer);
    }

    fn reply(&self, header: Header) -> Writer {
        Writer::reply(header.xid, self.zxid, 0)
    }

    fn refusal(&self, header: Header, refusal: Refusal) -> Writer {
        Writer::reply(header.xid, self.zxid, refusal.code())
    }

    fn refuse_and_close(&mut self, connection: ConnectionId, header: Header, refusal: Refusal) {
        let answer = self.refusal(header, refusal).finish();
        self.send(connection, answer);
        self.close(connection);
    }

    fn identities(&self, connection: ConnectionId) -> &[Identity] {
        let known = self.connections.get(&connection);
        known.map_or(&[], |known| &known.identities)
    }

    fn write(
        &mut self,
        connection: ConnectionId,
        session: i64,
        header: Header,
        write: Write,
        now: Now,
    ) -> Result<Writer, Refusal> {
        let mut made = self.apply(connection, session, vec![write], now);
        let made = match &mut made {
            Ok(made) => made.pop().ok_or(Refusal::Marshalling)?,
            Err((_, refusal)) => return Err(*refusal),
        };
        let mut reply = self.reply(header);
        answer::outcome(&mut reply, &made.outcome);
        Ok(reply)
    }

    fn multi(
        &mut self,
        connection: ConnectionId,
        session: i64,
        header: Header,
        writes: Vec<Write>,
        now: Now,
    ) -> Writer {
        let count = writes.len();
        let made = self.apply(connection, session, writes, now);
        let mut reply = self.reply(header);
        match made {
            Ok(made) => {
                for made in made {
                    answer::part(&mut reply, &made.outcome);
                }
            }
            Err((refused, refusal)) => {
                for index in 0..count {
                    answer::error_part(
                        &mut reply,
                        match index {
                            _ if index < refused => 0,
                            _ if index == refused => refusal.code(),
                            _ => Refusal::RuntimeInconsistency.code(),
                        },
                    );
                }
            }
        }
        answer::end(&mut reply);
        reply
    }

    /// Makes changes and tells those who watch.
    fn apply(
        &mut self,
        connection: ConnectionId,
        session: i64,
        writes: Vec<Write>,
        now: Now,
    ) -> Result<Vec<transactions::Made>, (usize, Refusal)> {
        // What is refused takes a number as well.
        self.zxid += 1;
        let known = self.connections.get(&connection);
        let author = Author {
            session,
            identities: known.map_or(&[], |known| &known.identities),
            zxid: self.zxid,
            time: now.wall,
        };
        let made = transactions::apply_all(&mut self.tree, writes, &author)?;
        for change in made.iter().filter_map(|made| made.change.as_ref()) {
            self.tell(change);
        }
        Ok(made)
    }

    fn read(
        &mut self,
        connection: ConnectionId,
        session: i64,
        read: &Read,
    ) -> Result<Found, Refusal> {
        let (Read::Exists { path, watch }
        | Read::Data { path, watch }
        | Read::Children { path, watch, .. }) = read
        else {
            return self.read_without_watch(connection, session, read);
        };
        if *watch {
            self.check_room_for_watches([path])?;
        }
        let found = self.read_without_watch(connection, session, read);
        match read {
            // What is not there can be watched as well.
            Read::Exists { path, .. }
                if *watch && !matches!(found, Err(Refusal::BadArguments | Refusal::NoAuth)) =>
            {
                self.watches.watch_data(path, connection);
            }
            Read::Data { path, .. } if *watch && found.is_ok() => {
                self.watches.watch_data(path, connection);
            }
            Read::Children { path, .. } if *watch && found.is_ok() => {
                self.watches.watch_children(path, connection);
            }
            _ => {}
        }
        found
    }

    fn read_without_watch(
        &self,
        connection: ConnectionId,
        session: i64,
        read: &Read,
    ) -> Result<Found, Refusal> {
        let shown = self.identities(connection);
        let readable = |path: &str, rights| -> Result<&Node, Refusal> {
            let node = self.tree.expect(path)?;
            access::check(&node.acl, rights, shown)?;
            Ok(node)
        };
        Ok(match read {
            Read::Exists { path, .. } if path.contains('\0') => return Err(Refusal::BadArguments),
            Read::Exists { path, .. } => Found::Stat(self.tree.expect(path)?.stat()),
            Read::Data { path, .. } => {
                let node = readable(path, permission::READ)?;
                Found::Data(node.data.clone(), node.stat())
            }
            Read::Acl { path } => {
                let node = readable(path, permission::READ | permission::ADMIN)?;
                let acl = match access::check(&node.acl, permission::ADMIN, shown) {
                    Ok(()) => node.acl.clone(),
                    Err(_) => access::masked(&node.acl).into(),
                };
                Found::Acl(acl, node.stat())
            }
            Read::Children {
                path, with_stat, ..
            } => {
                let node = readable(path, permission::READ)?;
                let children = node.children.iter().cloned().collect();
                Found::Names(children, with_stat.then(|| node.stat()))
            }
            Read::Ephemerals { prefix } => {
                let all = self.tree.ephemerals(session);
                let below = |path: &&String| prefix.trim().is_empty() || path.starts_with(prefix);
                Found::Names(all.filter(below).cloned().collect(), None)
            }
            Read::AllChildrenNumber { path } => {
                readable(path, permission::READ)?;
                Found::Count(self.tree.count_below(path))
            }
            Read::WhoAmI => Found::Identities(shown.to_vec()),
        })
    }

    fn multi_read(
        &self,
        connection: ConnectionId,
        session: i64,
        header: Header,
        reads: &[Read],
    ) -> Writer {
        let mut reply = self.reply(header);
        for read in reads {
            match self.read_without_watch(connection, session, read) {
                Ok(found) => answer::found_part(&mut reply, &found),
                Err(refusal) => answer::error_part(&mut reply, refusal.code()),
            }
            if reply.len() > ANSWER_BYTES_MAX {
                return self.refusal(header, Refusal::QuotaExceeded);
            }
        }
        answer::end(&mut reply);
        reply
    }

    fn authenticate(
        &mut self,
        connection: ConnectionId,
        header: Header,
        scheme: &str,
        secret: &[u8],
    ) {
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        let has_room = known.identities.len() < IDENTITIES_MAX && secret.len() <= SECRET_BYTES_MAX;
        let shown = Identity::authenticate(scheme, secret, &known.address);
        let shown = shown.filter(|_| has_room);
        let is_known = shown.is_some();
        if let Some(shown) = shown.filter(|shown| !known.identities.contains(shown)) {
            known.identities.push(shown);
        }
        let code = if is_known {
            0
        } else {
            Refusal::AuthFailed.code()
        };
        self.send(connection, Writer::reply(header.xid, 0, code).finish());
        if !is_known {
            self.close(connection);
        }
    }

    /// Sets watches again that a connection before this one had, and tells at once what has changed since.
    fn set_watches(
        &mut self,
        connection: ConnectionId,
        since: i64,
        paths: &Paths,
    ) -> Result<(), Refusal> {
        let Paths {
            data,
            exist,
            child,
            persistent,
            recursive,
        } = paths;
        let all = [data, exist, child, persistent, recursive];
        self.check_room_for_watches(all.into_iter().flatten())?;
        for path in data {
            match self.tree.get(path) {
                None => self.tell_one(connection, EventKind::Deleted, path),
                Some(node) if node.record.mzxid > since => {
                    self.tell_one(connection, EventKind::Data, path);
                }
                Some(_) => self.watches.watch_data(path, connection),
            }
        }
        for path in exist {
            match self.tree.get(path) {
                Some(_) => self.tell_one(connection, EventKind::Created, path),
                None => self.watches.watch_data(path, connection),
            }
        }
        for path in child {
            match self.tree.get(path) {
                None => self.tell_one(connection, EventKind::Deleted, path),
                Some(node) if node.record.pzxid > since => {
                    self.tell_one(connection, EventKind::Children, path);
                }
                Some(_) => self.watches.watch_children(path, connection),
            }
        }
        for path in persistent {
            self.watches.watch(path, connection, WatchMode::Persistent);
        }
        for path in recursive {
            self.watches
                .watch(path, connection, WatchMode::PersistentRecursive);
        }
        Ok(())
    }

    fn add_watch(
        &mut self,
        connection: ConnectionId,
        path: &String,
        mode: WatchMode,
    ) -> Result<(), Refusal> {
        self.check_room_for_watches([path])?;
        self.watches.watch(path, connection, mode);
        Ok(())
    }

    fn check_room_for_watches<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), Refusal> {
        // Each may be one of the node and one of its children.
        let more: usize = paths.into_iter().map(|path| 2 * watch_bytes(path)).sum();
        let fits = self.watches.bytes().saturating_add(more) <= WATCHES_BYTES_MAX;
        fits.then_some(()).ok_or(Refusal::QuotaExceeded)
    }

    fn tell_one(&mut self, connection: ConnectionId, kind: EventKind, path: &str) {
        let path = path.to_owned();
        self.send_event(&Event {
            connection,
            kind,
            path,
        });
    }

    fn close_session(&mut self, connection: ConnectionId, session: i64, header: Header) {
        // The connection is closed by hand below, after the answer.
        if let Some(session) = self.sessions.get_mut(session) {
            session.connection = None;
        }
        self.end(session);
        let answer: Message = self.reply(header).finish();
        self.send(connection, answer);
        self.close(connection);
    }
}
