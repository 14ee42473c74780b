//! What outlives the process: the nodes and the sessions, as one file. Reading and writing that file is the server's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::access::{self, Acl};
use super::acls::acl_bytes;
use super::machine::{Machine, SESSIONS_MAX};
use super::node::{Node, Record};
use super::path::{self, PERMANENT};
use super::sessions::{Secret, Sessions};
use super::tree::Tree;
use super::wire::{MESSAGE_BYTES_MAX, Malformed, Reader, Writer, read_acl};

/// What such a file begins with. The number is that of its format.
const BEGIN: &[u8] = b"soloist ensemble 2\n";
/// The digest at its end.
const DIGEST_BYTES: usize = 20;
/// The part of a transaction's number that counts the starts, as ZooKeeper's epochs do.
const EPOCH: i64 = 1 << 32;
/// No session and no transaction of a file has a higher number: those that come have as many left.
const NUMBER_MAX: i64 = i64::MAX / 2;
/// The longest timeout that a client can be told, in milliseconds.
const TIMEOUT_MAX: i64 = i32::MAX as i64;

/// Why a file is no snapshot that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// It is something else.
    #[error("it is no snapshot of an ensemble, or one of another version of Soloist")]
    Foreign,
    /// Its digest is not that of its content.
    #[error("it is damaged: its digest does not fit")]
    Damaged,
    /// It says what cannot be.
    #[error("it contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// More than an ensemble may hold.
    #[error("it holds more than an ensemble may hold")]
    TooLarge,
}

impl From<Malformed> for BadSnapshot {
    fn from(_: Malformed) -> Self {
        Self::Inconsistent("it ends too early, or tells a length that cannot be")
    }
}

/// The file of this state.
pub(super) fn encode(machine: &Machine) -> Vec<u8> {
    let (tree, sessions) = (machine.tree(), machine.sessions());
    let mut writer = Writer::new();
    writer.long(machine.zxid()).long(sessions.last_id());
    writer.buffer(Some(&sessions.secret().0));
    let all = sessions.all();
    writer.count(all.len());
    for (id, session) in all {
        writer.long(id).long(millis(session.timeout));
    }
    // Nodes that share an ACL share it in the file as well, which may be too large otherwise.
    let mut numbers = HashMap::new();
    writer.count(tree.acls().len());
    for (number, acl) in tree.acls().enumerate() {
        writer.acl(acl);
        numbers.insert(Arc::as_ptr(acl), number);
    }
    writer.count(tree.len());
    for (path, node) in tree.sorted() {
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
        } = node.record;
        writer
            .text(path)
            .buffer(node.data.as_deref())
            .count(numbers[&Arc::as_ptr(&node.acl)]);
        writer
            .long(czxid)
            .long(mzxid)
            .long(pzxid)
            .long(ctime)
            .long(mtime);
        writer.int(version).int(aversion).int(creations).long(owner);
    }
    let mut file = BEGIN.to_vec();
    file.extend(writer.finish());
    let digest = Sha1::digest(&file);
    file.extend(digest);
    file
}

/// The state in a file, at the time `now`: each session has all of its timeout again.
///
/// The digest is no secret, so nothing of what the file says is believed.
pub(super) fn decode(
    file: &[u8],
    bytes_max: usize,
    tick: Duration,
    now: Duration,
) -> Result<Machine, BadSnapshot> {
    let rest = file.strip_prefix(BEGIN).ok_or(BadSnapshot::Foreign)?;
    let whole = file.split_last_chunk::<DIGEST_BYTES>();
    let (content, digest) = whole.ok_or(BadSnapshot::Damaged)?;
    if Sha1::digest(content)[..] != digest[..] {
        return Err(BadSnapshot::Damaged);
    }
    let rest = rest
        .len()
        .checked_sub(DIGEST_BYTES)
        .map(|length| &rest[..length]);
    let mut reader = Reader::new(rest.ok_or(BadSnapshot::Damaged)?);
    // The length that any message begins with.
    reader.int()?;
    let zxid = number(&mut reader)?;
    let sessions = sessions(&mut reader, tick, now)?;
    let tree = tree(&mut reader, bytes_max, zxid, &sessions)?;
    if !reader.is_empty() {
        return Err(BadSnapshot::Inconsistent("it goes on after its end"));
    }
    // Clients may have heard of transactions that came too late for the snapshot.
    let zxid = (zxid / EPOCH + 1) * EPOCH;
    Ok(Machine::new(tree, sessions, zxid))
}

/// A number that is counted up from.
fn number(reader: &mut Reader<'_>) -> Result<i64, BadSnapshot> {
    let number = reader.long()?;
    if (0..=NUMBER_MAX).contains(&number) {
        Ok(number)
    } else {
        Err(BadSnapshot::Inconsistent(
            "a number that cannot have been reached",
        ))
    }
}

