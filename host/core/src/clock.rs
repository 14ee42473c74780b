//! The one clock that leases are measured on, and its moments.
//!
//! Pure code takes a [`Moment`] as a parameter; only whoever drives it reads the clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A reading of CLOCK_BOOTTIME, in nanoseconds since the machine booted.
///
/// `std::time::Instant` is CLOCK_MONOTONIC on Linux and stands still while the machine is suspended; a session's
/// time at the ensemble does not. Pure code takes a `Moment` as a parameter and never reads one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The moment so many nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

/// Reads the clock.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads it")]
pub fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Moment::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Waits until the clock has reached `moment`.
///
/// Timers run on CLOCK_MONOTONIC, so after a suspension of the machine this may return late, never early.
///
/// # Cancellation safety
/// Nothing is lost when the future is dropped.
pub async fn sleep_until(moment: Moment) {
    loop {
        let left = moment.saturating_since(now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
