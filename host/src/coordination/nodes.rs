//! The nodes Soloist keeps, their names and what they hold. Pure: no IO.
//!
//! ```text
//! <root>/hosts/<host>                              ephemeral   HostRecord; rewritten as the heartbeat
//! <root>/tasks/<task>/master                       ephemeral   MasterRecord; elsewhere when the task has a `path`
//! <root>/tasks/<task>/term                         persistent  TermRecord
//! <root>/tasks/<task>/candidates/c-<session>-<seq> ephemeral   CandidateRecord; there until its host has stopped
//! ```
//!
//! What is read may have been written by anybody: a record that does not decode is reported, never trusted, and its
//! length is bounded.

use serde::{Deserialize, Serialize};

use crate::election::Record;

/// A record longer than this is not ours.
const RECORD_MAX_BYTES: usize = 4096;
/// What is shown of a master node that somebody else wrote in a way of his own.
const FOREIGN_SHOWN_CHARS: usize = 64;

/// Who is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The host's id.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// The version of Soloist it runs.
    pub version: String,
    /// When it started: RFC 3339, UTC.
    pub started: String,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterRecord {
    /// The leader's host id.
    pub host: String,
    /// The number of its term.
    pub term: u64,
}

/// Who stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateRecord {
    /// The candidate's host id.
    pub host: String,
}

/// Whether a term is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TermState {
    /// It began and has not been given back.
    Active,
    /// It was given back after the plugin had stopped.
    Released,
}

/// The latest term of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermRecord {
    /// Its number; 0 before the first.
    pub number: u64,
    /// The host that leads or led.
    pub host: String,
    /// Whether it is under way.
    pub state: TermState,
}

impl TermRecord {
    /// What a task begins with.
    pub fn before_the_first() -> Self {
        Self { number: 0, host: String::new(), state: TermState::Released }
    }

    /// The record as the election sees it, given the node's data version.
    ///
    /// Every election raises both the number and the version, a release the version alone: so a number above the
    /// version was not written by any host. Then, and when the record cannot be read, the version takes the number's
    /// place: it is at least as high as any number ever used.
    pub fn read(data: &[u8], version: i32) -> Record {
        let floor = u64::try_from(version).unwrap_or(0);
        match decode::<Self>(data) {
            Some(record) if record.number <= floor => Record {
                number: record.number,
                version,
                released: record.state == TermState::Released,
                host: (!record.host.is_empty()).then_some(record.host),
            },
            _ => Record { number: floor, version, host: None, released: false },
        }
    }
}

/// Encodes a record as JSON.
pub fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain structs of strings and numbers")
}

/// Decodes a record, if it is one.
pub fn decode<'a, R: Deserialize<'a>>(data: &'a [u8]) -> Option<R> {
    if data.len() > RECORD_MAX_BYTES {
        return None;
    }
    serde_json::from_slice(data).ok()
}

/// A name for whoever wrote a master node, for people to read.
pub fn holder_name(data: &[u8], owner: i64) -> String {
    if let Some(MasterRecord { host, .. }) = decode(data) {
        return host;
    }
    let text: String = String::from_utf8_lossy(&data[..data.len().min(4 * FOREIGN_SHOWN_CHARS)])
        .chars()
        .filter(|character| !character.is_control())
        .take(FOREIGN_SHOWN_CHARS)
        .collect();
    if text.trim().is_empty() { format!("session {owner:#x}") } else { text }
}

/// The paths of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPaths {
    /// The master node.
    pub master: String,
    /// The term record.
    pub term: String,
    /// The parent of the candidates.
    pub candidates: String,
}

impl TaskPaths {
    /// The paths of `task` below `root`, with the master node at `master` if that is given.
    pub fn new(root: &str, task: &str, master: Option<&str>) -> Self {
        let own = format!("{root}/tasks/{task}");
        Self {
            master: master.map_or_else(|| format!("{own}/master"), str::to_owned),
            term: format!("{own}/term"),
            candidates: format!("{own}/candidates"),
        }
    }
}

/// The path of a host's node.
pub fn host_path(root: &str, host: &str) -> String {
    format!("{root}/hosts/{host}")
}