fn sessions(
    reader: &mut Reader<'_>,
    tick: Duration,
    now: Duration,
) -> Result<Sessions, BadSnapshot> {
    let last_id = number(reader)?;
    let secret = reader.buffer()?.and_then(|secret| secret.try_into().ok());
    let secret = secret.ok_or(BadSnapshot::Inconsistent("a secret of the wrong length"))?;
    let mut sessions = Sessions::new(tick, last_id, Secret(secret));
    let count = reader.count()?;
    if count > SESSIONS_MAX {
        return Err(BadSnapshot::TooLarge);
    }
    for _ in 0..count {
        let (id, timeout) = (reader.long()?, reader.long()?);
        if !(1..=last_id).contains(&id) {
            return Err(BadSnapshot::Inconsistent("a session that was never begun"));
        }
        if sessions.get(id).is_some() {
            return Err(BadSnapshot::Inconsistent("a session that is there twice"));
        }
        if !(1..=TIMEOUT_MAX).contains(&timeout) {
            return Err(BadSnapshot::Inconsistent("a timeout that no session has"));
        }
        let timeout = Duration::from_millis(timeout.unsigned_abs());
        sessions.restore(id, timeout, now);
    }
    Ok(sessions)
}

fn tree(
    reader: &mut Reader<'_>,
    bytes_max: usize,
    zxid: i64,
    sessions: &Sessions,
) -> Result<Tree, BadSnapshot> {
    let acls = acls(reader, bytes_max)?;
    let mut tree = Tree::empty(bytes_max);
    for _ in 0..reader.count()? {
        let path = reader.text()?;
        let node = node(reader, &acls, zxid)?;
        check_place(&tree, &path, &node, sessions).map_err(BadSnapshot::Inconsistent)?;
        let has_room = tree.make_room_for(&path, &node);
        has_room.map_err(|_| BadSnapshot::TooLarge)?;
        tree.insert(&path, node);
    }
    if PERMANENT.iter().any(|path| tree.get(path).is_none()) {
        return Err(BadSnapshot::Inconsistent(
            "a node is missing that is always there",
        ));
    }
    Ok(tree)
}

/// The ACLs that nodes have.
fn acls(reader: &mut Reader<'_>, bytes_max: usize) -> Result<Vec<Arc<[Acl]>>, BadSnapshot> {
    let mut acls = Vec::new();
    let mut bytes = 0;
    for _ in 0..reader.count()? {
        let acl = access::expand(&read_acl(reader)?, &[]);
        let acl = acl.map_err(|_| BadSnapshot::Inconsistent("an ACL that no node can have"))?;
        bytes += acl_bytes(&acl);
        if bytes > bytes_max {
            return Err(BadSnapshot::TooLarge);
        }
        acls.push(acl.into());
    }
    Ok(acls)
}

/// Whether a node can be there, after those that came before it.
fn check_place(
    tree: &Tree,
    path: &str,
    node: &Node,
    sessions: &Sessions,
) -> Result<(), &'static str> {
    let (Ok(()), Ok((parent, _))) = (path::validate(path), path::split(path)) else {
        return Err("a node whose path is none");
    };
    if tree.get(path).is_some() {
        return Err("a node that is there twice");
    }
    if node.record.owner != 0 && PERMANENT.contains(&path) {
        return Err("a node that goes, though it is always there");
    }
    if node.is_ephemeral() && sessions.get(node.record.owner).is_none() {
        return Err("a node of a session that is not there");
    }
    match tree.get(parent) {
        None if path != "/" => Err("a node without a parent"),
        Some(parent) if parent.is_ephemeral() => Err("a node below one that goes with a session"),
        _ => Ok(()),
    }
}

fn node(reader: &mut Reader<'_>, acls: &[Arc<[Acl]>], zxid: i64) -> Result<Node, BadSnapshot> {
    let data = reader.buffer()?.map(<[u8]>::to_vec);
    let acl = acls.get(reader.count()?).cloned();
    let acl = acl.ok_or(BadSnapshot::Inconsistent("a node without an ACL"))?;
    let record = Record {
        czxid: reader.long()?,
        mzxid: reader.long()?,
        pzxid: reader.long()?,
        ctime: reader.long()?,
        mtime: reader.long()?,
        version: reader.int()?,
        aversion: reader.int()?,
        creations: reader.int()?,
        owner: reader.long()?,
    };
    let of_past = |other| (0..=zxid).contains(&other);
    if ![record.czxid, record.mzxid, record.pzxid]
        .into_iter()
        .all(of_past)
    {
        return Err(BadSnapshot::Inconsistent(
            "a node of a transaction that is still to come",
        ));
    }
    if data
        .as_ref()
        .is_some_and(|data| data.len() > MESSAGE_BYTES_MAX)
    {
        return Err(BadSnapshot::TooLarge);
    }
    Ok(Node::restored(data, acl, record))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
