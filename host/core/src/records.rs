//! The nodes Soloist keeps, their names and what they hold. Pure, but for the time of day that a record bears.
//!
//! ```text
//! <root>/hosts/<host>                              ephemeral   HostRecord; rewritten as the heartbeat
//! <root>/tasks/<task>/master                       ephemeral   MasterRecord; elsewhere when the task has a `path`
//! <root>/tasks/<task>/term                         persistent  TermRecord
//! <root>/tasks/<task>/history                      persistent  History
//! <root>/tasks/<task>/state/<key>                  persistent  what the plugin keeps, as it stands
//! <root>/tasks/<task>/failed                       persistent  FailedRecord; there while the plugin fails for good
//! <root>/tasks/<task>/resign                       persistent  ResignOrder; to one term, and deleted when followed
//! <root>/tasks/<task>/candidates/c-<session>-<host>-<seq>
//!                                                  ephemeral   empty; there until its host has stopped
//! ```
//!
//! What is read may have been written by anybody: a record that does not decode is reported, never trusted, and its
//! length is bounded.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::restart::PluginFailed;
use crate::term::Term;

mod terms;

pub use terms::{
    Completion, End, History, NUMBER_MAX, PAST_TERMS_MAX, TermEntry, TermRecord, TermState,
};

/// How many bytes the paths may have of all nodes that one session watches. When a connection is found again, the client
/// library tells the server of all of them, in messages of 128 KiB, and does not understand the answers if there are two.
pub const WATCHED_BYTES_MAX: usize = 128 * 1024;
/// A record longer than this is not ours.
const RECORD_MAX_BYTES: usize = 32 * 1024;
/// The longest text about a term's end that is kept.
pub const DETAIL_MAX_CHARS: usize = 200;
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

/// A text about a term's end, cut to what is kept.
fn bounded(text: &str) -> String {
    text.chars().take(DETAIL_MAX_CHARS).collect()
}

/// A task whose plugin has failed for good in the latest terms, and in none of them ran healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRecord {
    /// How many terms in a row have failed.
    pub terms: u32,
    /// The number of the last of them.
    pub term: u64,
    /// Its fencing token; hosts of an earlier version did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// The host that led it.
    pub host: String,
    /// When it failed: RFC 3339, UTC, by that host's clock.
    pub at: String,
    /// The name of the [`Cause`](crate::cause::Cause).
    pub cause: String,
    /// What went wrong.
    pub detail: String,
    /// When the first of the hosts that have failed stands again, if it still runs then: RFC 3339, UTC.
    #[serde(default)]
    pub retry_at: Option<String>,
}

impl FailedRecord {
    /// That a further term has failed, `now`; `retry_at` says when its host stands again after so many in a row.
    pub fn after(
        before: Option<Self>,
        term: &Term,
        failed: &PluginFailed,
        now: SystemTime,
        retry_at: impl FnOnce(u32) -> Option<SystemTime>,
    ) -> Self {
        let (terms, others) =
            before.map_or((0, None), |before| (before.terms, before.retry_after(now)));
        let terms = terms.saturating_add(1);
        let retry_at = retry_at(terms).into_iter().chain(others).min();
        let shown = |time| humantime::format_rfc3339_millis(time).to_string();
        Self {
            terms,
            term: term.number,
            fencing_token: Some(term.fencing_token.0),
            host: term.host.to_string(),
            at: shown(now),
            cause: failed.cause.name().to_owned(),
            detail: bounded(&failed.cause.to_string()),
            retry_at: retry_at.map(shown),
        }
    }

    /// When a host is to stand again, if that is still to come.
    pub fn retry_after(&self, now: SystemTime) -> Option<SystemTime> {
        let at = humantime::parse_rfc3339(self.retry_at.as_deref()?).ok()?;
        Some(at).filter(|at| *at > now)
    }

    /// The record without a time that has passed.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        let awaited = self.retry_after(now).is_some();
        Self {
            retry_at: self.retry_at.filter(|_| awaited),
            ..self
        }
    }

    /// Whether that term is the last that has failed.
    pub fn is_of(&self, term: &Term) -> bool {
        is_of(self.fencing_token, self.term, term)
    }
}

/// Whether a record means that term. The token tells; hosts and operators of an earlier version knew a term by its number.
fn is_of(token: Option<u64>, number: u64, term: &Term) -> bool {
    token.map_or(number == term.number, |token| token == term.fencing_token.0)
}

