//! What was measured, as a table in Markdown.

use std::time::Duration;

/// Times, in order.
#[derive(Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, sample: Duration) {
        self.0.push(sample);
        self.0.sort();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in order.
    pub(crate) fn milliseconds(&self) -> Vec<f64> {
        self.0.iter().map(|time| time.as_secs_f64() * 1e3).collect()
    }

    /// The smallest sample that so many percent of all do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}

/// The rows.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<String>,
}

impl Table {
    pub(crate) fn row(&mut self, what: &str, median: &str, p99: &str, count: &str) {
        self.rows
            .push(format!("| {what} | {median} | {p99} | | {count} |"));
    }

    pub(crate) fn times(&mut self, what: &str, samples: &Samples) {
        let millis = |percent| format!("{:.2} ms", samples.percentile(percent).as_secs_f64() * 1e3);
        let (median, p99, worst, count) = (millis(50), millis(99), millis(100), samples.0.len());
        self.rows
            .push(format!("| {what} | {median} | {p99} | {worst} | {count} |"));
    }
}
