//! Changes of the tree: one, or several of which all are made or none.

use super::access::{self, Identity, permission};
use super::node::{CONTAINER, Node, Record, Stat};
use super::path;
use super::refusal::Refusal;
use super::tree::Tree;
use super::watches::Change;
use super::wire::{Create, Write};

/// Who makes a change, and when.
#[derive(Debug)]
pub(super) struct Author<'a> {
    pub(super) session: i64,
    pub(super) identities: &'a [Identity],
    pub(super) zxid: i64,
    /// Milliseconds since 1970.
    pub(super) time: i64,
}

/// What an author is told of a change.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Created { path: String, stat: Option<Stat> },
    Deleted,
    Set(Stat),
    Checked,
}

/// A change that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) outcome: Outcome,
    /// What watches hear of it.
    pub(super) change: Option<Change>,
    undo: Undo,
}

/// What takes a change back.
#[derive(Debug)]
enum Undo {
    Nothing,
    Remove {
        path: String,
        parent: Record,
    },
    Insert {
        path: String,
        node: Box<Node>,
        parent: Record,
    },
    Replace {
        path: String,
        data: Option<Vec<u8>>,
        record: Record,
    },
}

/// Makes all changes, or none of them: then it tells which one was refused, and why.
pub(super) fn apply_all(
    tree: &mut Tree,
    writes: Vec<Write>,
    author: &Author<'_>,
) -> Result<Vec<Made>, (usize, Refusal)> {
    let mut all: Vec<Made> = Vec::new();
    for (index, write) in writes.into_iter().enumerate() {
        match apply(tree, write, author) {
            Ok(made) => all.push(made),
            Err(refusal) => {
                for made in all.into_iter().rev() {
                    undo(tree, made.undo);
                }
                return Err((index, refusal));
            }
        }
    }
    Ok(all)
}

/// Makes one change.
pub(super) fn apply(tree: &mut Tree, write: Write, author: &Author<'_>) -> Result<Made, Refusal> {
    match write {
        Write::Create(create) => self::create(tree, create, author),
        Write::Delete { path, version } => delete(tree, path, version, author),
        Write::SetData {
            path,
            data,
            version,
        } => set_data(tree, path, data, version, author),
        Write::SetAcl { path, acl, version } => {
            path::validate(&path)?;
            let acl = access::expand(&acl, author.identities)?;
            let node = tree.expect(&path)?;
            access::check(&node.acl, permission::ADMIN, author.identities)?;
            let aversion = next_version(node.record.aversion, version)?;
            let stat = tree.set_acl(&path, acl, aversion)?;
            Ok(Made {
                outcome: Outcome::Set(stat),
                change: None,
                undo: Undo::Nothing,
            })
        }
        Write::Check { path, version } => {
            path::validate(&path)?;
            let node = tree.expect(&path)?;
            access::check(&node.acl, permission::READ, author.identities)?;
            next_version(node.record.version, version)?;
            Ok(Made {
                outcome: Outcome::Checked,
                change: None,
                undo: Undo::Nothing,
            })
        }
        Write::Unimplemented => Err(Refusal::Unimplemented),
    }
}

/// Takes away what goes with a session, or a container: no right is asked for.
pub(super) fn remove(tree: &mut Tree, path: &str, zxid: i64) -> Option<Change> {
    let (parent, _) = path::split(path).ok()?;
    let node = tree.remove(path)?;
    let parent_node = tree.get_mut(parent)?;
    parent_node.record.pzxid = zxid;
    Some(Change::Deleted {
        path: path.to_owned(),
        acl: node.acl,
        parent_acl: parent_node.acl.clone(),
    })
}

