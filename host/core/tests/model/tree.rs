//! The nodes of one task, and what transactions make of them.

use std::collections::BTreeMap;

use soloist_core::election::{RELEASE_WRITES, Record};
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
    next_candidate: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub session: Session,
    pub host: HostId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryNode {
    pub version: i32,
}

/// A change, as it is asked for.
#[derive(Clone, Debug)]
pub enum Change {
    CreateSession {
        session: Session,
        timeout: Nanos,
    },
    CloseSession(Session),
    Heartbeat,
    /// Creates what is missing of the task.
    Prepare,
    Join {
        session: Session,
        host: HostId,
    },
    StepBack {
        session: Session,
        host: HostId,
        own: Vec<u64>,
    },
    Elect {
        session: Session,
        host: HostId,
        candidate: u64,
        over: Record,
    },
    Release {
        session: Session,
        term: Option<Term>,
        successor: Option<HostId>,
    },
    /// A fenced write of the plugin's state.
    Store {
        term: Term,
    },
    // What strangers do.
    DeleteMaster,
    DeleteCandidate(u64),
    DeleteTerm,
    GarbleTerm,
    DeleteHistory,
    GarbleHistory,
}

/// What a change comes to.
#[derive(Clone, Debug)]
pub enum Verdict {
    Done,
    Elected(Term),
    /// The master node is there.
    Held,
    /// What the transaction checks is not as it should be.
    Refused,
}

impl Verdict {
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Elected(_))
    }
}

impl Tree {
    /// The term record as a host reads it: from the version, where it does not say.
    pub fn record(&self) -> Record {
        let Some(TermNode { said, version, .. }) = self.term else { return Record::default() };
        let unknown = Said { number: u64::try_from(version).expect("versions grow"), ..Said::default() };
        let said = said.filter(|said| said.number <= unknown.number).unwrap_or(unknown);
        Record {
            number: said.number,
            version,
            history: self.history.map_or(0, |history| history.version),
            host: said.host.map(|host| host.to_string()),
            released: said.released,
        }
    }

    /// The candidates of a session, in the order of the queue.
    pub fn own(&self, session: Session) -> Vec<u64> {
        self.candidates.iter().filter(|(_, it)| it.session == session).map(|(sequence, _)| *sequence).collect()
    }

    /// How many candidates stand before the first one of a session, and the one right before it.
    pub fn place(&self, session: Session) -> Option<(usize, Option<u64>)> {
        let ahead = self.candidates.values().position(|it| it.session == session)?;
        Some((ahead, ahead.checked_sub(1).and_then(|before| self.candidates.keys().nth(before).copied())))
    }

    pub fn at_head(&self, session: Session) -> bool {
        self.place(session).is_some_and(|(ahead, _)| ahead == 0)
    }

    /// What the ensemble's leader says to a change that transaction `zxid` would make.
    pub fn judge(&self, change: &Change, zxid: u64) -> Verdict {
        match change {
            Change::Elect { host, candidate, over, .. } => {
                if !self.candidates.contains_key(candidate) {
                    return Verdict::Refused;
                }
                if self.master.is_some() {
                    return Verdict::Held;
                }
                let (Some(term), Some(history)) = (self.term, self.history) else { return Verdict::Refused };
                if (term.version, history.version) != (over.version, over.history) {
                    return Verdict::Refused;
                }
                Verdict::Elected(new_term(over.number + 1, zxid, *host, term.version + 1))
            }
            Change::StepBack { own, .. } if own.iter().any(|own| !self.candidates.contains_key(own)) => {
                Verdict::Refused
            }
            Change::Store { term } if !self.is_of(term) => Verdict::Refused,
            _ => Verdict::Done,
        }
    }

    /// Whether the term record is still that of this term, as its host checks it.
    fn is_of(&self, term: &Term) -> bool {
        self.term.is_some_and(|it| it.version == term.record_version)
    }

    /// Makes a change that was judged to be done.
    pub fn apply(&mut self, change: &Change, zxid: u64) {
        match change {
            Change::CreateSession { session, timeout } => {
                self.sessions.insert(*session, *timeout);
            }
            Change::CloseSession(session) => {
                self.sessions.remove(session);
                self.leave(*session);
            }
            Change::Heartbeat | Change::Store { .. } => {}
            Change::Prepare => {
                let first = Said { released: true, ..Said::default() };
                self.term.get_or_insert(TermNode { said: Some(first), version: 0, zxid });
                self.history.get_or_insert_default();
            }
            Change::Join { session, host } => self.join(*session, *host),
            Change::StepBack { session, host, own } => {
                self.candidates.retain(|sequence, _| !own.contains(sequence));
                self.join(*session, *host);
            }
            Change::Elect { session, host, over, .. } => {
                self.master = Some(Master { owner: *session, host: *host, zxid });
                let number = over.number + 1;
                let said = Some(Said { number, host: Some(*host), released: false, successor: None });
                self.term = Some(TermNode { said, version: over.version + 1, zxid });
                // A term that was lost is written down by whoever begins the next.
                let lost = over.number > 0 && !over.released;
                self.history = Some(HistoryNode { version: over.history + i32::from(lost) });
            }
            Change::Release { session, term, successor } => {
                self.leave(*session);
                if let Some(term) = term.as_ref().filter(|term| self.is_of(term)) {
                    let said = Said { number: term.number, host: host_of(term), released: true, successor: *successor };
                    self.term = Some(TermNode { said: Some(said), version: term.record_version + 1, zxid });
                    let writes = RELEASE_WRITES + i32::from(successor.is_some());
                    self.history = Some(HistoryNode { version: self.history.map_or(0, |it| it.version + writes) });
                }
            }
            Change::DeleteMaster => self.master = None,
            Change::DeleteCandidate(candidate) => {
                self.candidates.remove(candidate);
            }
            Change::DeleteTerm => self.term = None,
            Change::GarbleTerm => {
                self.term = self.term.map(|it| TermNode { said: None, version: it.version + 1, zxid });
            }
            Change::DeleteHistory => self.history = None,
            Change::GarbleHistory => {
                self.history = self.history.map(|it| HistoryNode { version: it.version + 1 });
            }
        }
    }

    fn join(&mut self, session: Session, host: HostId) {
        self.candidates.insert(self.next_candidate, Candidate { session, host });
        self.next_candidate += 1;
    }

    fn leave(&mut self, session: Session) {
        self.candidates.retain(|_, it| it.session != session);
        self.master = self.master.filter(|master| master.owner != session);
    }
}

pub fn new_term(number: u64, zxid: u64, host: HostId, record_version: i32) -> Term {
    let fencing_token = FencingToken(zxid);
    Term { number, fencing_token, task: "task".into(), host: host.to_string().into(), record_version }
}

/// The host that leads a term.
pub fn host_of(term: &Term) -> Option<HostId> {
    term.host.parse().ok()
}
