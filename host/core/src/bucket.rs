//! How much of something may pass in the long run, and at once: pure arithmetic.

use std::time::Duration;

use crate::clock::Moment;

/// A bucket of tokens that fills by itself.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_second: u64,
    /// How long it takes to earn one token.
    interval: Duration,
    /// How long it takes to fill it when it is empty.
    size: Duration,
    /// When it is full if nothing more is taken.
    full_at: Moment,
}

impl Bucket {
    /// A full bucket of `size` tokens that earns `per_second`; one at least of each.
    pub fn new(per_second: u64, size: u64) -> Self {
        let per_second = per_second.max(1);
        let (interval, size) = (time(1, per_second), time(size.max(1), per_second));
        Self {
            per_second,
            interval,
            size,
            full_at: Moment::default(),
        }
    }

    /// Says whether a token is there.
    pub fn has_one(&self, now: Moment) -> bool {
        self.full_at
            .saturating_since(now)
            .saturating_add(self.interval)
            <= self.size
    }

    /// Takes so many tokens. If they are not there the bucket owes them, and has none until it has earned them.
    pub fn take(&mut self, tokens: u64, now: Moment) {
        self.full_at = self.full_at.max(now) + time(tokens, self.per_second);
    }
}

/// How long it takes to earn so many tokens.
fn time(tokens: u64, per_second: u64) -> Duration {
    let nanos = u128::from(tokens) * 1_000_000_000 / u128::from(per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1000;
    const INTERVAL: Duration = Duration::from_millis(5);

    /// Takes single tokens for as long as there are some.
    fn emptied(bucket: &mut Bucket, now: Moment) -> u64 {
        let mut taken = 0;
        while bucket.has_one(now) {
            bucket.take(1, now);
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_bucket_is_full_at_first_and_earns_what_it_is_said_to() {
        let start = Moment::from_nanos(1);
        let mut bucket = Bucket::new(200, SIZE);
        assert_eq!(emptied(&mut bucket, start), SIZE);
        assert_eq!(emptied(&mut bucket, start + INTERVAL), 1);
        assert_eq!(emptied(&mut bucket, start + 4 * INTERVAL), 3);
    }

    #[test]
    fn a_rest_fills_it_and_no_more() {
        let mut bucket = Bucket::new(200, SIZE);
        let later = Moment::from_nanos(u64::MAX / 2);
        bucket.take(3 * SIZE, Moment::from_nanos(1));
        assert_eq!(emptied(&mut bucket, later), SIZE);
    }

    #[test]
    fn what_it_owes_it_earns_first() {
        let start = Moment::from_nanos(1);
        let mut bucket = Bucket::new(200, SIZE);
        bucket.take(SIZE + 10, start);
        assert!(!bucket.has_one(start + 10 * INTERVAL));
        assert!(bucket.has_one(start + 11 * INTERVAL));
    }

    #[test]
    fn rates_that_do_not_divide_a_second_are_kept() {
        for per_second in [3, 7, 999_999_937] {
            let mut bucket = Bucket::new(per_second, 100);
            assert!(
                emptied(&mut bucket, Moment::from_nanos(1)) >= 100,
                "{per_second}"
            );
        }
    }
}
