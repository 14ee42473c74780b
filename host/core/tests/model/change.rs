//! What changes the nodes of a task, and what transactions make of them.

use soloist_core::election::{RELEASE_WRITES, Record};
use soloist_core::term::Term;

use crate::plan::{HostId, Nanos, Session};
use crate::tree::{
    Candidate, HistoryNode, Master, NOBODY, Said, TermNode, Tree, host_of, new_term,
};

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
        /// Where the host stands from then on, if it is elected out of turn.
        place: Option<u64>,
    },
    /// Wakes whoever watches a candidate, on behalf of the host with the candidate `own`.
    Touch {
        other: u64,
        own: u64,
    },
    Release(Release),
    /// What a guardian gives back of a dead process.
    GiveBack(GiveBack),
    /// A fenced write of the plugin's state.
    Store {
        term: Term,
        candidate: u64,
    },
    // What strangers do.
    DeleteMaster,
    DeleteCandidate(u64),
    PlantMaster,
    PlantCandidate {
        session: Session,
        host: HostId,
    },
    DeleteTerm,
    GarbleTerm,
    DeleteHistory,
    GarbleHistory,
}

/// What is asked for when all is given back.
#[derive(Clone, Debug)]
pub struct Release {
    pub session: Session,
    pub term: Option<Term>,
    pub successor: Option<HostId>,
    /// The session's candidates, as last seen.
    pub own: Vec<u64>,
    /// The version of the history, if it was read in the term.
    pub history: Option<i32>,
}

