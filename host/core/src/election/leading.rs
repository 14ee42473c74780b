//! A term, from its first look at the master node until the plugin has stopped.

use crate::clock::Moment;
use crate::term::Demotion;

use super::state::State;
use super::{AT_ONCE, Action, Election, Holder};

impl Election {
    pub(super) fn read_again(&mut self, actions: &mut Vec<Action>) {
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

    pub(super) fn read_master(&mut self, actions: &mut Vec<Action>) {
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

    /// A leading host has read the nodes that leadership needs. If one of them is missing, leadership ends: with the candidate
    /// gone, the next host would lead as soon as somebody deleted the master node too.
    pub(super) fn inspected(&mut self, holder: &Holder, actions: &mut Vec<Action>) {
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

    /// Begins to stop the plugin, if it runs.
    pub(super) fn stop(&mut self, reason: Demotion, until: Moment, actions: &mut Vec<Action>) {
        if let State::Leading { term, .. } = &self.state {
            self.state = State::Stopping {
                term: term.clone(),
                until,
            };
            actions.push(Action::Demote(reason));
        }
    }

    pub(super) fn stopped(&mut self, actions: &mut Vec<Action>) {
        let (term, until) = match &self.state {
            State::Stopping { term, until } => (term.clone(), *until),
            // The plugin ended without being asked to.
            State::Leading { term, .. } => (term.clone(), AT_ONCE),
            _ => return,
        };
        self.release(Some(term), until, actions);
    }
}
