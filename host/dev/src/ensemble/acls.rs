//! The ACLs of all nodes, each kept once: most nodes have the same one.

use std::collections::HashMap;
use std::sync::Arc;

use super::access::Acl;

/// What an entry of an ACL takes beside its texts.
const ENTRY_BYTES: usize = 64;

/// The ACLs that nodes have, and how many nodes have each.
#[derive(Debug, Default)]
pub(super) struct Acls {
    nodes: HashMap<Arc<[Acl]>, usize>,
}

impl Acls {
    /// About how much more memory one more node with this ACL takes for it.
    pub(super) fn bytes_to_add(&self, acl: &[Acl]) -> usize {
        if self.nodes.contains_key(acl) {
            0
        } else {
            acl_bytes(acl)
        }
    }

    /// One more node has this ACL; gives the one copy of it.
    pub(super) fn add(&mut self, acl: Arc<[Acl]>) -> Arc<[Acl]> {
        let shared = match self.nodes.get_key_value(&acl) {
            Some((known, _)) => known.clone(),
            None => acl,
        };
        *self.nodes.entry(shared.clone()).or_default() += 1;
        shared
    }

    /// Each of them.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &Arc<[Acl]>> {
        self.nodes.keys()
    }

    /// A node does not have it any more; tells about how much memory that gives back.
    pub(super) fn remove(&mut self, acl: &[Acl]) -> usize {
        let Some(nodes) = self.nodes.get_mut(acl) else {
            return 0;
        };
        *nodes -= 1;
        if *nodes > 0 {
            return 0;
        }
        self.nodes.remove(acl);
        acl_bytes(acl)
    }
}

/// About how much memory an ACL takes.
pub(super) fn acl_bytes(acl: &[Acl]) -> usize {
    let texts = acl
        .iter()
        .map(|entry| entry.identity.scheme.len() + entry.identity.id.len());
    texts.sum::<usize>() + acl.len() * ENTRY_BYTES
}