/// What a guardian gives back, by what it has read.
#[derive(Clone, Debug)]
pub struct GiveBack {
    /// The session of the dead process.
    pub session: Session,
    /// The term of that session, if it has the master node.
    pub term: Option<Term>,
    pub has_master: bool,
    /// Its candidates.
    pub own: Vec<u64>,
    /// The version of the term record.
    pub record: Option<i32>,
    pub history: Option<i32>,
    /// Broken: nothing is checked.
    pub unchecked: bool,
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
    /// What the ensemble's leader says to a change that transaction `zxid` would make.
    pub fn judge(&self, change: &Change, zxid: u64) -> Verdict {
        match change {
            Change::Elect {
                host,
                candidate,
                over,
                place,
                ..
            } => {
                if !self.candidates.contains_key(candidate) {
                    return Verdict::Refused;
                }
                if self.master.is_some() {
                    return Verdict::Held;
                }
                let (Some(term), Some(history)) = (self.term, &self.history) else {
                    return Verdict::Refused;
                };
                if (term.version, history.version) != (over.version, over.history) {
                    return Verdict::Refused;
                }
                // Whoever else had taken it would have written the record.
                assert!(place.is_none_or(|place| !self.candidates.contains_key(&place)));
                Verdict::Elected(new_term(over.number + 1, zxid, *host, term.version + 1))
            }
            Change::StepBack { own, .. }
                if own.iter().any(|own| !self.candidates.contains_key(own)) =>
            {
                Verdict::Refused
            }
            Change::Store { term, candidate } => {
                let fits = self
                    .term
                    .is_some_and(|it| it.version == term.record_version);
                if fits && self.candidates.contains_key(candidate) {
                    Verdict::Done
                } else {
                    Verdict::Refused
                }
            }
            Change::GiveBack(it) if !it.unchecked && !self.is_as_read(it) => Verdict::Refused,
            Change::PlantMaster if self.master.is_some() => Verdict::Refused,
            _ => Verdict::Done,
        }
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
                let first = Said {
                    released: true,
                    ..Said::default()
                };
                self.term.get_or_insert(TermNode {
                    said: Some(first),
                    version: 0,
                    zxid,
                });
                self.history.get_or_insert_default();
            }
            Change::Join { session, host } => self.join(*session, *host, false),
            Change::StepBack { session, host, own } => {
                self.candidates
                    .retain(|sequence, _| !own.contains(sequence));
                self.join(*session, *host, false);
            }
            Change::Touch { other, .. } => {
                if let Some(candidate) = self.candidates.get_mut(other) {
                    candidate.version += 1;
                }
            }
            Change::Elect {
                session,
                host,
                over,
                candidate,
                place,
            } => {
                if let Some(place) = place
                    && let Some(moved) = self.candidates.remove(candidate)
                {
                    self.candidates.insert(*place, moved);
                }
                self.write_down_lost(over);
                self.master = Some(Master {
                    owner: *session,
                    host: *host,
                    zxid,
                });
                let number = over.number + 1;
                let said = Some(Said {
                    number,
                    host: Some(*host),
                    released: false,
                    successor: None,
                });
                self.term = Some(TermNode {
                    said,
                    version: over.version + 1,
                    zxid,
                });
            }
            Change::Release(release) => self.release(release, zxid),
            Change::GiveBack(it) => self.give_back(it, zxid),
            Change::PlantMaster => {
                self.master = Some(Master {
                    owner: NOBODY,
                    host: 0,
                    zxid,
                });
            }
            Change::PlantCandidate { session, host } => self.join(*session, *host, true),
            Change::DeleteMaster => self.master = None,
            Change::DeleteCandidate(candidate) => {
                self.candidates.remove(candidate);
            }
            Change::DeleteTerm => self.term = None,
            Change::GarbleTerm => {
                self.term = self.term.map(|it| TermNode {
                    said: None,
                    version: it.version + 1,
                    zxid,
                });
            }
            Change::DeleteHistory => self.history = None,
            Change::GarbleHistory => {
                if let Some(history) = &mut self.history {
                    *history = HistoryNode {
                        version: history.version + 1,
                        ..HistoryNode::default()
                    };
                }
            }
        }
    }

    /// Whether a release marks its term as given back. One request does it if all is as it was last seen; else what is there
    /// is read first, and then the record is only written if it is that of the term.
    pub fn marks(&self, release: &Release) -> bool {
        let Some(term) = &release.term else {
            return false;
        };
        let is_of_term = self.term.is_some_and(|it| it.zxid == term.fencing_token.0);
        is_of_term || self.is_as_seen(term, release)
    }

    /// What the transaction of a guardian checks: the candidates that it deletes, the master node that no stranger has made,
    /// the version of the term record, and that of the history where it is written.
    fn is_as_read(&self, it: &GiveBack) -> bool {
        let own = !it.own.is_empty() && it.own.iter().all(|own| self.candidates.contains_key(own));
        let master = !it.has_master || self.master.is_some_and(|master| master.owner != NOBODY);
        let record = it.record == self.term.map(|term| term.version);
        let history = self.history.as_ref().map(|history| history.version);
        own && master && record && (it.term.is_none() || history == it.history)
    }

    fn give_back(&mut self, it: &GiveBack, zxid: u64) {
        self.candidates
            .retain(|sequence, _| !it.own.contains(sequence));
        if it.has_master {
            self.master = None;
        }
        let Some(term) = &it.term else { return };
        self.term = Some(TermNode {
            said: Some(Said {
                number: term.number,
                host: host_of(term),
                released: true,
                successor: None,
            }),
            version: term.record_version + 1,
            zxid,
        });
        // One that is made anew is written once.
        let history = self.history.get_or_insert(HistoryNode {
            version: -RELEASE_WRITES,
            ..HistoryNode::default()
        });
        history.version += RELEASE_WRITES;
        history.numbers.insert(term.fencing_token.0, term.number);
    }

    fn is_as_seen(&self, term: &Term, release: &Release) -> bool {
        let history = self.history.as_ref().map(|history| history.version);
        let own = !release.own.is_empty()
            && release
                .own
                .iter()
                .all(|own| self.candidates.contains_key(own));
        let record = self
            .term
            .is_some_and(|it| it.version == term.record_version);
        let master = self.master.is_some_and(|master| master.owner != NOBODY);
        own && record && master && history.is_some() && history == release.history
    }

    fn release(&mut self, release: &Release, zxid: u64) {
        let marks = self.marks(release);
        match &release.term {
            Some(term) if self.is_as_seen(term, release) => {
                self.candidates
                    .retain(|sequence, _| !release.own.contains(sequence));
                self.master = None;
            }
            _ => self.leave(release.session),
        }
        let Some(term) = &release.term else { return };
        if marks {
            let said = Said {
                number: term.number,
                host: host_of(term),
                released: true,
                successor: release.successor,
            };
            self.term = Some(TermNode {
                said: Some(said),
                version: term.record_version + 1,
                zxid,
            });
        }
        let token = term.fencing_token.0;
        if !marks
            && self
                .history
                .as_ref()
                .is_none_or(|history| history.numbers.contains_key(&token))
        {
            return;
        }
        let writes = RELEASE_WRITES + i32::from(release.successor.is_some());
        // One that is made anew is written once.
        let history = self.history.get_or_insert(HistoryNode {
            version: -writes,
            ..HistoryNode::default()
        });
        history.version += writes;
        history.numbers.insert(token, term.number);
    }

    /// A term that was lost is written down by whoever begins the next.
    fn write_down_lost(&mut self, over: &Record) {
        let highest_ended = self.highest_ended();
        let (Some(before), Some(history)) = (self.term, &mut self.history) else {
            return;
        };
        let number = before
            .said
            .map_or(before.version.unsigned_abs().into(), |said| said.number);
        if over.released || number == 0 {
            return;
        }
        history.version += 1;
        if before.said.is_some() && number > highest_ended {
            history.numbers.insert(before.zxid, number);
        }
    }

    fn join(&mut self, session: Session, host: HostId, is_stranger: bool) {
        self.candidates.insert(
            self.next_candidate,
            Candidate {
                session,
                host,
                version: 0,
                is_stranger,
            },
        );
        self.next_candidate += 1;
    }

    fn leave(&mut self, session: Session) {
        self.candidates
            .retain(|_, it| it.session != session || it.is_stranger);
        self.master = self.master.filter(|master| master.owner != session);
    }
}
