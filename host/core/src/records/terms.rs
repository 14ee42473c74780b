//! The records of terms: the latest one, and those before it.

use serde::{Deserialize, Serialize};

use super::{bounded, decode, timestamp};
use crate::election::Record;
use crate::restart::PluginFailed;

/// The highest number of a term: what every reader of JSON can hold. A higher one was not written by any host.
pub const NUMBER_MAX: u64 = 1 << 53;

/// How many terms that have ended a history keeps.
pub const PAST_TERMS_MAX: usize = 20;
/// How many completions a term record keeps.
const COMPLETIONS_MAX: usize = 20;

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
    /// The name of the [`Cause`](crate::cause::Cause), if the plugin had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What an operator or the plugin said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl End {
    /// The reason of a term whose leader never said how it ended.
    const LOST: &str = "lost";

    /// The end of a term, now, with the detail cut to a bounded length.
    pub fn now(reason: &str, detail: Option<&str>) -> Self {
        Self {
            at: timestamp(),
            reason: reason.to_owned(),
            cause: None,
            detail: detail.map(bounded),
        }
    }

    /// The end of a term, now, whose plugin has failed for good.
    pub fn failed(failed: &PluginFailed) -> Self {
        Self {
            cause: Some(failed.cause.name().to_owned()),
            ..Self::now("failed", Some(&failed.cause.to_string()))
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
        Self {
            fencing_token: Some(token),
            end: Some(end),
            ..self
        }
    }
}

/// What was to be done once has been done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// What was done: the name that it was given; empty if it was given none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// The number of the term in which it was done.
    pub term: u64,
    /// The host that led it.
    pub host: String,
    /// When: RFC 3339, UTC, by that host's clock.
    pub at: String,
}

impl Completion {
    /// Whether both are of one piece of work; every attempt to write it down has a time of its own.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (&self.what, self.term, &self.host) == (&other.what, other.term, &other.host)
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
    /// What was to be done once and has been done, in this term and in those before it, the latest first; bounded. It is
    /// written by the transaction that gives the term back: whoever is elected after that has read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completed: Vec<Completion>,
}

impl TermRecord {
    /// What a task begins with.
    pub fn before_the_first() -> Self {
        Self {
            state: TermState::Released,
            ..Self::new(0, "", None)
        }
    }

    /// The record of a term that begins.
    pub fn new(number: u64, host: &str, path: Option<&str>) -> Self {
        let term = TermEntry {
            number,
            host: host.to_owned(),
            since: timestamp(),
            fencing_token: None,
            end: None,
        };
        Self {
            term,
            state: TermState::Active,
            successor: None,
            path: path.map(str::to_owned),
            completed: Vec::new(),
        }
    }

    /// How `what` was done, if it was.
    pub fn completion(&self, what: &str) -> Option<&Completion> {
        self.completed
            .iter()
            .find(|completion| completion.what == what)
    }

    /// The record of a term in which `what` has been done, now.
    #[must_use]
    pub fn completing(mut self, what: &str) -> Self {
        let TermEntry {
            number: term, host, ..
        } = self.term.clone();
        self.completed.retain(|completion| completion.what != what);
        self.completed.insert(
            0,
            Completion {
                what: what.to_owned(),
                term,
                host,
                at: timestamp(),
            },
        );
        self.completed.truncate(COMPLETIONS_MAX);
        self
    }

    /// The record of this term given back.
    #[must_use]
    pub fn released(self, successor: Option<String>) -> Self {
        Self {
            state: TermState::Released,
            successor,
            ..self
        }
    }

    /// For the history: a term that never was given back, though another begins. The record was last changed by
    /// transaction `zxid`.
    pub fn lost(&self, zxid: u64) -> Option<TermEntry> {
        let lost = self.state == TermState::Active && self.term.number > 0;
        lost.then(|| self.term.clone().ended(zxid, End::now(End::LOST, None)))
    }

