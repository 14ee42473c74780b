//! The election of one task as a pure state machine: no IO, no clock, no async.
//!
//! ```text
//!            session            looked: behind others
//!   Away ------------> Looking ----------------------> Waiting --+
//!    ^                  ^   |  looked: at the head        ^      | something changed (right behind the leader:
//!    |                  |   v                             |      | straight to Electing, see `foreseen`)
//!    |                  | Electing -- held by another ----+      |
//!    |                  +----------------------------------------+
//!    |                      | elected
//!    | released             v          deadline near, node lost, resign, shutdown
//!  Releasing <--------- Leading ------------------------------------> Stopping
//!    ^                                                                    | stopped
//!    +--------------------------------------------------------------------+
//! ```
//!
//! Inputs tell what has happened, actions what is to be done. At most one request to the ensemble is under way at a
//! time; its answer is an input. A `Changed` input is only a hint, after which the host reads the nodes again. Only a
//! shutdown or a withdrawal ends the machine. A host that is drained stays in `Away` until it is drained no more.

mod setbacks;
mod state;
mod types;

pub use types::{
    Action, Appointed, Holder, Input, Now, Queue, RELEASE_WRITES, Record, Settings, Stage,
};

use std::time::Duration;

use crate::clock::Moment;
use crate::term::{Demotion, Term};

use setbacks::Setbacks;
use state::{Ending, Holdings, State};

/// A moment that has always passed.
const AT_ONCE: Moment = Moment::from_nanos(0);

/// How long the head of the queue waits for the host that was appointed before it wakes that host once more. A host that reads
/// the queue at that moment sets its watch later, and does not hear of it.
const WAKE_AGAIN: Duration = Duration::from_secs(1);

/// The election of one task on one host.
#[derive(Clone, Debug)]
pub struct Election {
    settings: Settings,
    state: State,
    session: bool,
    /// This host stands no more. It gives back what it holds, and then the machine ends.
    ending: Option<Ending>,
    /// An operator has drained this host: until that is over it does not stand.
    drained: bool,
    /// This host leads as many tasks as it may: until that is over it does not stand.
    full: bool,
    setbacks: Setbacks,
    announced: Option<(usize, Option<String>)>,
    /// The record of the term whose successor delay this session has waited out. The number of the term is not enough: numbers
    /// begin anew when somebody deletes the record. The machine forgets this with the session, because the session itself may
    /// have held that term, by an election that was never answered; then the term ends only with the session.
    delayed_for: Option<Record>,
    holds: Holdings,
    /// The record that this host expects to find: it stands right behind the leader, and foresees the leader's release. An
    /// election over the foreseen record saves a read. The ensemble refuses the election if anything else has happened.
    foreseen: Option<Record>,
    /// When this host, which waits, looks again although nothing has changed.
    look_at: Option<Moment>,
}