fn create(tree: &mut Tree, create: Create, author: &Author<'_>) -> Result<Made, Refusal> {
    let Create {
        mut path,
        data,
        acl,
        flags,
        is_container,
        with_stat,
    } = create;
    let (is_ephemeral, is_sequential) = match flags {
        0 | 4 => (false, false),
        1 => (true, false),
        2 => (false, true),
        3 => (true, true),
        // With a time to live.
        5 | 6 => return Err(Refusal::Unimplemented),
        _ => return Err(Refusal::BadArguments),
    };
    let (parent, _) = path::split(&path)?;
    let parent = parent.to_owned();
    let acl = access::expand(&acl, author.identities)?;
    let parent_node = tree.expect(&parent)?;
    access::check(&parent_node.acl, permission::CREATE, author.identities)?;
    if is_sequential {
        path = format!("{path}{:010}", parent_node.record.creations);
    }
    path::validate(&path)?;
    if tree.get(&path).is_some() {
        return Err(Refusal::NodeExists);
    }
    if parent_node.is_ephemeral() {
        return Err(Refusal::NoChildrenForEphemerals);
    }
    let owner = match (is_container, is_ephemeral) {
        (true, _) => CONTAINER,
        (false, true) => author.session,
        (false, false) => 0,
    };
    let node = Node::new(data, acl.into(), owner, author.zxid, author.time);
    tree.make_room_for(&path, &node)?;
    let (acl, stat) = (node.acl.clone(), with_stat.then(|| node.stat()));
    tree.insert(&path, node);
    let parent_node = tree.get_mut(&parent).ok_or(Refusal::NoNode)?;
    let before = parent_node.record;
    parent_node.record.creations = before.creations.wrapping_add(1);
    parent_node.record.pzxid = author.zxid;
    let parent_acl = parent_node.acl.clone();
    Ok(Made {
        outcome: Outcome::Created {
            path: path.clone(),
            stat,
        },
        change: Some(Change::Created {
            path: path.clone(),
            acl,
            parent_acl,
        }),
        undo: Undo::Remove {
            path,
            parent: before,
        },
    })
}

fn delete(
    tree: &mut Tree,
    path: String,
    version: i32,
    author: &Author<'_>,
) -> Result<Made, Refusal> {
    let (parent, _) = path::split_to_delete(&path)?;
    let parent_node = tree.expect(parent)?;
    access::check(&parent_node.acl, permission::DELETE, author.identities)?;
    let node = tree.expect(&path)?;
    next_version(node.record.version, version)?;
    if !node.children.is_empty() {
        return Err(Refusal::NotEmpty);
    }
    let before = parent_node.record;
    let parent = parent.to_owned();
    let node = tree.remove(&path).ok_or(Refusal::NoNode)?;
    let parent_node = tree.get_mut(&parent).ok_or(Refusal::NoNode)?;
    parent_node.record.pzxid = author.zxid;
    let change = Change::Deleted {
        path: path.clone(),
        acl: node.acl.clone(),
        parent_acl: parent_node.acl.clone(),
    };
    Ok(Made {
        outcome: Outcome::Deleted,
        change: Some(change),
        undo: Undo::Insert {
            path,
            node: Box::new(node),
            parent: before,
        },
    })
}

fn set_data(
    tree: &mut Tree,
    path: String,
    data: Option<Vec<u8>>,
    version: i32,
    author: &Author<'_>,
) -> Result<Made, Refusal> {
    path::validate(&path)?;
    let node = tree.expect(&path)?;
    access::check(&node.acl, permission::WRITE, author.identities)?;
    let record = Record {
        version: next_version(node.record.version, version)?,
        mzxid: author.zxid,
        mtime: author.time,
        ..node.record
    };
    let length = |data: Option<&Vec<u8>>| data.map_or(0, Vec::len);
    tree.make_room(length(data.as_ref()), length(node.data.as_ref()))?;
    let acl = node.acl.clone();
    let (data, record) = tree.replace(&path, data, record).ok_or(Refusal::NoNode)?;
    let stat = tree.expect(&path)?.stat();
    Ok(Made {
        outcome: Outcome::Set(stat),
        change: Some(Change::Set {
            path: path.clone(),
            acl,
        }),
        undo: Undo::Replace { path, data, record },
    })
}

fn undo(tree: &mut Tree, undo: Undo) {
    let restore_parent = |tree: &mut Tree, path: &str, record| {
        let parent = path::split(path).ok().map(|(parent, _)| parent);
        if let Some(parent) = parent.and_then(|parent| tree.get_mut(parent)) {
            parent.record = record;
        }
    };
    match undo {
        Undo::Nothing => {}
        Undo::Remove { path, parent } => {
            tree.remove(&path);
            restore_parent(tree, &path, parent);
        }
        Undo::Insert { path, node, parent } => {
            tree.insert(&path, *node);
            restore_parent(tree, &path, parent);
        }
        Undo::Replace { path, data, record } => drop(tree.replace(&path, data, record)),
    }
}

