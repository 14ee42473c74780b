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

mod candidacy;
mod due;
mod failing;
mod leading;
mod leaving;
mod setbacks;
mod state;
mod types;

pub use types::{
    Action, Appointed, Holder, Input, Now, Queue, RELEASE_WRITES, Record, Settings, Stage,
};

use crate::clock::Moment;
use crate::term::{Demotion, Term};

use setbacks::Setbacks;
use state::{Ending, Holdings, State};

/// A moment that has always passed.
const AT_ONCE: Moment = Moment::from_nanos(0);

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
}

#[cfg(test)]
mod tests;
