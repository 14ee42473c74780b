//! How long nobody led a task, as far as one host knows: pure, time is a parameter.

use std::time::Duration;

use crate::clock::Moment;

/// Adds up the time in which a host knew that nobody led a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaderless {
    total: Duration,
    since: Option<Moment>,
}

impl Leaderless {
    /// The host knows from now on whether somebody leads; what it does not know counts as that somebody does.
    pub fn know(&mut self, is_led: bool, now: Moment) {
        match (is_led, self.since) {
            (true, Some(since)) => {
                self.total += now.saturating_since(since);
                self.since = None;
            }
            (false, None) => self.since = Some(now),
            (true, None) | (false, Some(_)) => {}
        }
    }

    /// How long nobody has led, all in all.
    pub fn total(&self, now: Moment) -> Duration {
        let running = self.since.map(|since| now.saturating_since(since));
        self.total + running.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_when_nobody_is_known_to_lead_until_somebody_is() {
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let mut leaderless = Leaderless::default();
        leaderless.know(true, at(5));
        assert_eq!(leaderless.total(at(10)), Duration::ZERO);
        leaderless.know(false, at(10));
        leaderless.know(false, at(12));
        assert_eq!(leaderless.total(at(13)), Duration::from_secs(3));
        leaderless.know(true, at(14));
        leaderless.know(true, at(20));
        assert_eq!(leaderless.total(at(30)), Duration::from_secs(4));
        leaderless.know(false, at(30));
        assert_eq!(leaderless.total(at(31)), Duration::from_secs(5));
    }
}
