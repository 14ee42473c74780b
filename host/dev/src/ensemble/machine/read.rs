//! Requests that read, with the watches that some of them leave.

use super::super::access::{self, permission};
use super::super::wire::Read;
use super::answer::{self, Found};
use super::{ConnectionId, Header, Machine, Node, Refusal, Writer};

/// The longest answer to a request that reads several things.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Machine {
    pub(super) fn read(
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

    pub(super) fn multi_read(
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
}
