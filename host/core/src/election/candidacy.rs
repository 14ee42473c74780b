//! A host's way through the queue, up to its election.

use std::time::Duration;

use crate::term::Term;

use super::state::State;
use super::{AT_ONCE, Action, Appointed, Election, Holder, Now, Queue};

/// How long the head of the queue waits for the host that was appointed before it wakes that host once more. A host that reads
/// the queue at that moment sets its watch later, and does not hear of it.
const WAKE_AGAIN: Duration = Duration::from_secs(1);

impl Election {
    pub(super) fn look(&mut self, actions: &mut Vec<Action>) {
        (self.state, self.foreseen, self.look_at) = (State::Looking, None, None);
        actions.push(Action::Look);
    }

    pub(super) fn changed(&mut self, now: Now, actions: &mut Vec<Action>) {
        match self.foreseen.take() {
            Some(over) if self.state == State::Waiting && !self.demotion_due(now) => {
                self.state = State::Electing;
                actions.push(Action::Elect { over });
            }
            _ => self.read_again(actions),
        }
    }

    pub(super) fn looked(&mut self, now: Now, queue: Queue, actions: &mut Vec<Action>) {
        // What comes after another record is a term of its own, even if it looks the same because numbers have begun anew.
        self.delayed_for = self
            .delayed_for
            .take()
            .filter(|record| *record == queue.record);
        self.holds.place = queue.ahead.is_some();
        // Whoever is appointed waits for nobody.
        let appointed = queue.appointed == Appointed::ThisHost;
        match (queue.ahead, queue.predecessor, queue.appointed) {
            // A host that may hold the master node must not wait behind another host: each would wait for the other.
            (None, ..) | (_, _, Appointed::Another { .. }) | (_, Some(_), Appointed::Nobody)
                if self.holds.master =>
            {
                self.release(None, AT_ONCE, actions);
            }
            (None, ..) => actions.push(Action::Join),
            (Some(ahead), Some(predecessor), _) if !appointed => {
                let leader = queue.record.host.clone().filter(|_| !queue.record.released);
                self.foreseen = (ahead == 1 && leader.is_some()).then(|| queue.record.given_back());
                self.announce_standby(ahead, leader, actions);
                actions.push(Action::AwaitPredecessor(predecessor));
            }
            (
                Some(_),
                None,
                Appointed::Another {
                    candidate,
                    out_of_turn,
                },
            ) => {
                if out_of_turn {
                    self.look_at = Some(now.time + WAKE_AGAIN);
                    actions.push(Action::AwaitAppointed(candidate));
                } else {
                    actions.push(Action::StepBack);
                }
            }
            // The lease would run out before leadership could begin: the host lets the next one lead.
            (Some(_), ..) if self.demotion_due(now) => {
                let until = self.setbacks.failed(now);
                self.release(None, until, actions);
            }
            (Some(_), ..) => {
                let orderly = queue.record.released || queue.record.number == 0;
                let wait = !orderly
                    && !self.settings.successor_delay.is_zero()
                    && self.delayed_for.as_ref() != Some(&queue.record);
                if wait {
                    self.state = State::Delaying {
                        until: None,
                        over: queue.record,
                    };
                    actions.push(Action::ReadMaster);
                } else {
                    self.state = State::Electing;
                    actions.push(Action::Elect { over: queue.record });
                }
            }
        }
    }

    fn announce_standby(
        &mut self,
        ahead: usize,
        leader: Option<String>,
        actions: &mut Vec<Action>,
    ) {
        if self.announced.as_ref() != Some(&(ahead, leader.clone())) {
            self.announced = Some((ahead, leader.clone()));
            actions.push(Action::AnnounceStandby { ahead, leader });
        }
    }

    pub(super) fn elected(&mut self, now: Now, term: Term, actions: &mut Vec<Action>) {
        self.announced = None;
        actions.push(Action::AnnounceElected(term.clone()));
        if self.stands_no_more() || self.demotion_due(now) {
            let until = self.setbacks.failed(now);
            self.release(Some(term), until, actions);
        } else {
            self.setbacks.elected();
            actions.push(Action::Activate(term.clone()));
            self.state = State::Leading {
                term,
                reading: false,
                again: false,
                retry_at: None,
            };
            self.read_master(actions);
        }
    }

    /// The master node was there already when this host tried to create it.
    pub(super) fn contested(&mut self, now: Now, holder: Holder, actions: &mut Vec<Action>) {
        match holder {
            Holder::Me(term) => self.elected(now, term, actions),
            Holder::MeWithoutTerm | Holder::MeWithoutPlace => {
                self.holds.master = true;
                self.release(None, AT_ONCE, actions);
            }
            Holder::Nobody => self.look(actions),
            Holder::Unowned => {
                self.state = State::Retrying {
                    at: self.setbacks.failed(now),
                }
            }
            Holder::Other(leader) => {
                // The attempt that found it there came after all others of this session.
                self.holds.master &= self.state != State::Electing;
                self.setbacks.step_done();
                self.announce_standby(0, Some(leader), actions);
                self.state = State::Waiting;
            }
        }
    }

    pub(super) fn no_room(&mut self, actions: &mut Vec<Action>) {
        // The session, or the wish to be elected, may have ended meanwhile.
        if self.state == State::Electing {
            self.full = true;
            self.release(None, AT_ONCE, actions);
        }
    }

    pub(super) fn give_way(&mut self, actions: &mut Vec<Action>) {
        if self.state == State::Electing {
            if self.holds.master {
                return self.release(None, AT_ONCE, actions);
            }
            self.state = State::Looking;
            actions.push(Action::StepBack);
        }
    }
}
