//! What a host does when a request fails, or is refused.

use super::state::State;
use super::{Action, Election, Now};

impl Election {
    /// A request failed: whether it had an effect is not known.
    pub(super) fn failed(&mut self, now: Now) {
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
    pub(super) fn refused(&mut self, now: Now, actions: &mut Vec<Action>) {
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
}
