//! Requests that watch, and nothing else.

use super::super::watches::watch_bytes;
use super::super::wire::{Paths, WatchMode};
use super::{ConnectionId, Event, EventKind, Machine, Refusal};

/// How much memory all watches may take, about.
const WATCHES_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Machine {
    /// Sets watches again that a connection before this one had, and tells at once what has changed since.
    pub(super) fn set_watches(
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

    pub(super) fn add_watch(
        &mut self,
        connection: ConnectionId,
        path: &String,
        mode: WatchMode,
    ) -> Result<(), Refusal> {
        self.check_room_for_watches([path])?;
        self.watches.watch(path, connection, mode);
        Ok(())
    }

    pub(super) fn check_room_for_watches<'a>(
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
}
