//! The record of a task's latest term.

use serde::{Deserialize, Serialize};

use super::{bounded, decode, timestamp};
use crate::digest::Digest;
use crate::election::Record;
use crate::restart::PluginFailed;

/// The highest number of a term. Every reader of JSON can hold it, and no host writes a higher one.
pub const NUMBER_MAX: u64 = 1 << 53;

/// How many completions a record of a term keeps.
const COMPLETIONS_MAX: usize = 20;

/// Whether a term goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TermState {
    /// The term has begun, and its leader has not given it back.
    Active,
    /// The leader gave the term back after the plugin had stopped.
    Released,
}

/// How a term ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When the term ended: RFC 3339, UTC, by the clock of the host that wrote it.
    pub at: String,
    /// Why the term ended: the name of a [`Demotion`](crate::term::Demotion); `failed` if the plugin had failed for good on the
    /// leader; or `lost` if the leader never wrote why.
    pub reason: String,
    /// The name of the [`Cause`](crate::cause::Cause), if the plugin had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What an operator or the plugin said about the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl End {
    /// The reason of a term whose leader never wrote why it ended.
    pub(super) const LOST: &str = "lost";

    /// The end of a term, at the present time. The detail is cut to a bounded length.
    pub fn now(reason: &str, detail: Option<&str>) -> Self {
        Self {
            at: timestamp(),
            reason: reason.to_owned(),
            cause: None,
            detail: detail.map(bounded),
        }
    }

    /// The end, at the present time, of a term whose plugin has failed for good.
    pub fn failed(failed: &PluginFailed) -> Self {
        Self {
            cause: Some(failed.cause.name().to_owned()),
            ..Self::now("failed", Some(&failed.cause.to_string()))
        }
    }
}

/// One term, in the record of the latest term or in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermEntry {
    /// The number of the term; 0 before the first.
    pub number: u64,
    /// The host that leads or led the term.
    pub host: String,
    /// When the term began: RFC 3339, UTC, by that host's clock.
    pub since: String,
    /// The number of the generation that the term runs, if the task was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The SHA-256 of the plugin that the term runs, if its leader wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The fencing token of the term, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// How the term ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl TermEntry {
    /// The entry of this term, with its fencing token and its end.
    #[must_use]
    pub fn ended(self, token: u64, end: End) -> Self {
        Self {
            fencing_token: Some(token),
            end: Some(end),
            ..self
        }
    }
}

/// One run of a task that is to run once has completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The name of the run; empty if it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// The number of the term in which the run completed.
    pub term: u64,
    /// The host that led that term.
    pub host: String,
    /// When the run completed: RFC 3339, UTC, by that host's clock.
    pub at: String,
}

impl Completion {
    /// Whether both tell of the same run. Their times may differ, because each attempt to write the record takes a new time.
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
    /// Whether the term goes on.
    pub state: TermState,
    /// The host that shall lead next, if it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// The path of the master node, if it is not beside this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The runs that have completed, in this term and in those before it, the latest first; bounded. The leader writes it in
    /// the transaction that gives the term back, so every later leader has read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completed: Vec<Completion>,
}

impl TermRecord {
    /// The record of a task that has had no term yet.
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
            generation: None,
            digest: None,
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

    /// This record of a term that runs this generation and this plugin.
    #[must_use]
    pub fn running(mut self, generation: Option<u64>, digest: Option<Digest>) -> Self {
        self.term.generation = generation;
        self.term.digest = digest;
        self
    }

    /// The completion of the run with the name `what`, if it has completed.
    pub fn completion(&self, what: &str) -> Option<&Completion> {
        self.completed
            .iter()
            .find(|completion| completion.what == what)
    }

    /// This record after the run with the name `what` has completed in its term, at the present time.
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

    /// This record after the leader has given the term back.
    #[must_use]
    pub fn released(self, successor: Option<String>) -> Self {
        Self {
            state: TermState::Released,
            successor,
            ..self
        }
    }

    /// The entry of this term as a lost one, if its leader never gave it back. The next leader asks for it when its own term
    /// begins. `zxid` is the transaction that last changed the record: the fencing token of the term.
    pub fn lost(&self, zxid: u64) -> Option<TermEntry> {
        let lost = self.state == TermState::Active && self.term.number > 0;
        lost.then(|| self.term.clone().ended(zxid, End::now(End::LOST, None)))
    }

    /// Reads the record at data version `version`: the record itself, and the election's view of it, without the history.
    ///
    /// If the record cannot be read, the version stands for the number. Every election raises both, and a release raises the
    /// version alone. So the version is as high as any number that this node has held. One case is different: somebody
    /// deleted the node before, and this one began above 1. Then the history has a higher number.
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

#[cfg(test)]
mod tests;
