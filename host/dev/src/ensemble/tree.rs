//! The nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::access::{self, Acl};
use super::node::{CONTAINER, Node, Record, Stat};
use super::path;
use super::refusal::Refusal;

/// What a node takes beside its path, its data and its ACL.
const NODE_BYTES: usize = 256;

/// What an entry of an ACL takes beside its texts.
const ENTRY_BYTES: usize = 64;

/// All nodes, by their paths. A parent is always there.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<String, Node>,
    ephemerals: BTreeMap<i64, BTreeSet<String>>,
    containers: BTreeSet<String>,
    /// About how much memory they take, and may take.
    bytes: usize,
    bytes_max: usize,
}

impl Tree {
    /// No nodes at all, not even the root: that is to come first.
    pub(super) fn empty(bytes_max: usize) -> Self {
        Self {
            nodes: HashMap::new(),
            ephemerals: BTreeMap::new(),
            containers: BTreeSet::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// The nodes that are always there.
    pub(super) fn new(bytes_max: usize) -> Self {
        let mut tree = Self::empty(bytes_max);
        let node = |acl, aversion| {
            let mut node = Node::new(Some(Vec::new()), acl, 0, 0, 0);
            node.record.aversion = aversion;
            node
        };
        tree.insert("/", node(access::open(), 0));
        tree.insert("/zookeeper", node(access::open(), 0));
        tree.insert("/zookeeper/quota", node(access::open(), 0));
        let mut read = access::open();
        read[0].permissions = access::permission::READ;
        tree.insert("/zookeeper/config", node(read, -1));
        tree
    }

    /// The node at a path; the root has two.
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path::named(path))
    }

    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(path::named(path))
    }

    pub(super) fn expect(&self, path: &str) -> Result<&Node, Refusal> {
        self.get(path).ok_or(Refusal::NoNode)
    }

    /// Makes room for so many bytes in the place of others.
    pub(super) fn make_room(&self, more: usize, less: usize) -> Result<(), Refusal> {
        let fits = self.bytes.saturating_sub(less).saturating_add(more) <= self.bytes_max;
        fits.then_some(()).ok_or(Refusal::QuotaExceeded)
    }

    /// Puts a node at a path, whose parent is there.
    pub(super) fn insert(&mut self, path: &str, node: Node) {
        if let Ok((parent, name)) = path::split(path)
            && path != "/"
            && let Some(parent) = self.get_mut(parent)
        {
            parent.children.insert(name.to_owned());
        }
        match node.record.owner {
            0 => {}
            CONTAINER => drop(self.containers.insert(path.to_owned())),
            owner => drop(
                self.ephemerals
                    .entry(owner)
                    .or_default()
                    .insert(path.to_owned()),
            ),
        }
        self.bytes += node_bytes(path, &node);
        self.nodes.insert(path.to_owned(), node);
    }

    /// Puts a node back that was there before, after its parent.
    pub(super) fn restore(&mut self, path: &str, node: Node) -> Result<(), Refusal> {
        path::validate(path)?;
        let (parent, _) = path::split(path)?;
        if self.nodes.contains_key(path) || path != "/" && self.get(parent).is_none() {
            return Err(Refusal::BadArguments);
        }
        self.insert(path, node);
        Ok(())
    }

    /// Takes a node without children away.
    pub(super) fn remove(&mut self, path: &str) -> Option<Node> {
        let node = self.nodes.remove(path)?;
        self.bytes -= node_bytes(path, &node);
        if let Ok((parent, name)) = path::split(path)
            && let Some(parent) = self.get_mut(parent)
        {
            parent.children.remove(name);
        }
        self.containers.remove(path);
        let owner = node.record.owner;
        if let Some(paths) = self.ephemerals.get_mut(&owner) {
            paths.remove(path);
            if paths.is_empty() {
                self.ephemerals.remove(&owner);
            }
        }
        Some(node)
    }

    /// Changes what a node holds; gives what it held.
    pub(super) fn replace(
        &mut self,
        path: &str,
        data: Option<Vec<u8>>,
        record: Record,
    ) -> Option<(Option<Vec<u8>>, Record)> {
        let length = |data: &Option<Vec<u8>>| data.as_ref().map_or(0, Vec::len);
        let more = length(&data);
        let node = self.get_mut(path)?;
        let before = (
            std::mem::replace(&mut node.data, data),
            std::mem::replace(&mut node.record, record),
        );
        self.bytes = self.bytes + more - length(&before.0);
        Some(before)
    }

    /// Changes who may do what with a node; gives what it is then.
    pub(super) fn set_acl(&mut self, path: &str, acl: Vec<Acl>, aversion: i32) -> Option<Stat> {
        let more = acl_bytes(&acl);
        let node = self.get_mut(path)?;
        let before = std::mem::replace(&mut node.acl, acl);
        node.record.aversion = aversion;
        let stat = node.stat();
        self.bytes = self.bytes + more - acl_bytes(&before);
        Some(stat)
    }

    /// The nodes that go with a session.
    pub(super) fn ephemerals(&self, session: i64) -> impl ExactSizeIterator<Item = &String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.ephemerals.get(&session).unwrap_or(&NONE).iter()
    }

    /// How many nodes go with some session.
    pub(super) fn ephemeral_count(&self) -> usize {
        self.ephemerals.values().map(BTreeSet::len).sum()
    }

    /// Containers that had children, and have none any more.
    pub(super) fn emptied_containers(&self) -> Vec<String> {
        let is_emptied = |path: &&String| {
            self.get(path)
                .is_some_and(|node| node.children.is_empty() && node.record.creations > 0)
        };
        self.containers.iter().filter(is_emptied).cloned().collect()
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All nodes, in the order of their paths.
    pub(super) fn sorted(&self) -> Vec<(&String, &Node)> {
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_unstable_by_key(|(path, _)| *path);
        nodes
    }

    /// How many nodes are below a path.
    pub(super) fn count_below(&self, path: &str) -> usize {
        if path == "/" {
            return self.nodes.len() - 1;
        }
        let prefix = format!("{path}/");
        let is_below = |other: &&String| other.starts_with(&prefix);
        self.nodes.keys().filter(is_below).count()
    }
}

/// About how much memory a node takes.
pub(super) fn node_bytes(path: &str, node: &Node) -> usize {
    // The path stands in the tree, its name in the parent, and both once more if it is ephemeral.
    let data = node.data.as_ref().map_or(0, Vec::len);
    NODE_BYTES + 4 * path.len() + data + acl_bytes(&node.acl)
}

/// About how much memory an ACL takes.
pub(super) fn acl_bytes(acl: &[Acl]) -> usize {
    let texts = acl
        .iter()
        .map(|entry| entry.identity.scheme.len() + entry.identity.id.len());
    texts.sum::<usize>() + acl.len() * ENTRY_BYTES
}