    /// Reads the record at data version `version`, as kept and as the election sees it, but for the history.
    ///
    /// When it cannot be read, the version takes the number's place: every election raises both, and a release the version
    /// alone, so it is as high as any number that this node has held, unless it began above 1 because the one before was
    /// deleted. Then the history has a higher one.
    pub fn read(data: &[u8], version: i32) -> (Self, Record) {
        let floor = u64::try_from(version).unwrap_or(0);
        let mut kept = decode::<Self>(data)
            .filter(|record| record.term.number <= NUMBER_MAX)
            .unwrap_or_else(|| {
                let mut unknown = Self::before_the_first();
                (unknown.term.number, unknown.state) = (floor, TermState::Active);
                unknown
            });
        kept.completed.truncate(COMPLETIONS_MAX);
        let record = Record {
            number: kept.term.number,
            version,
            history: 0,
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

    /// The history with one more term, in its place.
    #[must_use]
    pub fn with(mut self, term: TermEntry) -> Self {
        let place = self
            .0
            .iter()
            .take_while(|later| later.fencing_token > term.fencing_token)
            .count();
        self.0.insert(place, term);
        self.0.truncate(PAST_TERMS_MAX);
        self
    }

    /// Whether it has the term of that token.
    pub fn has(&self, token: u64) -> bool {
        self.0.iter().any(|term| term.fencing_token == Some(token))
    }

    /// Whether the leader of the term of that token has said how it ended.
    pub fn has_end_of(&self, token: u64) -> bool {
        let said = |term: &TermEntry| term.end.as_ref().is_some_and(|end| end.reason != End::LOST);
        self.0
            .iter()
            .any(|term| term.fencing_token == Some(token) && said(term))
    }

    /// The highest number of its terms, 0 if there is none.
    pub fn highest(&self) -> u64 {
        self.0
            .iter()
            .map(|term| term.number)
            .filter(|number| *number <= NUMBER_MAX)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DETAIL_MAX_CHARS, RECORD_MAX_BYTES, encode};
    use super::*;
    use crate::cause::Cause;

    #[test]
    fn a_term_follows_a_term_and_the_history_is_bounded() {
        let mut history = History::default();
        for number in 1..100 {
            let record = TermRecord::new(number, "a", None);
            let entry = if number % 2 == 0 {
                assert_eq!(record.clone().released(Some("b".into())).lost(7), None);
                record.term.ended(
                    number + 1_000,
                    End::now("resigned", Some(&"x".repeat(10_000))),
                )
            } else {
                record.lost(number + 1_000).unwrap()
            };
            history = history.with(entry);
        }
        assert_eq!(history.0.len(), PAST_TERMS_MAX);
        let seen: Vec<_> = history.0[..2]
            .iter()
            .map(|it| (it.number, it.fencing_token, &it.end))
            .collect();
        let reasons = seen
            .iter()
            .map(|(_, _, end)| end.as_ref().unwrap().reason.as_str());
        assert_eq!(reasons.collect::<Vec<_>>(), ["lost", "resigned"]);
        assert_eq!(
            (seen[0].0, seen[0].1, seen[1].1),
            (99, Some(1_099), Some(1_098))
        );
        let written = encode(&history);
        assert!(written.len() < RECORD_MAX_BYTES / 2);
        assert_eq!(History::read(&written), history);
    }

    #[test]
    fn a_history_that_no_host_wrote_is_an_empty_one_or_bounded() {
        for data in [
            b"".as_slice(),
            b"{}",
            b"null",
            b"[1]",
            &vec![b'['; 9_000],
            &vec![b' '; 90_000],
        ] {
            assert_eq!(History::read(data), History::default());
        }
        let term = TermRecord::new(1, "a", None).term;
        assert_eq!(
            History::read(&encode(&vec![term; 100])).0.len(),
            PAST_TERMS_MAX
        );
        assert_eq!(TermRecord::before_the_first().lost(7), None);
    }

    #[test]
    fn what_was_done_once_is_known_by_its_name_and_bounded() {
        let mut record = TermRecord::before_the_first();
        assert_eq!(record.completion(""), None);
        for number in 1..100 {
            record = TermRecord {
                completed: record.completed,
                ..TermRecord::new(number, &"h".repeat(128), None)
            };
            record = record
                .completing(&format!("{number:0128}"))
                .completing("again")
                .released(None);
        }
        let again = record.completion("again").unwrap();
        assert_eq!((again.term, record.completed.len()), (99, COMPLETIONS_MAX));
        assert!(
            record.completion(&format!("{:0128}", 99)).is_some() && record.completion("").is_none()
        );
        let written = encode(&record);
        assert!(written.len() < RECORD_MAX_BYTES / 2);
        assert_eq!(TermRecord::read(&written, 200).0, record);
    }

    #[test]
    fn the_end_of_a_failed_term_is_bounded_and_older_records_read_as_well() {
        let failed = PluginFailed {
            cause: Cause::Panicked("é".repeat(10_000)),
            restarts: 3,
        };
        let end = End::failed(&failed);
        assert_eq!(
            (end.reason.as_str(), end.cause.as_deref()),
            ("failed", Some("panic"))
        );
        assert_eq!(
            end.detail.as_ref().unwrap().chars().count(),
            DETAIL_MAX_CHARS
        );
        assert_eq!(decode::<End>(&encode(&end)), Some(end));
        let older = decode::<End>(br#"{"at":"2026-01-01T00:00:00Z","reason":"lost"}"#).unwrap();
        assert_eq!(
            (older.reason.as_str(), older.cause, older.detail),
            ("lost", None, None)
        );
    }

    #[test]
    fn a_term_that_is_told_late_has_its_place_and_the_highest_number_is_known() {
        let term = |number| TermRecord::new(number, "a", None).term;
        let ended = |number| term(number).ended(100 + number, End::now("resigned", None));
        let history = History::default()
            .with(ended(1))
            .with(ended(3))
            .with(ended(2))
            .with(term(NUMBER_MAX + 1));
        assert_eq!(
            history.0.iter().map(|term| term.number).collect::<Vec<_>>(),
            [3, 2, 1, NUMBER_MAX + 1]
        );
        assert_eq!((history.highest(), History::default().highest()), (3, 0));
        assert!(history.has(102) && !history.has(104));
    }

    #[test]
    fn term_records_that_no_host_wrote_never_lower_the_number() {
        let version = 7;
        let record = |number| encode(&TermRecord::new(number, "a", None));
        let kept = Record {
            number: 5,
            version,
            history: 0,
            host: Some("a".into()),
            released: false,
        };
        assert_eq!(TermRecord::read(&record(5), version).1, kept);
        // One that was made anew when the history had five terms.
        assert_eq!(TermRecord::read(&record(6), 1).1.number, 6);
        for data in [
            record(NUMBER_MAX + 1).as_slice(),
            b"",
            b"{}",
            b"null",
            &vec![b'['; 9_000],
            &vec![b' '; 90_000],
        ] {
            let unknown = Record {
                number: 7,
                version,
                history: 0,
                host: None,
                released: false,
            };
            assert_eq!(TermRecord::read(data, version).1, unknown);
        }
    }
}