/// The path above, unless that is the root of all.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
}

/// What the names of a session's candidates begin with; the ensemble appends the sequence number.
///
/// The session in the name tells a candidate whose creation was never answered from somebody else's.
pub fn candidate_prefix(session: i64) -> String {
    format!("c-{session:016x}-")
}

/// Where a candidate stands: the sequence number at the end of its name.
///
/// The ensemble counts in an `i32` and prints ten digits; children that are not candidates have no place.
pub fn candidate_sequence(name: &str) -> Option<u64> {
    let (prefix, sequence) = name.rsplit_once('-')?;
    let ours = prefix.starts_with("c-") && sequence.len() >= 10 && sequence.bytes().all(|byte| byte.is_ascii_digit());
    if ours { sequence.parse().ok() } else { None }
}

/// Where a session stands in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its own candidates, the foremost first; there can be more than one when a creation was never answered.
    pub own: Vec<String>,
    /// How many stand before it.
    pub ahead: usize,
    /// The one right before it.
    pub predecessor: Option<String>,
}

/// Finds a session's place among the children of the candidates' node; `None` if it is not in the queue.
pub fn place(children: Vec<String>, session: i64) -> Option<Place> {
    let mut queue: Vec<(u64, String)> =
        children.into_iter().filter_map(|name| Some((candidate_sequence(&name)?, name))).collect();
    queue.sort_unstable();
    let prefix = candidate_prefix(session);
    let ahead = queue.iter().position(|(_, name)| name.starts_with(&prefix))?;
    let own = queue[ahead..].iter().map(|(_, name)| name).filter(|name| name.starts_with(&prefix)).cloned().collect();
    let predecessor = ahead.checked_sub(1).map(|before| queue[before].1.clone());
    Some(Place { own, ahead, predecessor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_queue_is_ordered_by_sequence_and_strangers_have_no_place_in_it() {
        let names =
            children(&["c-00000000000000ff-0000000012", "c-00000000000000aa-0000000003", "lock", "c-x", "c-aa-"]);
        let place = place(names, 0xff).unwrap();
        assert_eq!((place.ahead, place.predecessor.as_deref()), (1, Some("c-00000000000000aa-0000000003")));
        assert_eq!(place.own, ["c-00000000000000ff-0000000012"]);
    }

    #[test]
    fn a_session_with_two_candidates_stands_at_the_first() {
        let names = children(&["c-00000000000000ff-0000000012", "c-00000000000000ff-0000000003"]);
        let place = place(names, 0xff).unwrap();
        assert_eq!((place.ahead, place.own.len(), place.predecessor), (0, 2, None));
    }

    #[test]
    fn who_is_not_in_the_queue_has_no_place() {
        assert_eq!(place(children(&["c-00000000000000aa-0000000003"]), 0xff), None);
    }

    #[test]
    fn term_records_that_no_host_wrote_never_lower_the_number() {
        let version = 7;
        let kept = encode(&TermRecord { number: 5, host: "a".into(), state: TermState::Released });
        assert_eq!(
            TermRecord::read(&kept, version),
            Record { number: 5, version, host: Some("a".into()), released: true }
        );
        let too_high = encode(&TermRecord { number: 8, host: "a".into(), state: TermState::Released });
        for data in [too_high.as_slice(), b"", b"{}", b"null", &[0xff; 9000]] {
            assert_eq!(TermRecord::read(data, version), Record { number: 7, version, host: None, released: false });
        }
    }

    #[test]
    fn holders_are_named_whatever_they_wrote() {
        assert_eq!(holder_name(br#"{"host":"b","term":3}"#, 1), "b");
        assert_eq!(holder_name(b"10.0.0.1\x1b[2J:80", 1), "10.0.0.1[2J:80");
        assert_eq!(holder_name(b"", 0xab), "session 0xab");
        assert_eq!(holder_name(&[0xff; 10_000], 1).chars().count(), FOREIGN_SHOWN_CHARS);
    }

    #[test]
    fn parents_stop_below_the_root() {
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("/a"), None);
    }
}
