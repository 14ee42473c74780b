//! How much one of those who write into the log may write.

use std::time::Duration;

use crate::bucket::Bucket;
use crate::clock::Moment;

/// How many seconds' worth of bytes may be written at once.
const BURST_SECONDS: u64 = 4;

/// It is said at most so often that lines were dropped: that is a line as well.
const SAYING: Duration = Duration::from_secs(1);

/// How much may be reported: lines, and the bytes that they come to.
#[derive(Debug)]
pub struct Volume {
    lines: Bucket,
    bytes: Bucket,
    /// Lines that were left out since that was last said.
    dropped: u64,
    /// When that may be said again.
    sayable_at: Moment,
}

impl Volume {
    /// Lines a second in the long run, lines at once, and bytes a second; four times as many at once.
    pub fn new(lines_per_second: u64, lines_at_once: u64, bytes_per_second: u64) -> Self {
        Self {
            lines: Bucket::new(lines_per_second, lines_at_once),
            bytes: Bucket::new(
                bytes_per_second,
                bytes_per_second.saturating_mul(BURST_SECONDS),
            ),
            dropped: 0,
            sayable_at: Moment::default(),
        }
    }

    /// Lets a line pass, saying how many were dropped before it if that was not said within the last second; `None` drops
    /// this one too. How long the line is shows when
    /// it is made: one that is longer than what is left is paid for afterwards.
    pub fn admit(&mut self, now: Moment) -> Option<u64> {
        if self.lines.has_one(now) && self.bytes.has_one(now) {
            self.lines.take(1, now);
            if self.dropped == 0 || now < self.sayable_at {
                return Some(0);
            }
            self.sayable_at = now + SAYING;
            return Some(self.take_dropped());
        }
        self.dropped += 1;
        None
    }

    /// Notes how many bytes were reported.
    pub fn reported(&mut self, bytes: u64, now: Moment) {
        self.bytes.take(bytes, now);
    }

    /// Counts lines as dropped that were not said to be, for want of a permit: they are said with the next.
    pub fn put_back(&mut self, dropped: u64) {
        self.dropped += dropped;
    }

    /// How many lines were dropped since that was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_dropped_and_counted_and_the_count_comes_with_the_next_line() {
        let start = Moment::from_nanos(1);
        let mut volume = Volume::new(200, 1000, 1 << 20);
        for _ in 0..1000 {
            assert_eq!(volume.admit(start), Some(0));
        }
        assert_eq!((volume.admit(start), volume.admit(start)), (None, None));
        let later = start + Duration::from_millis(5);
        assert_eq!((volume.admit(later), volume.admit(later)), (Some(2), None));
    }

    #[test]
    fn it_is_said_once_a_second_that_lines_are_dropped_and_none_is_forgotten() {
        let start = Moment::from_nanos(1);
        let mut volume = Volume::new(200, 1000, 1 << 20);
        let (mut passed, mut said, mut told) = (0, 0, 0);
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            if let Some(dropped) = volume.admit(now) {
                passed += 1;
                said += u64::from(dropped > 0);
                told += dropped;
            }
        }
        assert!(passed > 2900 && (9..=10).contains(&said), "{passed} {said}");
        assert_eq!(passed + told + volume.take_dropped(), 10_000);
    }

    #[test]
    fn a_line_that_is_longer_than_what_is_left_is_paid_for_afterwards() {
        let start = Moment::from_nanos(1);
        let mut volume = Volume::new(200, 1000, 1000);
        assert_eq!(volume.admit(start), Some(0));
        volume.reported(3999, start);
        assert_eq!(volume.admit(start), Some(0));
        volume.reported(1001, start);
        assert_eq!(volume.admit(start + Duration::from_secs(1)), None);
        assert_eq!(volume.admit(start + Duration::from_millis(1001)), Some(1));
    }
}
