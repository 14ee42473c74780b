//! The nodes Soloist keeps, their names and what they hold. Pure: no IO.
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

use crate::election::Record;
use crate::restart::PluginFailed;
use crate::term::Term;

/// A record longer than this is not ours.
const RECORD_MAX_BYTES: usize = 32 * 1024;
/// How many terms that have ended a history keeps.
pub const PAST_TERMS_MAX: usize = 20;
/// The longest text about a term's end that is kept.
pub(super) const DETAIL_MAX_CHARS: usize = 200;
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

/// Whether a term is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TermState {
    /// It began and has not been given back.
    Active,
    /// It was given back after the plugin had stopped.
    Released,
}

/// How a term ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When: RFC 3339, UTC, by the clock of the host that wrote it.
    pub at: String,
    /// Why: the name of a [`Demotion`](crate::term::Demotion), `failed` when the plugin had failed for good on the leader,
    /// or `lost` when the leader never said.
    pub reason: String,
    /// The name of the [`Cause`](crate::plugin::Cause), if the plugin had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What an operator or the plugin said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl End {
    /// The end of a term, now, with the detail cut to a bounded length.
    pub fn now(reason: &str, detail: Option<&str>) -> Self {
        Self { at: timestamp(), reason: reason.to_owned(), cause: None, detail: detail.map(bounded) }
    }

    /// The end of a term, now, whose plugin has failed for good.
    pub fn failed(failed: &PluginFailed) -> Self {
        Self { cause: Some(failed.cause.to_owned()), ..Self::now("failed", Some(&failed.message)) }
    }
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
    /// The host that led it.
    pub host: String,
    /// When it failed: RFC 3339, UTC, by that host's clock.
    pub at: String,
    /// The name of the [`Cause`](crate::plugin::Cause).
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
        let (terms, others) = before.map_or((0, None), |before| (before.terms, before.retry_at));
        let terms = terms.saturating_add(1);
        let others = others.and_then(|at| humantime::parse_rfc3339(&at).ok()).filter(|at| *at > now);
        let retry_at = retry_at(terms).into_iter().chain(others).min();
        let shown = |time| humantime::format_rfc3339_millis(time).to_string();
        Self {
            terms,
            term: term.number,
            host: term.host.to_string(),
            at: shown(now),
            cause: failed.cause.to_owned(),
            detail: bounded(&failed.message),
            retry_at: retry_at.map(shown),
        }
    }
}

/// One term, as the history keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermEntry {
    /// Its number; 0 before the first.
    pub number: u64,
    /// The host that leads or led.
    pub host: String,
    /// When it began: RFC 3339, UTC, by that host's clock.
    pub since: String,
    /// Its fencing token, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl TermEntry {
    /// This term, which had that fencing token, at its end.
    #[must_use]
    pub fn ended(self, token: u64, end: End) -> Self {
        Self { fencing_token: Some(token), end: Some(end), ..self }
    }
}

/// The latest term of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermRecord {
    /// The term.
    #[serde(flatten)]
    pub term: TermEntry,
    /// Whether it is under way.
    pub state: TermState,
    /// The host that shall lead next, if it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// Where the master node is, when it is not beside this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl TermRecord {
    /// What a task begins with.
    pub fn before_the_first() -> Self {
        Self { state: TermState::Released, ..Self::new(0, "", None) }
    }

    /// The record of a term that begins.
    pub fn new(number: u64, host: &str, path: Option<&str>) -> Self {
        let term = TermEntry { number, host: host.to_owned(), since: timestamp(), fencing_token: None, end: None };
        Self { term, state: TermState::Active, successor: None, path: path.map(str::to_owned) }
    }

    /// The record of this term given back.
    #[must_use]
    pub fn released(self, successor: Option<String>) -> Self {
        Self { state: TermState::Released, successor, ..self }
    }

    /// For the history: a term that never was given back, though another begins. The record was last changed by
    /// transaction `zxid`.
    pub fn lost(&self, zxid: u64) -> Option<TermEntry> {
        let lost = self.state == TermState::Active && self.term.number > 0;
        lost.then(|| self.term.clone().ended(zxid, End::now("lost", None)))
    }

    /// Reads the record at data version `version`, as kept and as the election sees it.
    ///
    /// Every election raises both the number and the version, a release the version alone: so a number above the
    /// version was not written by any host. Then, and when the record cannot be read, the version takes the number's
    /// place: it is at least as high as any number ever used.
    pub fn read(data: &[u8], version: i32) -> (Self, Record) {
        let floor = u64::try_from(version).unwrap_or(0);
        let kept = decode::<Self>(data).filter(|record| record.term.number <= floor).unwrap_or_else(|| {
            let mut unknown = Self::before_the_first();
            (unknown.term.number, unknown.state) = (floor, TermState::Active);
            unknown
        });
        let record = Record {
            number: kept.term.number,
            version,
            released: kept.state == TermState::Released,
            host: Some(kept.term.host.clone()).filter(|host| !host.is_empty()),
        };
        (kept, record)
    }
}

/// The terms of a task that have ended, the latest first; bounded. Whoever ends a term adds it, or, when its leader never
/// did, whoever begins the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(pub Vec<TermEntry>);

impl History {
    /// Reads a history; an empty one if it is none.
    pub fn read(data: &[u8]) -> Self {
        let mut history: Self = decode(data).unwrap_or_default();
        history.0.truncate(PAST_TERMS_MAX);
        history
    }

    /// The history with one more term.
    #[must_use]
    pub fn with(mut self, term: TermEntry) -> Self {
        self.0.insert(0, term);
        self.0.truncate(PAST_TERMS_MAX);
        self
    }
}