/// The version after the one that is there, if that is the expected one; −1 expects any.
fn next_version(current: i32, expected: i32) -> Result<i32, Refusal> {
    let is_expected = expected == -1 || expected == current;
    let next = current.wrapping_add(1);
    is_expected.then_some(next).ok_or(Refusal::BadVersion)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::access::Acl;
    use super::super::acls::acl_bytes;
    use super::super::tree::node_bytes;
    use super::*;

    fn create(path: &str, data: usize) -> Write {
        Write::Create(Create {
            path: path.into(),
            data: Some(vec![0; data]),
            acl: access::open(),
            flags: 0,
            is_container: false,
            with_stat: false,
        })
    }

    fn set_data(path: &str, data: usize) -> Write {
        let (path, data) = (path.into(), Some(vec![0; data]));
        Write::SetData {
            path,
            data,
            version: -1,
        }
    }

    fn delete(path: &str) -> Write {
        let path = path.into();
        Write::Delete { path, version: -1 }
    }

    fn applied(tree: &mut Tree, writes: Vec<Write>, zxid: i64) -> Result<usize, (usize, Refusal)> {
        let identities = [Identity::new("digest", "user:digest")];
        let author = Author {
            session: 1,
            identities: &identities,
            zxid,
            time: zxid,
        };
        apply_all(tree, writes, &author).map(|made| made.len())
    }

    fn content(tree: &Tree) -> Vec<(String, Option<Vec<u8>>, Stat)> {
        let all = tree.sorted().into_iter();
        all.map(|(path, node)| (path.clone(), node.data.clone(), node.stat()))
            .collect()
    }

    /// What the nodes take, counted anew.
    fn counted(tree: &Tree) -> usize {
        let all = tree.sorted();
        let acls: HashSet<_> = all.iter().map(|(_, node)| &node.acl).collect();
        let nodes = all.iter().map(|(path, node)| node_bytes(path, node));
        nodes.sum::<usize>() + acls.into_iter().map(|acl| acl_bytes(acl)).sum::<usize>()
    }

    #[test]
    fn what_is_refused_in_part_leaves_no_trace() {
        let mut tree = Tree::new(1_000_000);
        assert_eq!(
            applied(
                &mut tree,
                vec![create("/a", 3), create("/a/b", 4), create("/c", 0)],
                1
            ),
            Ok(3)
        );
        let (before, bytes) = (content(&tree), tree.bytes());
        let writes = vec![
            set_data("/a", 100),
            delete("/a/b"),
            create("/a/new", 7),
            create("/a/new/er", 7),
            delete("/c"),
            set_data("/a/new", 1),
            delete("/nowhere"),
        ];
        assert_eq!(applied(&mut tree, writes, 2), Err((6, Refusal::NoNode)));
        assert_eq!((content(&tree), tree.bytes()), (before, bytes));
        assert_eq!(tree.bytes(), counted(&tree));
    }

    #[test]
    fn what_nodes_take_is_counted_whatever_is_done_to_them() {
        let mut tree = Tree::new(1_000_000);
        let acl = Acl {
            permissions: access::permission::ALL,
            identity: Identity::new("auth", ""),
        };
        let set_acl = |path: &str| Write::SetAcl {
            path: path.into(),
            acl: vec![acl.clone()],
            version: -1,
        };
        for writes in [
            vec![create("/a", 10), create("/a/b", 0), set_data("/a", 100)],
            vec![set_acl("/a/b")],
            vec![set_data("/a/b", 5), set_data("/a", 0)],
            vec![set_acl("/a")],
            vec![delete("/a/b"), delete("/a")],
        ] {
            applied(&mut tree, writes, 1).unwrap();
            assert_eq!(tree.bytes(), counted(&tree));
        }
        assert_eq!(tree.bytes(), Tree::new(0).bytes());
        let room = vec![create("/a", 1_000_000)];
        assert_eq!(
            applied(&mut tree, room, 2),
            Err((0, Refusal::QuotaExceeded))
        );
    }
}
