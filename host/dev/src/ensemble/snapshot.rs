//! What outlives the process: the nodes and the sessions, as one file. Reading and writing that file is the server's.

use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::machine::Machine;
use super::node::{CONTAINER, Node, Record};
use super::sessions::{Secret, Sessions};
use super::tree::Tree;
use super::wire::{Malformed, Reader, Writer, read_acl};

/// What such a file begins with. The number is that of its format.
const BEGIN: &[u8] = b"soloist ensemble 1\n";
/// The digest at its end.
const DIGEST_BYTES: usize = 20;
/// The part of a transaction's number that counts the starts, as ZooKeeper's epochs do.
const EPOCH: i64 = 1 << 32;

/// Why a file is no snapshot that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// It is something else.
    #[error("it is no snapshot of an ensemble, or one of another version of Soloist")]
    Foreign,
    /// Its digest is not that of its content.
    #[error("it is damaged: its digest does not fit")]
    Damaged,
    /// What it says cannot be.
    #[error(
        "it contradicts itself: a node without a parent, or one of a session that is not there"
    )]
    Inconsistent,
    /// More than an ensemble may hold.
    #[error("it holds more than an ensemble may hold")]
    TooLarge,
}

impl From<Malformed> for BadSnapshot {
    fn from(_: Malformed) -> Self {
        Self::Inconsistent
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
            .acl(&node.acl);
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
    let mut reader = Reader::new(&rest[..rest.len() - DIGEST_BYTES]);
    // The length that any message begins with.
    reader.int()?;
    let (zxid, last_id) = (reader.long()?, reader.long()?);
    let secret = reader.buffer()?.ok_or(Malformed)?;
    let secret = secret.try_into().map_err(|_| Malformed)?;
    let mut sessions = Sessions::new(tick, last_id, Secret(secret));
    for _ in 0..reader.int()? {
        let (id, timeout) = (reader.long()?, reader.long()?);
        let timeout = Duration::from_millis(u64::try_from(timeout).map_err(|_| Malformed)?);
        sessions.restore(id, timeout, now);
    }
    let mut tree = Tree::empty(bytes_max);
    for _ in 0..reader.int()? {
        let path = reader.text()?;
        let node = node(&mut reader)?;
        let owner = node.record.owner;
        if !matches!(owner, 0 | CONTAINER) && sessions.get(owner).is_none() {
            return Err(BadSnapshot::Inconsistent);
        }
        tree.restore(&path, node)
            .map_err(|_| BadSnapshot::Inconsistent)?;
    }
    if !reader.is_empty() {
        return Err(BadSnapshot::Inconsistent);
    }
    if tree.make_room(0, 0).is_err() {
        return Err(BadSnapshot::TooLarge);
    }
    // Clients may have heard of transactions that came too late for the snapshot.
    let zxid = (zxid / EPOCH + 1) * EPOCH;
    Ok(Machine::new(tree, sessions, zxid))
}

fn node(reader: &mut Reader<'_>) -> Result<Node, Malformed> {
    let data = reader.buffer()?.map(<[u8]>::to_vec);
    let acl = read_acl(reader)?;
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
    Ok(Node::restored(data, acl, record))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::access;
    use super::*;

    const TICK: Duration = Duration::from_secs(1);
    const BYTES_MAX: usize = 100_000;

    fn machine() -> Machine {
        let mut sessions = Sessions::new(TICK, 7, Secret([1; 32]));
        let id = sessions.begin(TICK * 3, Duration::ZERO);
        let mut tree = Tree::new(BYTES_MAX);
        let data = Some(b"data".to_vec());
        tree.insert("/a", Node::new(None, access::open(), 0, 3, 4));
        tree.insert("/a/b", Node::new(data, access::open(), id, 5, 6));
        Machine::new(tree, sessions, 9)
    }

    fn read(file: &[u8]) -> Result<Machine, BadSnapshot> {
        decode(file, BYTES_MAX, TICK, TICK)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let before = machine();
        let after = read(&encode(&before)).unwrap();
        let nodes = |machine: &Machine| {
            let all = machine.tree().sorted().into_iter();
            all.map(|(path, node)| (path.clone(), node.data.clone(), node.stat()))
                .collect::<Vec<_>>()
        };
        assert_eq!(nodes(&after), nodes(&before));
        assert_eq!(after.tree().bytes(), before.tree().bytes());
        assert_eq!(after.tree().ephemerals(8).collect::<Vec<_>>(), ["/a/b"]);
        assert_eq!(after.sessions().password(8), before.sessions().password(8));
        assert_eq!(after.sessions().get(8).unwrap().expiry, TICK * 5);
        assert_eq!((after.zxid(), after.sessions().last_id()), (EPOCH, 8));
    }

    #[test]
    fn a_file_that_is_damaged_or_something_else_is_refused() {
        let whole = encode(&machine());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err());
        }
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 0x40;
            let expected = match index {
                _ if index < BEGIN.len() => BadSnapshot::Foreign,
                _ => BadSnapshot::Damaged,
            };
            assert_eq!(read(&damaged).unwrap_err(), expected);
        }
        let small = decode(&whole, 100, TICK, TICK);
        assert_eq!(small.unwrap_err(), BadSnapshot::TooLarge);
    }

    /// The digest is no secret: whoever wants to can make one.
    #[test]
    fn a_file_that_contradicts_itself_is_refused() {
        let sealed = |content: &[u8]| {
            let digest = Sha1::digest(content);
            [content, &digest[..]].concat()
        };
        let whole = encode(&machine());
        let content = &whole[..whole.len() - DIGEST_BYTES];
        assert!(read(&sealed(content)).is_ok());
        for length in BEGIN.len()..content.len() {
            assert_eq!(
                read(&sealed(&content[..length])).unwrap_err(),
                BadSnapshot::Inconsistent
            );
        }
        let mut orphan = machine();
        assert!(orphan.tree().get("/a/b").is_some());
        orphan = Machine::new(
            {
                let mut tree = Tree::new(BYTES_MAX);
                tree.insert("/x/y", Node::new(None, access::open(), 0, 1, 1));
                tree
            },
            Sessions::new(TICK, 0, Secret([1; 32])),
            1,
        );
        assert_eq!(
            read(&encode(&orphan)).unwrap_err(),
            BadSnapshot::Inconsistent
        );
        let mut tree = Tree::new(BYTES_MAX);
        tree.insert("/x", Node::new(None, access::open(), 77, 1, 1));
        let unowned = Machine::new(tree, Sessions::new(TICK, 0, Secret([1; 32])), 1);
        assert_eq!(
            read(&encode(&unowned)).unwrap_err(),
            BadSnapshot::Inconsistent
        );
    }
}
