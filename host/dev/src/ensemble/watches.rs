//! Watches: who hears of which change.
//!
//! As in ZooKeeper 3.8 there are two tables, one of what is heard of a node itself and one of what is heard of its children.
//! A connection has at most one watch on a path in each, whose mode is the one that was asked for last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::access::Acl;
use super::path;
use super::wire::{WatchKind, WatchMode};

/// A connection, by the number that the server gave it.
pub(super) type ConnectionId = u64;

/// What a watch takes beside its path, which stands in it twice.
const WATCH_BYTES: usize = 128;

/// A change of the tree.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Created {
        path: String,
        acl: Arc<[Acl]>,
        parent_acl: Arc<[Acl]>,
    },
    Deleted {
        path: String,
        acl: Arc<[Acl]>,
        parent_acl: Arc<[Acl]>,
    },
    Set {
        path: String,
        acl: Arc<[Acl]>,
    },
}

/// What a watch says, as ZooKeeper numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum EventKind {
    Created = 1,
    Deleted = 2,
    Data = 3,
    Children = 4,
}

/// What a connection hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) connection: ConnectionId,
    pub(super) kind: EventKind,
    pub(super) path: String,
}

/// All watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    data: Table,
    child: Table,
}

#[derive(Debug, Default)]
struct Table {
    paths: HashMap<String, BTreeMap<ConnectionId, Option<WatchMode>>>,
    connections: HashMap<ConnectionId, BTreeSet<String>>,
    recursive: usize,
    /// About how much memory they take.
    bytes: usize,
}

impl Watches {
    /// Watches a node once: whether it is there, and what it holds.
    pub(super) fn watch_data(&mut self, path: &str, connection: ConnectionId) {
        self.data.add(path, connection, None);
    }

    /// Watches a node's children once.
    pub(super) fn watch_children(&mut self, path: &str, connection: ConnectionId) {
        self.child.add(path, connection, None);
    }

    /// Watches a node, or all below it too, until told otherwise.
    pub(super) fn watch(&mut self, path: &str, connection: ConnectionId, mode: WatchMode) {
        self.child.add(path, connection, Some(mode));
        self.data.add(path, connection, Some(mode));
    }

    /// Takes watches away; tells whether there were any.
    pub(super) fn remove(&mut self, path: &str, connection: ConnectionId, kind: WatchKind) -> bool {
        let child = kind != WatchKind::Data && self.child.remove(path, connection);
        let data = kind != WatchKind::Child && self.data.remove(path, connection);
        child || data
    }

    /// Whether there are such watches. ZooKeeper does not ask whose they are.
    pub(super) fn contains(&self, path: &str, connection: ConnectionId, kind: WatchKind) -> bool {
        kind != WatchKind::Data && self.child.contains(path, connection)
            || kind != WatchKind::Child && self.data.contains(path, connection)
    }

    /// Forgets a connection.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        for table in [&mut self.data, &mut self.child] {
            for path in table.connections.remove(&connection).unwrap_or_default() {
                table.bytes -= watch_bytes(&path);
                table.remove_from_path(&path, connection);
            }
        }
    }

    /// About how much memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.data.bytes + self.child.bytes
    }

    /// How many watches there are.
    pub(super) fn count(&self) -> usize {
        let count = |table: &Table| table.connections.values().map(BTreeSet::len).sum::<usize>();
        count(&self.data) + count(&self.child)
    }

    /// What is heard of a change, in order. `may_hear` tells who may read a node with that ACL.
    pub(super) fn trigger(
        &mut self,
        change: &Change,
        may_hear: impl Fn(ConnectionId, &[Acl]) -> bool,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut tell = |kind, path: &str, acl: &[Acl], connections: BTreeSet<ConnectionId>| {
            let hearing = connections.into_iter().filter(|it| may_hear(*it, acl));
            events.extend(hearing.map(|connection| Event {
                connection,
                kind,
                path: path.to_owned(),
            }));
        };
        let parent = |path| path::named(path::split(path).map_or("", |(parent, _)| parent));
        match change {
            Change::Set { path, acl } => {
                tell(
                    EventKind::Data,
                    path,
                    acl,
                    self.data.fire(path, EventKind::Data),
                );
            }
            Change::Created {
                path,
                acl,
                parent_acl,
            } => {
                let kind = EventKind::Created;
                tell(kind, path, acl, self.data.fire(path, kind));
                let (path, kind) = (parent(path), EventKind::Children);
                tell(kind, path, parent_acl, self.child.fire(path, kind));
            }
            Change::Deleted {
                path,
                acl,
                parent_acl,
            } => {
                let kind = EventKind::Deleted;
                let told = self.data.fire(path, kind);
                let more = &self.child.fire(path, kind) - &told;
                tell(kind, path, acl, told);
                tell(kind, path, acl, more);
                let (path, kind) = (parent(path), EventKind::Children);
                tell(kind, path, parent_acl, self.child.fire(path, kind));
            }
        }
        events
    }
}

