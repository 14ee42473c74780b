//! When the machine wants to be woken, and what it does then.

use crate::clock::Moment;
use crate::term::Demotion;

use super::state::State;
use super::{AT_ONCE, Action, Election, Now};

impl Election {
    /// When the machine wants a [`Input::Timer`](super::Input::Timer), given the present deadline of the lease.
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

    pub(super) fn demotion_due(&self, now: Now) -> bool {
        now.time >= now.deadline - self.settings.demote_timeout
    }

    /// Does what has become possible or due, whatever the input was.
    pub(super) fn proceed(&mut self, now: Now, actions: &mut Vec<Action>) {
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