/// Somebody asks the leader of a term to give it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResignOrder {
    /// The number of the term that shall end: an order for another term means nothing.
    pub term: u64,
    /// Its fencing token; operators of an earlier version did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// The host that shall lead next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ResignOrder {
    /// Whether that term is the one that shall end.
    pub fn is_for(&self, term: &Term) -> bool {
        is_of(self.fencing_token, self.term, term)
    }
}

/// Now, for people to read: RFC 3339, UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "people read it in a record, and no rule goes by it"
)]
pub fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// A time that the ensemble gives, in milliseconds since 1970, for people to read: RFC 3339, UTC.
pub fn rfc3339(millis: i64) -> String {
    // The last one that RFC 3339 can say.
    const YEAR_9999: u64 = 253_402_300_799_000;
    let millis = u64::try_from(millis).unwrap_or(0).min(YEAR_9999);
    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis);
    humantime::format_rfc3339_millis(time).to_string()
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
    if text.trim().is_empty() {
        format!("session {owner:#x}")
    } else {
        text
    }
}

/// The paths of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPaths {
    /// The master node.
    pub master: String,
    /// Whether it is where the task's configuration says, not beside the others.
    pub elsewhere: bool,
    /// The term record.
    pub term: String,
    /// The terms before.
    pub history: String,
    /// The parent of the candidates.
    pub candidates: String,
    /// The mark on a task whose plugin fails for good.
    pub failed: String,
    /// Where the leader is asked to resign.
    pub resign: String,
    /// The parent of the plugin's state.
    pub state: String,
}

impl TaskPaths {
    /// The paths of `task` below `root`, with the master node at `master` if that is given.
    pub fn new(root: &str, task: &str, master: Option<&str>) -> Self {
        let own = format!("{}/{task}", tasks_path(root));
        Self {
            master: master.map_or_else(|| format!("{own}/master"), str::to_owned),
            elsewhere: master.is_some(),
            term: format!("{own}/term"),
            history: format!("{own}/history"),
            candidates: format!("{own}/candidates"),
            failed: format!("{own}/failed"),
            resign: format!("{own}/resign"),
            state: format!("{own}/state"),
        }
    }

    /// The master node where `record` says it is.
    pub fn master_in(&self, record: &TermRecord) -> String {
        let usual = || {
            self.term
                .strip_suffix("/term")
                .map(|own| format!("{own}/master"))
                .unwrap_or_default()
        };
        record.path.clone().unwrap_or_else(usual)
    }

    /// How many bytes the paths have of all nodes of the task that a host may watch at once, below a chroot.
    pub fn watched_bytes(&self, chroot: &str, host: &str) -> usize {
        // Its own candidate, and that of its predecessor.
        let candidate = self.candidates.len()
            + 1
            + Candidate::prefix(0, host).len()
            + Candidate::SEQUENCE_DIGITS;
        let paths = [
            self.master.len(),
            self.term.len(),
            self.resign.len(),
            candidate,
            candidate,
        ];
        paths.iter().map(|path| chroot.len() + path).sum()
    }
}

/// The parent of all hosts' nodes.
pub fn hosts_path(root: &str) -> String {
    format!("{root}/hosts")
}

/// The parent of all tasks.
pub fn tasks_path(root: &str) -> String {
    format!("{root}/tasks")
}

/// The path of a host's node.
pub fn host_path(root: &str, host: &str) -> String {
    format!("{root}/hosts/{host}")
}

/// The path above, unless that is the root of all.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/')
        .map(|(parent, _)| parent)
        .filter(|parent| !parent.is_empty())
}

/// What a container node has in place of an owner.
const CONTAINER: i64 = i64::MIN;

/// Whether the owner of a node is a session, so that the node goes when the session ends. A persistent node has no owner.
pub fn is_session(owner: i64) -> bool {
    owner != 0 && owner != CONTAINER
}

/// A candidate, as its name tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Its place in the order of arrival.
    pub sequence: u64,
    /// The session it belongs to.
    pub session: i64,
    /// The host that stands.
    pub host: String,
    /// The name of its node.
    pub name: String,
}

impl Candidate {
    const SEQUENCE_DIGITS: usize = 10;

    /// What the name of a candidate begins with; the ensemble appends the sequence number.
    ///
    /// The session in the name tells a candidate whose creation was never answered from somebody else's.
    pub fn prefix(session: i64, host: &str) -> String {
        format!("c-{session:016x}-{host}-")
    }

