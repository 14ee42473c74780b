//! When a plugin is run again: pure, no IO, no clock.
//!
//! Within a term, a plugin that fails or completes is run again after a pause. A host whose plugin fails for good gives
//! the term up and stays out of the queue for a while, the longer the more terms of the task have failed in a row: so hosts
//! that take turns at a plugin that fails everywhere make no busy loop.

use std::time::Duration;

use crate::backoff::Backoff;

use crate::cause::Cause;

/// The longest time that a host stays out of the queue, unless its longest pause is longer.
const COOL_DOWN_MAX: Duration = Duration::from_hours(1);

/// When a plugin that failed is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// How long to wait after the first failure; doubled with every further one.
    pub initial: Duration,
    /// How long to wait at most.
    pub max: Duration,
    /// A plugin that ran for so long has recovered: its failures are counted from none again.
    pub healthy_after: Duration,
    /// After so many restarts the next failure makes the host resign.
    pub max_restarts: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_mins(1),
            healthy_after: Duration::from_mins(1),
            max_restarts: 5,
        }
    }
}

impl RestartPolicy {
    /// How long a host stays out of the queue when that many terms in a row have failed, its own included: the longest
    /// pause, doubled with every further term, up to an hour.
    pub fn cool_down(&self, failed_terms: u32) -> Duration {
        Backoff::new(self.max, COOL_DOWN_MAX.max(self.max)).nth(failed_terms.saturating_sub(1))
    }
}

/// A plugin has failed for good on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFailed {
    /// What went wrong the last time.
    pub cause: Cause,
    /// How often it was restarted before.
    pub restarts: u32,
}

/// The runs of one term.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    policy: RestartPolicy,
    /// Steps with every run that was too short to be healthy, and with the first after one that was.
    pauses: Backoff,
    /// How many in a row have failed and were followed by a restart.
    failures: u32,
}

impl Runs {
    /// No run so far.
    pub fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            pauses: Backoff::new(policy.initial, policy.max),
            failures: 0,
        }
    }

    /// A run has failed after so long: the pause before the next one, or `None` when there have been enough.
    pub fn failed(&mut self, ran: Duration) -> Option<Duration> {
        self.end(ran);
        if self.failures >= self.policy.max_restarts {
            return None;
        }
        self.failures += 1;
        Some(self.pauses.step())
    }

    /// A run has completed after so long: the pause before the next one. It has done its work, so failures before it are
    /// forgotten; a plugin that completes at once is still run with growing pauses.
    pub fn completed(&mut self, ran: Duration) -> Duration {
        self.end(ran);
        self.failures = 0;
        self.pauses.step()
    }

    /// How many failures in a row were followed by a restart.
    pub fn restarts(&self) -> u32 {
        self.failures
    }

    fn end(&mut self, ran: Duration) {
        if ran >= self.policy.healthy_after {
            self.pauses.reset();
            self.failures = 0;
        }
    }
}

/// What a host does when `on_elected` has returned without an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnComplete {
    /// It holds leadership, idle, until it is demoted.
    #[default]
    Hold,
    /// It asks to be demoted.
    Resign,
    /// It runs `on_elected` again, in a fresh store, after a pause as after a failure.
    Restart,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RestartPolicy {
        RestartPolicy {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(5),
            ..RestartPolicy::default()
        }
    }

    fn seconds(pauses: impl IntoIterator<Item = Duration>) -> Vec<u64> {
        pauses.into_iter().map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn pauses_double_up_to_their_maximum_and_end_after_so_many_restarts() {
        let mut runs = Runs::new(policy());
        assert_eq!(
            seconds((0..).map_while(|_| runs.failed(Duration::ZERO))),
            [1, 2, 4, 5, 5]
        );
        assert_eq!(runs.restarts(), 5);
        let mut endless = Runs::new(RestartPolicy {
            max_restarts: 1,
            ..policy()
        });
        for _ in 0..1_000 {
            endless.completed(Duration::ZERO);
        }
        assert_eq!(endless.failed(Duration::ZERO), Some(policy().max));
    }

    #[test]
    fn a_healthy_run_is_followed_by_a_short_pause_however_it_ended() {
        let mut runs = Runs::new(RestartPolicy {
            max_restarts: 1,
            ..policy()
        });
        for _ in 0..10 {
            assert_eq!(runs.failed(policy().healthy_after), Some(policy().initial));
        }
        assert_eq!(runs.failed(Duration::ZERO), None);
        assert_eq!(runs.completed(policy().healthy_after), policy().initial);
    }

    #[test]
    fn completions_are_no_failures_but_no_busy_loop_either() {
        let mut runs = Runs::new(RestartPolicy {
            max_restarts: 1,
            ..policy()
        });
        assert_eq!(
            seconds((0..5).map(|_| runs.completed(Duration::ZERO))),
            [1, 2, 4, 5, 5]
        );
        for _ in 0..5 {
            assert_eq!(runs.failed(Duration::ZERO), Some(policy().max));
            assert_eq!(runs.completed(Duration::ZERO), policy().max);
        }
    }

    #[test]
    fn the_cool_down_doubles_with_every_failed_term_up_to_an_hour() {
        let minutes: Vec<_> = (0..9)
            .map(|terms| RestartPolicy::default().cool_down(terms).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(RestartPolicy::default().cool_down(u32::MAX), COOL_DOWN_MAX);
        let patient = RestartPolicy {
            max: 2 * COOL_DOWN_MAX,
            ..RestartPolicy::default()
        };
        assert_eq!(patient.cool_down(1), patient.max);
        assert_eq!(patient.cool_down(7), patient.max);
    }
}
