//! What has gone wrong in a row, and how long to wait before the next attempt.

use std::time::Duration;

use super::Now;
use crate::backoff::Backoff;
use crate::clock::Moment;

/// The first pause after a step failed; it doubles with every further failure.
const RETRY_INITIAL: Duration = Duration::from_millis(100);
/// The longest pause after a step failed.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often the ensemble refuses a host in the queue before the host makes way for others.
const REFUSALS_MAX: u32 = 3;
/// The first rest of a host that has made way; it doubles with every further one.
const REST_INITIAL: Duration = Duration::from_secs(5);
/// The longest rest of a host that has made way.
const REST_MAX: Duration = Duration::from_mins(2);
/// The longest rest of a host that had to let its session go.
const LEAVE_REST_MAX: Duration = Duration::from_hours(1);
/// How often a host that shuts down tries to give back what it holds. After that, the end of its session gives it back.
pub(super) const LAST_RELEASES: u32 = 8;

/// The setbacks of one host in one election.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setbacks {
    /// Steps that have failed.
    failures: Backoff,
    refusals: u32,
    /// How often this host has made way.
    rests: Backoff,
    releases_refused: u32,
    /// How often it had to let its session go.
    sessions_left: Backoff,
}

impl Default for Setbacks {
    fn default() -> Self {
        Self {
            failures: Backoff::new(RETRY_INITIAL, RETRY_MAX),
            refusals: 0,
            rests: Backoff::new(REST_INITIAL, REST_MAX),
            releases_refused: 0,
            sessions_left: Backoff::new(REST_INITIAL, LEAVE_REST_MAX),
        }
    }
}

impl Setbacks {
    /// A step has succeeded: the next failure is the first.
    pub(super) fn step_done(&mut self) {
        self.failures.reset();
    }

    /// The election has succeeded: nothing refuses this host.
    pub(super) fn elected(&mut self) {
        self.failures.reset();
        self.refusals = 0;
        self.rests.reset();
    }

    /// All is gone with the session.
    pub(super) fn session_ended(&mut self) {
        self.releases_refused = 0;
    }

    /// The host has given everything back. The count of failures goes on, because the next attempt may fail in the same way.
    pub(super) fn released(&mut self) {
        self.releases_refused = 0;
        self.sessions_left.reset();
    }

    /// A step has failed; gives the time of the next attempt.
    pub(super) fn failed(&mut self, now: Now) -> Moment {
        now.time + self.failures.step()
    }

    /// The ensemble has refused a request of a host in the queue. Gives the rest that is due once the ensemble has refused
    /// often enough; from then on each refusal gives one, until the host is elected.
    pub(super) fn refused(&mut self) -> Option<Duration> {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals < REFUSALS_MAX {
            return None;
        }
        Some(self.rests.step())
    }

    /// The ensemble has refused a release of this host. Once it has refused often enough, gives the rest that is due after the
    /// host has let its session go. The end of a session takes all tasks of the host with it, so the rest grows until a
    /// release succeeds.
    pub(super) fn release_refused(&mut self) -> Option<Duration> {
        self.releases_refused = self.releases_refused.saturating_add(1);
        if self.releases_refused < REFUSALS_MAX {
            return None;
        }
        Some(self.sessions_left.step())
    }

    /// Whether a host that shuts down has tried often enough.
    pub(super) fn enough_for_a_shutdown(&self) -> bool {
        self.failures.steps() >= LAST_RELEASES
    }
}