    /// Reads a name; `None` for a child that is no candidate. The ensemble counts in an `i32` and prints ten digits.
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

    /// Whether the node of this name is the candidate that the name tells of, given the owner of the node: anybody may have
    /// created another one in its place.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;

    #[test]
    fn the_queue_is_ordered_by_sequence_and_strangers_have_no_place_in_it() {
        let names = [
            "c-00000000000000ff-b-1-0000000012",
            "c-ffffffffffffffaa-a-0000000003",
            "lock",
            "c-x",
            "c-aa--",
        ];
        let queue = queue(names.map(str::to_owned).to_vec());
        let seen: Vec<_> = queue
            .iter()
            .map(|it| (it.sequence, it.session, it.host.as_str()))
            .collect();
        assert_eq!(seen, [(3, -86, "a"), (12, 0xff, "b-1")]);
        assert!(queue[1].name.starts_with(&Candidate::prefix(0xff, "b-1")));
    }

    #[test]
    fn a_candidate_is_a_node_of_the_session_in_its_name() {
        let candidate = |session| {
            Candidate::read(format!("{}0000000000", Candidate::prefix(session, "a"))).unwrap()
        };
        assert!(candidate(0xff).is_held_by(0xff) && candidate(-86).is_held_by(-86));
        for (session, owner) in [(0xff, 0), (0xff, 0xfe), (0, 0), (i64::MIN, i64::MIN)] {
            assert!(
                !candidate(session).is_held_by(owner),
                "{session:#x} {owner:#x}"
            );
        }
    }

    #[test]
    fn failed_terms_are_counted_and_the_host_that_stands_again_first_is_named() {
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let failed = PluginFailed {
            cause: Cause::Trapped("why".into()),
            restarts: 3,
        };
        let term = |number, host: &str| Term {
            number,
            fencing_token: crate::term::FencingToken(number),
            task: "t".into(),
            host: host.into(),
            record_version: 1,
        };
        let first = FailedRecord::after(None, &term(4, "a"), &failed, at(100), |terms| {
            Some(at(100 + 60 * u64::from(terms)))
        });
        assert_eq!(
            (first.terms, first.retry_at.as_deref()),
            (1, Some("1970-01-01T00:02:40.000Z"))
        );
        let second =
            FailedRecord::after(Some(first.clone()), &term(5, "b"), &failed, at(150), |_| {
                Some(at(500))
            });
        assert_eq!(
            (second.terms, second.host.as_str(), &second.retry_at),
            (2, "b", &first.retry_at)
        );
        let third = FailedRecord::after(Some(second), &term(6, "c"), &failed, at(200), |_| None);
        assert_eq!(
            (third.terms, third.retry_at.clone()),
            (3, None),
            "what is past is not awaited"
        );
        assert_eq!(first.clone().at(at(159)), first);
        assert_eq!(
            first.clone().at(at(160)),
            FailedRecord {
                retry_at: None,
                ..first
            }
        );
        assert_eq!(decode::<FailedRecord>(&encode(&third)), Some(third));
    }

    #[test]
    fn an_order_is_for_a_term_by_its_token_and_only_without_one_by_its_number() {
        let term = Term {
            number: 2,
            fencing_token: crate::term::FencingToken(70),
            task: "t".into(),
            host: "a".into(),
            record_version: 3,
        };
        let is_for = |text: &str| {
            decode::<ResignOrder>(text.as_bytes())
                .unwrap()
                .is_for(&term)
        };
        assert!(
            is_for(r#"{"term":2,"fencing_token":70}"#)
                && is_for(r#"{"term":9,"fencing_token":70}"#)
        );
        assert!(is_for(r#"{"term":2}"#) && is_for(r#"{"term":2,"to":"b","reason":"why"}"#));
        assert!(!is_for(r#"{"term":2,"fencing_token":69}"#) && !is_for(r#"{"term":3}"#));
    }

    #[test]
    fn holders_are_named_whatever_they_wrote() {
        assert_eq!(holder_name(br#"{"host":"b","term":3}"#, 1), "b");
        assert_eq!(holder_name(b"10.0.0.1\x1b[2J:80", 1), "10.0.0.1[2J:80");
        assert_eq!(holder_name(b"", 0xab), "session 0xab");
        assert_eq!(
            holder_name(&[0xff; 10_000], 1).chars().count(),
            FOREIGN_SHOWN_CHARS
        );
    }

    #[test]
    fn parents_stop_below_the_root() {
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("/a"), None);
    }
}
