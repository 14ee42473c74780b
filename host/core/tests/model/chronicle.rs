//! What is committed, in order, and what must never be among it.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Change, Verdict};
use crate::ensemble::Entry;
use crate::plan::{HostId, Nanos, Plan, Session};
use crate::tree::{Tree, host_of};

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A plugin starts while another one may act.
    TwoAct {
        old: HostId,
        new: HostId,
    },
    /// A plugin has an effect after one of a later term.
    EffectAfterALaterOne {
        host: HostId,
    },
    /// The ensemble ended the session of a host that has a lease.
    LeaseOutlivesSession {
        host: HostId,
    },
    RunsTwice {
        host: HostId,
    },
    ReleasedWhileRunning {
        host: HostId,
    },
    FinishedWhileRunning {
        host: HostId,
    },
    /// A write of a term that is over was not refused.
    StoredLate,
    /// A release gave back a term that was not its own.
    ReleasedAnother,
    /// A guardian gave back what a living process holds.
    FreedTheLiving {
        host: HostId,
    },
    /// A number that an earlier term had.
    NumberAgain {
        number: u64,
    },
    /// A successor did not wait for as long as it is told to.
    TooSoon,
    /// The term was given up in favour of another host, which stood all the time.
    NotAppointed,
    /// Somebody was elected past those who stand before it, and was not named.
    OutOfTurn {
        host: HostId,
    },
    NobodyLeads,
    DoesNotStand {
        host: HostId,
    },
    NotShutDown {
        host: HostId,
    },
    /// A host that has no room for the task stands, or begins a term.
    StandsWhileFull {
        host: HostId,
    },
    /// A host that is drained stands, or begins a term.
    StandsWhileDrained {
        host: HostId,
    },
    /// Nodes of hosts that have ended in order, or from which the task was taken away, or that are drained.
    LeftBehind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: Nanos,
    pub wrong: Wrong,
}

/// A term as it really was.
#[derive(Clone, Debug, Default)]
struct Reign {
    token: u64,
    session: Session,
    released: bool,
    /// The candidate in whose favour it was given up, and its host.
    appointed: Option<(u64, HostId)>,
    /// Whom its release names, whether that host stood or not.
    named: Option<HostId>,
    /// Somebody else wrote to the records since: they say nothing of it any more.
    tampered: bool,
    /// So it was before: what somebody foresaw may come true in another way.
    after_tampering: bool,
    /// When the last node was gone that holds its successor back.
    over_since: Option<Nanos>,
}

#[derive(Debug)]
pub struct Chronicle {
    successor_delay: Nanos,
    pub written: usize,
    pub tree: Tree,
    reign: Reign,
    numbers: BTreeSet<u64>,
    last_effect: u64,
    /// Transactions that end the session of a host that has a lease.
    outlived: BTreeMap<u64, HostId>,
}

impl Chronicle {
    pub fn new(plan: &Plan) -> Self {
        Self {
            // The host's clock may run a little fast.
            successor_delay: plan.successor_delay - plan.successor_delay / 100,
            written: 0,
            tree: Tree::default(),
            reign: Reign {
                released: true,
                ..Reign::default()
            },
            numbers: BTreeSet::new(),
            last_effect: 0,
            outlived: BTreeMap::new(),
        }
    }

    /// An effect with that token; says whether none of a later term came before it.
    pub fn effect(&mut self, token: u64) -> bool {
        let in_order = token >= self.last_effect;
        self.last_effect = self.last_effect.max(token);
        in_order
    }

    pub fn outlives(&mut self, zxid: u64, host: HostId) {
        self.outlived.insert(zxid, host);
    }

    /// Takes in what is committed by now.
    pub fn write_down(&mut self, committed: &[Entry]) -> Option<Wrong> {
        let new = committed.get(self.written..).unwrap_or_default();
        self.written = self.written.max(committed.len());
        new.iter()
            .filter(|entry| entry.verdict.is_done())
            .find_map(|entry| {
                let wrong = self.judge(entry);
                self.tree.apply(&entry.change, entry.zxid);
                if self
                    .numbers
                    .last()
                    .is_some_and(|highest| self.tree.record().number < *highest)
                {
                    // Strangers have made record and history forget it: numbers begin anew.
                    self.numbers.clear();
                }
                let holds = |session| {
                    self.tree
                        .master
                        .is_some_and(|master| master.owner == session)
                };
                if !holds(self.reign.session) && self.tree.place(self.reign.session).is_none() {
                    self.reign.over_since.get_or_insert(entry.at);
                }
                wrong
            })
    }

    fn judge(&mut self, entry: &Entry) -> Option<Wrong> {
        match &entry.change {
            Change::CloseSession(_) => self
                .outlived
                .remove(&entry.zxid)
                .map(|host| Wrong::LeaseOutlivesSession { host }),
            Change::Elect { session, host, .. } => self.elected(entry, *session, *host),
            Change::Release(release) if self.tree.marks(release) => {
                let stands = self
                    .tree
                    .queue()
                    .find(|(_, it)| Some(it.host) == release.successor);
                let stands = stands.filter(|(_, it)| it.session != release.session);
                self.reign.appointed = stands.map(|(sequence, it)| (sequence, it.host));
                self.reign.named = release.successor;
                let term = release.term.as_ref()?;
                self.reign.released = true;
                (term.fencing_token.0 != self.reign.token).then_some(Wrong::ReleasedAnother)
            }
            Change::GiveBack(it) => {
                let term = it.term.as_ref()?;
                self.reign.released = true;
                (term.fencing_token.0 != self.reign.token).then_some(Wrong::ReleasedAnother)
            }
            Change::Store { term, .. } => (term.fencing_token.0 != self.reign.token
                || self.reign.released)
                .then_some(Wrong::StoredLate),
            Change::DeleteTerm
            | Change::GarbleTerm
            | Change::DeleteHistory
            | Change::GarbleHistory => {
                self.reign.tampered = true;
                None
            }
            _ => None,
        }
    }

    fn elected(&mut self, entry: &Entry, session: Session, host: HostId) -> Option<Wrong> {
        let Verdict::Elected(term) = &entry.verdict else {
            return None;
        };
        let after_tampering = self.reign.tampered;
        let reign = Reign {
            token: entry.zxid,
            session,
            after_tampering,
            ..Reign::default()
        };
        let before = std::mem::replace(&mut self.reign, reign);
        debug_assert_eq!(host_of(term), Some(host));
        if !self.numbers.insert(term.number) && !before.tampered && !before.after_tampering {
            return Some(Wrong::NumberAgain {
                number: term.number,
            });
        }
        if before.tampered || before.after_tampering {
            return None;
        }
        if let Some((candidate, appointed)) = before.appointed
            && appointed != host
            && self.tree.candidates.contains_key(&candidate)
        {
            return Some(Wrong::NotAppointed);
        }
        let is_named = before.released && before.named == Some(host);
        if !is_named && !self.tree.at_head(session) {
            return Some(Wrong::OutOfTurn { host });
        }
        let waited = before
            .over_since
            .is_none_or(|over| entry.at >= over + self.successor_delay);
        (!before.released && before.session != session && !waited).then_some(Wrong::TooSoon)
    }
}
