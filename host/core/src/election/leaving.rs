//! Why a host does not stand, and how it gives back what it holds.

use crate::clock::Moment;
use crate::term::{Demotion, Term};

use super::state::{Ending, State};
use super::{AT_ONCE, Action, Election, Settings};

impl Election {
    /// Whether this host does not stand, for as long as somebody says so.
    pub(super) fn keeps_away(&self) -> bool {
        self.drained || self.full
    }

    /// Whether this host is to stand no more, for now or for good: what it asked for before it gives back.
    pub(super) fn stands_no_more(&self) -> bool {
        self.ending.is_some() || self.drained
    }

    /// Whether the session ends as well, so that the machine does not wait beyond the lease for what is to be given back.
    pub fn shuts_down(&self) -> bool {
        self.ending == Some(Ending::Shutdown)
    }

    pub(super) fn drain(&mut self, keep: bool, actions: &mut Vec<Action>) {
        self.drained = true;
        if !keep {
            self.stop(Demotion::Resigned, AT_ONCE, actions);
        }
        self.leave_queue(actions);
    }

    pub(super) fn leave(&mut self, ending: Ending, actions: &mut Vec<Action>) {
        self.ending = self.ending.max(Some(ending));
        self.stop(Demotion::Shutdown, AT_ONCE, actions);
        self.leave_queue(actions);
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

    pub(super) fn end_rest(&mut self) {
        if let State::Away { until } = &mut self.state {
            *until = AT_ONCE;
        }
    }

    pub(super) fn renewed(&mut self, settings: Settings, actions: &mut Vec<Action>) {
        self.settings = settings;
        match &mut self.state {
            State::Leading { .. } => self.stop(Demotion::Resigned, AT_ONCE, actions),
            State::Away { until }
            | State::Stopping { until, .. }
            | State::Releasing { until, .. } => *until = AT_ONCE,
            _ => {}
        }
    }

    pub(super) fn release(&mut self, term: Option<Term>, until: Moment, actions: &mut Vec<Action>) {
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
}