/// Somebody asks the leader of a term to give it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResignOrder {
    /// The number of the term that shall end: an order for another term means nothing.
    pub term: u64,
    /// The host that shall lead next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Now, for people to read: RFC 3339, UTC.
pub fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// A time that the ensemble gives, in milliseconds since 1970, for people to read: RFC 3339, UTC.
pub(super) fn rfc3339(millis: i64) -> String {
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
    if text.trim().is_empty() { format!("session {owner:#x}") } else { text }
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
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
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
        let digits = sequence.len() >= 10 && sequence.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|_| digits)?;
        let session = u64::from_str_radix(session, 16).ok()?.cast_signed();
        Some(Self { sequence, session, host: host.to_owned(), name })
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

    #[test]
    fn the_queue_is_ordered_by_sequence_and_strangers_have_no_place_in_it() {
        let names = ["c-00000000000000ff-b-1-0000000012", "c-ffffffffffffffaa-a-0000000003", "lock", "c-x", "c-aa--"];
        let queue = queue(names.map(str::to_owned).to_vec());
        let seen: Vec<_> = queue.iter().map(|it| (it.sequence, it.session, it.host.as_str())).collect();
        assert_eq!(seen, [(3, -86, "a"), (12, 0xff, "b-1")]);
        assert!(queue[1].name.starts_with(&Candidate::prefix(0xff, "b-1")));
    }

    #[test]
    fn a_term_follows_a_term_and_the_history_is_bounded() {
        let mut history = History::default();
        for number in 1..100 {
            let record = TermRecord::new(number, "a", None);
            let entry = if number % 2 == 0 {
                assert_eq!(record.clone().released(Some("b".into())).lost(7), None);
                record.term.ended(number + 1_000, End::now("resigned", Some(&"x".repeat(10_000))))
            } else {
                record.lost(number + 1_000).unwrap()
            };
            history = history.with(entry);
        }
        assert_eq!(history.0.len(), PAST_TERMS_MAX);
        let seen: Vec<_> = history.0[..2].iter().map(|it| (it.number, it.fencing_token, &it.end)).collect();
        let reasons = seen.iter().map(|(_, _, end)| end.as_ref().unwrap().reason.as_str());
        assert_eq!(reasons.collect::<Vec<_>>(), ["lost", "resigned"]);
        assert_eq!((seen[0].0, seen[0].1, seen[1].1), (99, Some(1_099), Some(1_098)));
        let written = encode(&history);
        assert!(written.len() < RECORD_MAX_BYTES / 2);
        assert_eq!(History::read(&written), history);
    }

    #[test]
    fn a_history_that_no_host_wrote_is_an_empty_one_or_bounded() {
        for data in [b"".as_slice(), b"{}", b"null", b"[1]", &vec![b'['; 9_000], &vec![b' '; 90_000]] {
            assert_eq!(History::read(data), History::default());
        }
        let term = TermRecord::new(1, "a", None).term;
        assert_eq!(History::read(&encode(&vec![term; 100])).0.len(), PAST_TERMS_MAX);
        assert_eq!(TermRecord::before_the_first().lost(7), None);
    }

    #[test]
    fn the_end_of_a_failed_term_is_bounded_and_older_records_read_as_well() {
        let failed = PluginFailed { cause: "panic", message: "é".repeat(10_000), restarts: 3 };
        let end = End::failed(&failed);
        assert_eq!((end.reason.as_str(), end.cause.as_deref()), ("failed", Some("panic")));
        assert_eq!(end.detail.as_ref().unwrap().chars().count(), DETAIL_MAX_CHARS);
        assert_eq!(decode::<End>(&encode(&end)), Some(end));
        let older = decode::<End>(br#"{"at":"2026-01-01T00:00:00Z","reason":"lost"}"#).unwrap();
        assert_eq!((older.reason.as_str(), older.cause, older.detail), ("lost", None, None));
    }

    #[test]
    fn failed_terms_are_counted_and_the_host_that_stands_again_first_is_named() {
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let failed = PluginFailed { cause: "trap", message: "why".into(), restarts: 3 };
        let term = |number, host: &str| Term {
            number,
            fencing_token: crate::term::FencingToken(number),
            task: "t".into(),
            host: host.into(),
            record_version: 1,
        };
        let first =
            FailedRecord::after(None, &term(4, "a"), &failed, at(100), |terms| Some(at(100 + 60 * u64::from(terms))));
        assert_eq!((first.terms, first.retry_at.as_deref()), (1, Some("1970-01-01T00:02:40.000Z")));
        let second = FailedRecord::after(Some(first.clone()), &term(5, "b"), &failed, at(150), |_| Some(at(500)));
        assert_eq!((second.terms, second.host.as_str(), &second.retry_at), (2, "b", &first.retry_at));
        let third = FailedRecord::after(Some(second), &term(6, "c"), &failed, at(200), |_| None);
        assert_eq!((third.terms, third.retry_at.clone()), (3, None), "what is past is not awaited");
        assert_eq!(decode::<FailedRecord>(&encode(&third)), Some(third));
    }

    #[test]
    fn term_records_that_no_host_wrote_never_lower_the_number() {
        let version = 7;
        let record = |number| encode(&TermRecord::new(number, "a", None));
        let kept = Record { number: 5, version, host: Some("a".into()), released: false };
        assert_eq!(TermRecord::read(&record(5), version).1, kept);
        for data in [record(8).as_slice(), b"", b"{}", b"null", &vec![b'['; 9_000], &vec![b' '; 90_000]] {
            let unknown = Record { number: 7, version, host: None, released: false };
            assert_eq!(TermRecord::read(data, version).1, unknown);
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
