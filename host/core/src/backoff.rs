//! Pauses that double up to a bound: pure, no clock.

use std::time::Duration;

/// The pauses between attempts that fail in a row: each is twice as long as the one before, up to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    steps: u32,
}

impl Backoff {
    /// Pauses that begin with `first`; none is longer than `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            steps: 0,
        }
    }

    /// The pause that is due after one more failure.
    pub fn step(&mut self) -> Duration {
        let pause = self.nth(self.steps);
        self.steps = self.steps.saturating_add(1);
        pause
    }

    /// An attempt has succeeded: the next pause is the first one again.
    pub fn reset(&mut self) {
        self.steps = 0;
    }

    /// How many pauses were due since the last success.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The pause that comes after that many others, whatever was due so far.
    pub fn nth(&self, others: u32) -> Duration {
        self.first
            .saturating_mul(2_u32.saturating_pow(others))
            .min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_until_an_attempt_succeeds() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(2), seconds(9));
        let pauses: Vec<_> = (0..4).map(|_| backoff.step()).collect();
        assert_eq!(pauses, [seconds(2), seconds(4), seconds(8), seconds(9)]);
        assert_eq!((backoff.steps(), backoff.nth(1)), (4, seconds(4)));
        backoff.reset();
        assert_eq!((backoff.steps(), backoff.step()), (0, seconds(2)));
    }

    #[test]
    fn pauses_stay_bounded_however_many_there_were() {
        let longest = Duration::from_secs(1);
        let mut backoff = Backoff {
            steps: u32::MAX,
            ..Backoff::new(Duration::from_nanos(1), longest)
        };
        assert_eq!((backoff.step(), backoff.step()), (longest, longest));
        assert_eq!(backoff.steps(), u32::MAX);
        let never_more = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!(never_more.nth(7), Duration::MAX);
        assert_eq!(Backoff::new(2 * longest, longest).nth(0), longest);
    }
}
