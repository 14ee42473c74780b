//! What comes of each request.

use super::super::wire::Write;
use super::answer;
use super::{
    Author, ConnectionId, Header, Identity, Machine, Message, Now, Refusal, Request, Writer,
    transactions, xid,
};

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

    pub(super) fn reply(&self, header: Header) -> Writer {
        Writer::reply(header.xid, self.zxid, 0)
    }

    pub(super) fn refusal(&self, header: Header, refusal: Refusal) -> Writer {
        Writer::reply(header.xid, self.zxid, refusal.code())
    }

    fn refuse_and_close(&mut self, connection: ConnectionId, header: Header, refusal: Refusal) {
        let answer = self.refusal(header, refusal).finish();
        self.send(connection, answer);
        self.close(connection);
    }

    pub(super) fn identities(&self, connection: ConnectionId) -> &[Identity] {
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
