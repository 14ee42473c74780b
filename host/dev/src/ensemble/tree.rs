//! The nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::access::{self, Acl};
use super::acls::Acls;
use super::node::{CONTAINER, Node, Record, Stat};
use super::path;
use super::refusal::Refusal;

/// What a node takes beside its path and its data.
const NODE_BYTES: usize = 256;

/// All nodes, by their paths. A parent is always there.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<String, Node>,
    ephemerals: BTreeMap<i64, BTreeSet<String>>,
    containers: BTreeSet<String>,
    acls: Acls,
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
            acls: Acls::default(),
            bytes: 0,
            bytes_max,
        }
    }

    /// The nodes that are always there.
    pub(super) fn new(bytes_max: usize) -> Self {
        let mut tree = Self::empty(bytes_max);
        let node = |acl: Vec<Acl>, aversion| {
            let mut node = Node::new(Some(Vec::new()), Arc::from(acl), 0, 0, 0);
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

    /// Makes room for a node at a path.
    pub(super) fn make_room_for(&self, path: &str, node: &Node) -> Result<(), Refusal> {
        let more = node_bytes(path, node) + self.acls.bytes_to_add(&node.acl);
        self.make_room(more, 0)
    }

    /// Puts a node at a path, whose parent is there.
    pub(super) fn insert(&mut self, path: &str, mut node: Node) {
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
        self.bytes += node_bytes(path, &node) + self.acls.bytes_to_add(&node.acl);
        node.acl = self.acls.add(node.acl);
        self.nodes.insert(path.to_owned(), node);
    }

    /// Takes a node without children away.
    pub(super) fn remove(&mut self, path: &str) -> Option<Node> {
        let node = self.nodes.remove(path)?;
        self.bytes -= node_bytes(path, &node) + self.acls.remove(&node.acl);
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

    /// Changes who may do what with a node, if there is room for that; gives what it is then.
    pub(super) fn set_acl(
        &mut self,
        path: &str,
        acl: Vec<Acl>,
        aversion: i32,
    ) -> Result<Stat, Refusal> {
        let more = self.acls.bytes_to_add(&acl);
        self.make_room(more, 0)?;
        let node = self.nodes.get_mut(path::named(path));
        let node = node.ok_or(Refusal::NoNode)?;
        let acl = self.acls.add(acl.into());
        let before = std::mem::replace(&mut node.acl, acl);
        node.record.aversion = aversion;
        self.bytes = self.bytes + more - self.acls.remove(&before);
        Ok(node.stat())
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

    /// The ACLs that nodes have, each once.
    pub(super) fn acls(&self) -> impl ExactSizeIterator<Item = &Arc<[Acl]>> {
        self.acls.all()
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

/// About how much memory a node takes beside its ACL.
pub(super) fn node_bytes(path: &str, node: &Node) -> usize {
    // The path stands in the tree, its name in the parent, and both once more if it is ephemeral.
    let data = node.data.as_ref().map_or(0, Vec::len);
    NODE_BYTES + 4 * path.len() + data
}
