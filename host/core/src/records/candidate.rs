//! The candidates of a task, and their order.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The owner that ZooKeeper gives a container node, which has none.
const CONTAINER: i64 = i64::MIN;

/// Whether the owner of a node is a session, with which the node goes. A persistent node has no owner.
pub fn is_session(owner: i64) -> bool {
    owner != 0 && owner != CONTAINER
}

/// What a host writes into its candidate. That of an earlier release is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateRecord {
    /// The priority that the task has on the host.
    #[serde(default)]
    pub priority: i32,
    /// The SHA-256 of the plugin that the host would run, if it stands by its own configuration. What it has of a task that was
    /// deployed it says in its [`ReadyRecord`](super::ReadyRecord).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A candidate of a task, as the name of its node tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The sequence number of the node: candidates lead in this order.
    pub sequence: u64,
    /// The session that created the node.
    pub session: i64,
    /// The host that stands.
    pub host: String,
    /// The name of the node.
    pub name: String,
}

impl Candidate {
    pub(super) const SEQUENCE_DIGITS: usize = 10;

    /// The first part of a candidate's name. The ensemble appends the sequence number.
    ///
    /// The session in the name tells a host its own candidate, even if the answer to its creation was lost.
    pub fn prefix(session: i64, host: &str) -> String {
        format!("c-{session:016x}-{host}-")
    }

    /// The name of a candidate that stands before all of `queue`: how an appointed host takes the head. None if no number is
    /// left before the first.
    pub fn before(queue: &[Self], session: i64, host: &str) -> Option<String> {
        let sequence = queue.first()?.sequence.checked_sub(1)?;
        let prefix = Self::prefix(session, host);
        Some(format!(
            "{prefix}{sequence:0digits$}",
            digits = Self::SEQUENCE_DIGITS
        ))
    }

    /// Reads the name of a node. None if the node is no candidate. The ensemble counts in an `i32` and prints ten digits.
    pub fn read(name: String) -> Option<Self> {
        let (front, sequence) = name.rsplit_once('-')?;
        let (session, host) = front.strip_prefix("c-")?.split_once('-')?;
        let digits = sequence.len() >= Self::SEQUENCE_DIGITS
            && sequence.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|_| digits)?;
        let session = u64::from_str_radix(session, 16).ok()?.cast_signed();
        Some(Self {
            sequence,
            session,
            host: host.to_owned(),
            name,
        })
    }

    /// Whether the owner of the node is the session in its name. Anybody may have created a node of that name.
    pub fn is_held_by(&self, owner: i64) -> bool {
        owner == self.session && is_session(owner)
    }
}

/// The candidates among the children of their parent, in the order in which they lead.
pub fn queue(children: Vec<String>) -> Vec<Candidate> {
    let mut queue: Vec<Candidate> = children.into_iter().filter_map(Candidate::read).collect();
    queue.sort_unstable();
    queue
}
