//! Counts durations by how long they are. No lock and no allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts durations in `N` buckets, and those beyond the last.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// In microseconds, in ascending order.
    bounds: [u64; N],
    buckets: [AtomicU64; N],
    beyond: AtomicU64,
    /// In microseconds, which last for 100,000 years of durations.
    sum: AtomicU64,
}

/// What a histogram has counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The upper bound of each bucket in seconds, and how many durations are no longer than it.
    pub buckets: Vec<(f64, u64)>,
    /// How many there are.
    pub count: u64,
    /// How long they are together, in seconds.
    pub sum: f64,
}

impl<const N: usize> Histogram<N> {
    /// A histogram with these upper bounds of its buckets, in microseconds and in ascending order.
    pub const fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            buckets: [const { AtomicU64::new(0) }; N],
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = self.bounds.iter().position(|bound| micros <= *bound);
        let bucket = at.map_or(&self.beyond, |at| &self.buckets[at]);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// What it has counted so far.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum that is read needs no more digits"
    )]
    pub fn read(&self) -> Reading {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(N);
        for (bucket, bound) in self.buckets.iter().zip(&self.bounds) {
            count += bucket.load(Ordering::Relaxed);
            buckets.push((*bound as f64 / 1e6, count));
        }
        count += self.beyond.load(Ordering::Relaxed);
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        Reading {
            buckets,
            count,
            sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_every_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::new([1_000, 1_000_000]);
        for micros in [0, 1_000, 1_001, 1_000_000, 5_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let reading = histogram.read();
        assert_eq!(reading.buckets, [(0.001, 2), (1.0, 4)]);
        assert_eq!(reading.count, 5);
        assert!((reading.sum - 6.002_001).abs() < 1e-9, "{}", reading.sum);
    }
}