impl Table {
    fn add(&mut self, path: &str, connection: ConnectionId, mode: Option<WatchMode>) {
        let is_recursive = |mode| mode == Some(WatchMode::PersistentRecursive);
        let watchers = self.paths.entry(path.to_owned()).or_default();
        let before = watchers.insert(connection, mode).flatten();
        self.recursive += usize::from(is_recursive(mode));
        self.recursive -= usize::from(is_recursive(before));
        let paths = self.connections.entry(connection).or_default();
        if paths.insert(path.to_owned()) {
            self.bytes += watch_bytes(path);
        }
    }

    fn remove(&mut self, path: &str, connection: ConnectionId) -> bool {
        let Some(paths) = self.connections.get_mut(&connection) else {
            return false;
        };
        let was_there = paths.remove(path);
        if paths.is_empty() {
            self.connections.remove(&connection);
        }
        if was_there {
            self.bytes -= watch_bytes(path);
            self.remove_from_path(path, connection);
        }
        was_there
    }

    fn remove_from_path(&mut self, path: &str, connection: ConnectionId) {
        let Some(watchers) = self.paths.get_mut(path) else {
            return;
        };
        let mode = watchers.remove(&connection).flatten();
        self.recursive -= usize::from(mode == Some(WatchMode::PersistentRecursive));
        if watchers.is_empty() {
            self.paths.remove(path);
        }
    }

    fn contains(&self, path: &str, connection: ConnectionId) -> bool {
        let watchers = self.paths.get(path);
        let mode = watchers.and_then(|watchers| watchers.get(&connection).copied().flatten());
        watchers.is_some() || mode == Some(WatchMode::PersistentRecursive)
    }

    /// The connections that hear of it. Watches that were set once are gone then.
    fn fire(&mut self, path: &str, kind: EventKind) -> BTreeSet<ConnectionId> {
        let mut told = BTreeSet::new();
        let mut spent = Vec::new();
        let levels = if self.recursive > 0 { usize::MAX } else { 1 };
        for (level, watched) in path::upwards(path).take(levels).enumerate() {
            for (connection, mode) in self.paths.get(watched).into_iter().flatten() {
                match mode {
                    Some(WatchMode::PersistentRecursive) => {
                        if kind != EventKind::Children {
                            told.insert(*connection);
                        }
                    }
                    Some(WatchMode::Persistent) if level == 0 => drop(told.insert(*connection)),
                    None if level == 0 => {
                        told.insert(*connection);
                        spent.push(*connection);
                    }
                    Some(WatchMode::Persistent) | None => {}
                }
            }
        }
        for connection in spent {
            self.remove(path, connection);
        }
        told
    }
}

/// About how much memory a watch on a path takes.
pub(super) fn watch_bytes(path: &str) -> usize {
    WATCH_BYTES + 2 * path.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(watches: &mut Watches, change: &Change) -> Vec<(ConnectionId, EventKind, String)> {
        let events = watches.trigger(change, |_, _| true);
        let parts = events
            .into_iter()
            .map(|it| (it.connection, it.kind, it.path));
        parts.collect()
    }

    fn deleted(path: &str) -> Change {
        Change::Deleted {
            path: path.into(),
            acl: Arc::default(),
            parent_acl: Arc::default(),
        }
    }

    #[test]
    fn a_watch_that_is_set_once_fires_once_and_a_deletion_is_told_once() {
        let mut watches = Watches::default();
        watches.watch_data("/a", 1);
        watches.watch_children("/a", 1);
        watches.watch_children("/", 2);
        let expected = [
            (1, EventKind::Deleted, "/a".to_owned()),
            (2, EventKind::Children, "/".to_owned()),
        ];
        assert_eq!(heard(&mut watches, &deleted("/a")), expected);
        assert_eq!(heard(&mut watches, &deleted("/a")), []);
        assert_eq!((watches.count(), watches.bytes()), (0, 0));
    }

    #[test]
    fn a_recursive_watch_hears_of_all_below_but_of_no_children() {
        let mut watches = Watches::default();
        watches.watch("/a", 1, WatchMode::PersistentRecursive);
        watches.watch("/a", 2, WatchMode::Persistent);
        let expected = [
            (1, EventKind::Deleted, "/a/b".to_owned()),
            (2, EventKind::Children, "/a".to_owned()),
        ];
        assert_eq!(heard(&mut watches, &deleted("/a/b")), expected);
        assert!(watches.remove("/a", 1, WatchKind::Any));
        assert!(!watches.remove("/a", 1, WatchKind::Any));
        watches.forget(2);
        assert_eq!(heard(&mut watches, &deleted("/a/b")), []);
        assert_eq!((watches.data.recursive, watches.child.recursive), (0, 0));
        assert_eq!((watches.count(), watches.bytes()), (0, 0));
    }
}
