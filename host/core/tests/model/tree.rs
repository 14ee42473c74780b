//! The nodes of one task, as they stand.

use std::collections::BTreeMap;

use soloist_core::election::Record;
use soloist_core::term::{FencingToken, Term};

use crate::plan::{HostId, Nanos, Session};

#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The sessions, each with the timeout that it was created with.
    pub sessions: BTreeMap<Session, Nanos>,
    /// The candidates, by sequence number.
    pub candidates: BTreeMap<u64, Candidate>,
    pub master: Option<Master>,
    pub term: Option<TermNode>,
    pub history: Option<HistoryNode>,
    pub next_candidate: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub session: Session,
    pub host: HostId,
    /// How often somebody has written it.
    pub version: u64,
    /// No candidate, whatever its name says: no session owns the node, and it does not go by itself.
    pub is_stranger: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
    /// The session that owns it; [`NOBODY`], if it does not go by itself.
    pub owner: Session,
    pub host: HostId,
    /// The transaction that created it: the token of the term.
    pub zxid: u64,
}

/// The term record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermNode {
    /// What it says; nothing, if somebody wrote garbage.
    pub said: Option<Said>,
    pub version: i32,
    /// The transaction that wrote it.
    pub zxid: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub number: u64,
    pub host: Option<HostId>,
    pub released: bool,
    pub successor: Option<HostId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryNode {
    pub version: i32,
    /// The numbers of the terms that have ended, by their tokens.
    pub numbers: BTreeMap<u64, u64>,
}

/// The owner of nodes that no session owns.
pub const NOBODY: Session = 0;

impl Tree {
    /// The term record as a host reads it: from the version, where it does not say.
    pub fn record(&self) -> Record {
        let Some(TermNode { said, version, .. }) = self.term else {
            return Record::default();
        };
        let unknown = Said {
            number: u64::try_from(version).expect("versions grow"),
            ..Said::default()
        };
        let said = said.unwrap_or(unknown);
        Record {
            number: said.number.max(self.highest_ended()),
            version,
            history: self.history.as_ref().map_or(0, |history| history.version),
            host: said.host.map(|host| host.to_string()),
            released: said.released,
        }
    }

    /// The number of the present term.
    pub fn number(&self) -> u64 {
        self.term
            .and_then(|term| term.said)
            .map_or(0, |said| said.number)
    }

    /// The highest number that the history has.
    pub fn highest_ended(&self) -> u64 {
        self.history
            .as_ref()
            .and_then(|history| history.numbers.values().max().copied())
            .unwrap_or(0)
    }

    /// The candidates, in the order of the queue.
    pub fn queue(&self) -> impl Iterator<Item = (u64, Candidate)> {
        self.candidates
            .iter()
            .filter(|(_, it)| !it.is_stranger)
            .map(|(sequence, it)| (*sequence, *it))
    }

    pub fn is_candidate(&self, sequence: u64) -> bool {
        self.candidates
            .get(&sequence)
            .is_some_and(|it| !it.is_stranger)
    }

    /// The candidates of a session, in the order of the queue.
    pub fn own(&self, session: Session) -> Vec<u64> {
        self.queue()
            .filter(|(_, it)| it.session == session)
            .map(|(sequence, _)| sequence)
            .collect()
    }

    /// How many candidates stand before the first one of a session, and the one right before it.
    pub fn place(&self, session: Session) -> Option<(usize, Option<u64>)> {
        let ahead = self.queue().position(|(_, it)| it.session == session)?;
        Some((
            ahead,
            self.queue().take(ahead).last().map(|(before, _)| before),
        ))
    }

    /// The place before all others, if there is one.
    pub fn before_all(&self) -> Option<u64> {
        self.candidates.keys().next()?.checked_sub(1)
    }

    pub fn version(&self, candidate: u64) -> Option<u64> {
        self.candidates.get(&candidate).map(|it| it.version)
    }

    pub fn at_head(&self, session: Session) -> bool {
        self.place(session).is_some_and(|(ahead, _)| ahead == 0)
    }
}

pub fn new_term(number: u64, zxid: u64, host: HostId, record_version: i32) -> Term {
    let fencing_token = FencingToken(zxid);
    Term {
        number,
        fencing_token,
        task: "task".into(),
        host: host.to_string().into(),
        record_version,
    }
}

/// The host that leads a term.
pub fn host_of(term: &Term) -> Option<HostId> {
    term.host.parse().ok()
}
