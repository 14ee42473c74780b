//! What has gone wrong in a row, and how long to wait before the next attempt.

use std::time::Duration;

use super::Now;
use crate::clock::Moment;

/// The first pause after a step failed; it doubles with every further failure.
const RETRY_INITIAL: Duration = Duration::from_millis(100);
/// The longest pause after a step failed.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often the ensemble refuses a host in the queue before that makes way for others.
const REFUSALS_MAX: u32 = 3;
/// The first rest of a host that has made way; it doubles with every further one.
const REST_INITIAL: Duration = Duration::from_secs(5);
/// The longest rest of a host that has made way.
const REST_MAX: Duration = Duration::from_mins(2);
/// The longest rest of a host that had to let its session go.
const LEAVE_REST_MAX: Duration = Duration::from_hours(1);
/// How often a host that shuts down tries to give back what it holds. What it cannot, the end of its session does.
pub(super) const LAST_RELEASES: u32 = 8;

/// The setbacks of one host in one election.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Setbacks {
    failures: u32,
    refusals: u32,
    rests: u32,
    releases_refused: u32,
    sessions_left: u32,
}

impl Setbacks {
    /// A step has succeeded: the next failure is the first.
    pub(super) fn step_done(&mut self) {
        self.failures = 0;
    }

    /// The election has succeeded: nothing refuses this host.
    pub(super) fn elected(&mut self) {
        (self.failures, self.refusals, self.rests) = (0, 0, 0);
    }

    /// All is gone with the session.
    pub(super) fn session_ended(&mut self) {
        self.releases_refused = 0;
    }

    /// All is given back. The failures are not over: what follows may be the same again.
    pub(super) fn released(&mut self) {
        (self.releases_refused, self.sessions_left) = (0, 0);
    }

    /// A step has failed; gives the time of the next attempt.
    pub(super) fn failed(&mut self, now: Now) -> Moment {
        let pause = doubled(RETRY_INITIAL, self.failures, RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        now.time + pause
    }

    /// The ensemble has refused what a host in the queue asks for; gives the rest that is due if it has often enough. It
    /// has, from then on, until the host is elected.
    pub(super) fn refused(&mut self) -> Option<Duration> {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals < REFUSALS_MAX {
            return None;
        }
        let rest = doubled(REST_INITIAL, self.rests, REST_MAX);
        self.rests = self.rests.saturating_add(1);
        Some(rest)
    }

    /// The ensemble has refused to take back what this host holds; gives the rest that is due, once the session has been let
    /// go, if it has often enough. Each session that is lost this way takes all tasks of the host with it, so the rest grows
    /// until a release succeeds.
    pub(super) fn release_refused(&mut self) -> Option<Duration> {
        self.releases_refused = self.releases_refused.saturating_add(1);
        if self.releases_refused < REFUSALS_MAX {
            return None;
        }
        let rest = doubled(REST_INITIAL, self.sessions_left, LEAVE_REST_MAX);
        self.sessions_left = self.sessions_left.saturating_add(1);
        Some(rest)
    }

    /// Whether a host that shuts down has tried often enough.
    pub(super) fn enough_for_a_shutdown(&self) -> bool {
        self.failures >= LAST_RELEASES
    }
}

fn doubled(initial: Duration, times: u32, max: Duration) -> Duration {
    initial.saturating_mul(1 << times.min(16)).min(max)
}