impl Election {
    /// A machine that waits for its first session.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Away { until: AT_ONCE },
            session: false,
            ending: None,
            drained: false,
            full: false,
            setbacks: Setbacks::default(),
            announced: None,
            delayed_for: None,
            holds: Holdings::default(),
            foreseen: None,
            look_at: None,
        }
    }

    /// When the machine wants a [`Input::Timer`], given the present deadline of the lease.
    pub fn wake_at(&self, deadline: Moment) -> Option<Moment> {
        match &self.state {
            State::Away { until } if self.session && !self.keeps_away() => Some(*until),
            State::Delaying { until, .. } => *until,
            State::Retrying { at } => Some(*at),
            State::Waiting => self.look_at,
            State::Leading { retry_at, .. } => {
                let demote_at = deadline - self.settings.demote_timeout;
                Some(retry_at.map_or(demote_at, |retry_at| retry_at.min(demote_at)))
            }
            State::Releasing { retry_at, .. } if self.shuts_down() => {
                Some(retry_at.map_or(deadline, |retry_at| retry_at.min(deadline)))
            }
            State::Looking | State::Electing if self.shuts_down() => Some(deadline),
            State::Releasing { retry_at, .. } => *retry_at,
            _ => None,
        }
    }

    /// The term in which the plugin may be running, if any.
    pub fn active_term(&self) -> Option<&Term> {
        match &self.state {
            State::Leading { term, .. } | State::Stopping { term, .. } => Some(term),
            _ => None,
        }
    }

    /// Whether this host may hold the master node without a term that it knows of.
    pub fn may_hold_master(&self) -> bool {
        self.holds.master
    }

    /// Where this host is in the election.
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Away { .. } if self.full => Stage::Full,
            State::Away { .. } => Stage::Away,
            State::Looking | State::Waiting | State::Retrying { .. } => Stage::Standby,
            State::Delaying { .. } | State::Electing => Stage::Electing,
            State::Leading { .. } => Stage::Leading,
            State::Stopping { .. } => Stage::Stopping,
            State::Releasing { .. } => Stage::Releasing,
            State::Finished => Stage::Finished,
        }
    }

    /// Whether this host is drained, and has nothing left in the task: it neither stands nor leads, and no plugin of it runs.
    pub fn is_drained(&self) -> bool {
        self.drained && matches!(self.state, State::Away { .. } | State::Finished)
    }

    /// Takes in what has happened and says what is to be done, in order.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::SessionStarted => self.session = true,
            Input::SessionEnded => self.session_ended(&mut actions),
            Input::Renewed(settings) => self.renewed(settings, &mut actions),
            Input::Retry => self.end_rest(),
            Input::Drain { keep } => self.drain(keep, &mut actions),
            Input::Undrain => self.drained = false,
            Input::Full => self.no_room(&mut actions),
            Input::Room => self.full = false,
            Input::Yield => self.give_way(&mut actions),
            Input::Withdraw => self.leave(Ending::Withdrawal, &mut actions),
            Input::Shutdown => self.leave(Ending::Shutdown, &mut actions),
            Input::Resign { stay_out } => {
                self.stop(Demotion::Resigned, now.time + stay_out, &mut actions);
            }
            Input::Stopped => self.stopped(&mut actions),
            Input::Changed => self.changed(now, &mut actions),
            Input::Reconnected => self.read_again(&mut actions),
            Input::Failed => self.failed(now),
            Input::Refused => self.refused(now, &mut actions),
            Input::Timer => {}
            answer => self.answered(now, answer, &mut actions),
        }
        self.proceed(now, &mut actions);
        actions
    }

    fn session_ended(&mut self, actions: &mut Vec<Action>) {
        self.session = false;
        self.holds = Holdings::default();
        self.foreseen = None;
        self.delayed_for = None;
        self.announced = None;
        self.setbacks.session_ended();
        match &self.state {
            State::Leading { .. } => {
                self.stop(Demotion::LeaseExpiring, AT_ONCE, actions);
                actions.push(Action::Revoke);
            }
            State::Stopping { .. } => actions.push(Action::Revoke),
            State::Away { .. } | State::Finished => {}
            State::Releasing { until, .. } => self.state = State::Away { until: *until },
            _ => self.state = State::Away { until: AT_ONCE },
        }
    }

    fn renewed(&mut self, settings: Settings, actions: &mut Vec<Action>) {
        self.settings = settings;
        match &mut self.state {
            State::Leading { .. } => self.stop(Demotion::Resigned, AT_ONCE, actions),
            State::Away { until }
            | State::Stopping { until, .. }
            | State::Releasing { until, .. } => *until = AT_ONCE,
            _ => {}
        }
    }

    fn end_rest(&mut self) {
        if let State::Away { until } = &mut self.state {
            *until = AT_ONCE;
        }
    }

    fn leave(&mut self, ending: Ending, actions: &mut Vec<Action>) {
        self.ending = self.ending.max(Some(ending));
        self.stop(Demotion::Shutdown, AT_ONCE, actions);
        self.leave_queue(actions);
    }

    fn drain(&mut self, keep: bool, actions: &mut Vec<Action>) {
        self.drained = true;
        if !keep {
            self.stop(Demotion::Resigned, AT_ONCE, actions);
        }
        self.leave_queue(actions);
    }

    fn no_room(&mut self, actions: &mut Vec<Action>) {
        // The session, or the wish to be elected, may have ended meanwhile.
        if self.state == State::Electing {
            self.full = true;
            self.release(None, AT_ONCE, actions);
        }
    }

    fn give_way(&mut self, actions: &mut Vec<Action>) {
        if self.state == State::Electing {
            if self.holds.master {
                return self.release(None, AT_ONCE, actions);
            }
            self.state = State::Looking;
            actions.push(Action::StepBack);
        }
    }

    /// Whether this host does not stand, for as long as somebody says so.
    fn keeps_away(&self) -> bool {
        self.drained || self.full
    }

    fn leave_queue(&mut self, actions: &mut Vec<Action>) {
        match self.state {
            State::Waiting | State::Delaying { .. } | State::Retrying { .. } => {
                self.release(None, AT_ONCE, actions);
            }
            // The host waits for the request under way: it may bring leadership, which the host has to give back.
            _ => {}
        }
    }

    /// Whether the session ends as well, so that the machine does not wait beyond the lease for what is to be given back.
    pub fn shuts_down(&self) -> bool {
        self.ending == Some(Ending::Shutdown)
    }

    /// Whether this host is to stand no more, for now or for good: what it asked for before it gives back.
    fn stands_no_more(&self) -> bool {
        self.ending.is_some() || self.drained
    }

    /// Begins to stop the plugin, if it runs.
    fn stop(&mut self, reason: Demotion, until: Moment, actions: &mut Vec<Action>) {
        if let State::Leading { term, .. } = &self.state {
            self.state = State::Stopping {
                term: term.clone(),
                until,
            };
            actions.push(Action::Demote(reason));
        }
    }

    fn stopped(&mut self, actions: &mut Vec<Action>) {
        let (term, until) = match &self.state {
            State::Stopping { term, until } => (term.clone(), *until),
            // The plugin ended without being asked to.
            State::Leading { term, .. } => (term.clone(), AT_ONCE),
            _ => return,
        };
        self.release(Some(term), until, actions);
    }

    fn release(&mut self, term: Option<Term>, until: Moment, actions: &mut Vec<Action>) {
        if self.session {
            self.state = State::Releasing {
                term: term.clone(),
                until,
                retry_at: None,
            };
            actions.push(Action::Release { term });
        } else {
            self.state = State::Away { until };
        }
    }

    fn changed(&mut self, now: Now, actions: &mut Vec<Action>) {
        match self.foreseen.take() {
            Some(over) if self.state == State::Waiting && !self.demotion_due(now) => {
                self.state = State::Electing;
                actions.push(Action::Elect { over });
            }
            _ => self.read_again(actions),
        }
    }

    fn read_again(&mut self, actions: &mut Vec<Action>) {
        match &mut self.state {
            State::Waiting => self.look(actions),
            State::Leading {
                reading: true,
                again,
                ..
            } => *again = true,
            State::Leading { .. } => self.read_master(actions),
            _ => {}
        }
    }

    fn look(&mut self, actions: &mut Vec<Action>) {
        (self.state, self.foreseen, self.look_at) = (State::Looking, None, None);
        actions.push(Action::Look);
    }

    fn read_master(&mut self, actions: &mut Vec<Action>) {
        if let State::Leading {
            reading,
            again,
            retry_at,
            ..
        } = &mut self.state
        {
            (*reading, *again, *retry_at) = (true, false, None);
            actions.push(Action::ReadMaster);
        }
    }

    /// A request failed: whether it had an effect is not known.
    fn failed(&mut self, now: Now) {
        self.holds.master |= self.state == State::Electing;
        self.retry(now);
    }

    fn retry(&mut self, now: Now) {
        let at = self.setbacks.failed(now);
        match &mut self.state {
            State::Looking | State::Electing | State::Waiting | State::Delaying { .. } => {
                self.state = State::Retrying { at };
            }
            State::Leading {
                reading, retry_at, ..
            } => (*reading, *retry_at) = (false, Some(at)),
            State::Releasing { retry_at, .. } => *retry_at = Some(at),
            _ => {}
        }
    }

    /// The ensemble refused a request, did nothing, and will refuse it again. A host that is held up in this way must not hold
    /// up others.
    fn refused(&mut self, now: Now, actions: &mut Vec<Action>) {
        let shuts_down = self.shuts_down();
        match self.state {
            State::Looking | State::Electing | State::Waiting | State::Delaying { .. }
                if self.holds.place =>
            {
                if let Some(rest) = self.setbacks.refused() {
                    actions.push(Action::AnnounceRest(rest));
                    return self.release(None, now.time + rest, actions);
                }
            }
            State::Releasing { ref mut until, .. } if !shuts_down => {
                if let Some(rest) = self.setbacks.release_refused() {
                    *until = (*until).max(now.time + rest);
                    // The host asks for nothing more: the end of the session gives everything back.
                    return actions.push(Action::LeaveSession);
                }
            }
            _ => {}
        }
        self.retry(now);
    }

    fn answered(&mut self, now: Now, answer: Input, actions: &mut Vec<Action>) {
        match (&self.state, answer) {
            (State::Looking, Input::Looked(_) | Input::Joined | Input::Gone)
                if self.stands_no_more() =>
            {
                self.release(None, AT_ONCE, actions);
            }
            (State::Looking, Input::Looked(queue)) => self.looked(now, queue, actions),
            (State::Looking, Input::Joined) => {
                self.holds.place = true;
                self.look(actions);
            }
            (State::Looking, Input::Gone) | (State::Electing, Input::Outdated) => {
                self.look(actions);
            }
            (State::Looking | State::Waiting, Input::Awaiting) => {
                self.setbacks.step_done();
                self.state = State::Waiting;
            }
            (State::Electing, Input::Elected(term)) => self.elected(now, term, actions),
            (State::Delaying { until: None, over }, Input::MasterSeen(Holder::Nobody)) => {
                let until = Some(now.time + self.settings.successor_delay);
                self.state = State::Delaying {
                    until,
                    over: over.clone(),
                };
            }
            (State::Electing | State::Delaying { until: None, .. }, Input::MasterSeen(holder)) => {
                self.contested(now, holder, actions);
            }
            (State::Leading { .. }, Input::MasterSeen(holder)) => self.inspected(&holder, actions),
            (State::Releasing { term, until, .. }, Input::Released) => {
                self.holds = Holdings::default();
                self.setbacks.released();
                if let Some(term) = term {
                    actions.push(Action::AnnounceReleased(term.clone()));
                }
                self.state = State::Away { until: *until };
            }
            // This answers a request of a session that has ended.
            _ => {}
        }
    }

    fn looked(&mut self, now: Now, queue: Queue, actions: &mut Vec<Action>) {
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

    fn elected(&mut self, now: Now, term: Term, actions: &mut Vec<Action>) {
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
    fn contested(&mut self, now: Now, holder: Holder, actions: &mut Vec<Action>) {
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

    /// A leading host has read the nodes that leadership needs. If one of them is missing, leadership ends: with the candidate
    /// gone, the next host would lead as soon as somebody deleted the master node too.
    fn inspected(&mut self, holder: &Holder, actions: &mut Vec<Action>) {
        let State::Leading {
            term,
            reading,
            again,
            ..
        } = &mut self.state
        else {
            return;
        };
        *reading = false;
        match holder {
            Holder::Me(held) if held.fencing_token == term.fencing_token => {
                self.setbacks.step_done();
                if *again {
                    self.read_master(actions);
                }
            }
            Holder::Other(_) => self.stop(Demotion::Replaced, AT_ONCE, actions),
            _ => self.stop(Demotion::NodeLost, AT_ONCE, actions),
        }
    }

    fn demotion_due(&self, now: Now) -> bool {
        now.time >= now.deadline - self.settings.demote_timeout
    }

    /// Does what has become possible or due, whatever the input was.
    fn proceed(&mut self, now: Now, actions: &mut Vec<Action>) {
        match &self.state {
            State::Away { .. } if self.ending.is_some() => {
                self.state = State::Finished;
                actions.push(Action::Finish);
            }
            State::Away { until } if self.session && !self.keeps_away() && now.time >= *until => {
                self.look(actions);
            }
            State::Delaying {
                until: Some(until),
                over,
            } if now.time >= *until => {
                self.delayed_for = Some(over.clone());
                actions.push(Action::Elect { over: over.clone() });
                self.state = State::Electing;
            }
            State::Retrying { .. } | State::Waiting if self.stands_no_more() => {
                self.release(None, AT_ONCE, actions);
            }
            State::Retrying { at } if now.time >= *at => self.look(actions),
            State::Waiting if self.look_at.is_some_and(|at| now.time >= at) => self.look(actions),
            State::Leading { .. } if self.demotion_due(now) => {
                self.stop(Demotion::LeaseExpiring, AT_ONCE, actions);
            }
            State::Leading {
                retry_at: Some(at), ..
            } if now.time >= *at => self.read_master(actions),
            // Past the deadline the ensemble ends the session by itself: waiting longer helps nobody.
            State::Looking | State::Electing | State::Releasing { .. }
                if self.shuts_down() && now.time >= now.deadline =>
            {
                self.state = State::Finished;
                actions.push(Action::Finish);
            }
            State::Releasing {
                retry_at: Some(_), ..
            } if self.shuts_down() && self.setbacks.enough_for_a_shutdown() => {
                self.state = State::Finished;
                actions.push(Action::Finish);
            }
            State::Releasing {
                term,
                retry_at: Some(at),
                until,
            } if now.time >= *at => {
                let (term, until) = (term.clone(), *until);
                self.release(term, until, actions);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
