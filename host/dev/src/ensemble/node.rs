//! A node, and what is told of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::access::Acl;

/// The owner of a container, a node that goes when its last child has gone.
pub(super) const CONTAINER: i64 = i64::MIN;

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) data: Option<Vec<u8>>,
    /// The one copy that all nodes share that have it.
    pub(super) acl: Arc<[Acl]>,
    pub(super) children: BTreeSet<String>,
    pub(super) record: Record,
}

/// What is kept of a node's history. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) pzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    pub(super) version: i32,
    pub(super) aversion: i32,
    /// How many children were ever made: the number in the name of the next sequential one.
    pub(super) creations: i32,
    /// The session of an ephemeral node, [`CONTAINER`], or 0.
    pub(super) owner: i64,
}

/// What a client is told of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    pub(super) version: i32,
    pub(super) cversion: i32,
    pub(super) aversion: i32,
    pub(super) ephemeral_owner: i64,
    pub(super) data_length: i32,
    pub(super) num_children: i32,
    pub(super) pzxid: i64,
}

impl Node {
    /// A node that is made in this transaction.
    pub(super) fn new(
        data: Option<Vec<u8>>,
        acl: Arc<[Acl]>,
        owner: i64,
        zxid: i64,
        time: i64,
    ) -> Self {
        let record = Record {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            owner,
            ..Record::default()
        };
        Self::restored(data, acl, record)
    }

    /// A node that was there before. Its children come after it.
    pub(super) fn restored(data: Option<Vec<u8>>, acl: Arc<[Acl]>, record: Record) -> Self {
        Self {
            data,
            acl,
            children: BTreeSet::new(),
            record,
        }
    }

    /// Whether it goes with a session.
    pub(super) fn is_ephemeral(&self) -> bool {
        !matches!(self.record.owner, 0 | CONTAINER)
    }

    pub(super) fn stat(&self) -> Stat {
        let Record {
            czxid,
            mzxid,
            pzxid,
            ctime,
            mtime,
            version,
            aversion,
            creations,
            owner,
        } = self.record;
        let length = |length| i32::try_from(length).unwrap_or(i32::MAX);
        let num_children = length(self.children.len());
        Stat {
            czxid,
            mzxid,
            ctime,
            mtime,
            version,
            // Creations and deletions: those who are not there any more count twice.
            cversion: creations.wrapping_mul(2).wrapping_sub(num_children),
            aversion,
            ephemeral_owner: if self.is_ephemeral() { owner } else { 0 },
            data_length: length(self.data.as_ref().map_or(0, Vec::len)),
            num_children,
            pzxid,
        }
    }
}
