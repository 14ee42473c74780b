//! The one clock that leases are measured on, and its moments.
//!
//! Pure code takes a [`Moment`] as a parameter; only whoever drives it reads the clock.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Add, Sub};
use std::time::Duration;

use tokio::time::Instant;

mod task;

pub use task::TaskClock;

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

thread_local! {
    /// The moment at which this thread left the clock for that of Tokio, by both.
    static SIMULATED: Cell<Option<(Moment, Instant)>> = const { Cell::new(None) };
}

/// While it lives, [`now`] goes on this thread as Tokio's clock does, which may be paused.
///
/// Those who try a plugin run all of it on one thread, so that a lease of a day ends in a moment. A host never does that.
#[derive(Debug)]
#[must_use = "the clock is the machine's again when it is dropped"]
pub struct Simulated(PhantomData<*const ()>);

/// Leaves the machine's clock, on this thread.
///
/// # Panics
/// Panics if this thread has left it already.
#[expect(clippy::disallowed_methods, reason = "it stands for the clock")]
pub fn simulate() -> Simulated {
    let began = (now(), Instant::now());
    let before = SIMULATED.replace(Some(began));
    assert!(before.is_none(), "two simulations of time on one thread");
    Simulated(PhantomData)
}

impl Drop for Simulated {
    fn drop(&mut self) {
        SIMULATED.set(None);
    }
}

/// Reads the clock.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads it")]
pub fn now() -> Moment {
    if let Some((moment, instant)) = SIMULATED.get() {
        return moment + instant.elapsed();
    }
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Moment::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// The clock on the wall, for what people read. It can be set, and no rule goes by it.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads it")]
pub fn wall() -> std::time::SystemTime {
    std::time::SystemTime::now()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_thread_waits_for_a_day_in_no_time_and_others_do_not_notice() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let before = now();
        runtime.block_on(async {
            let simulated = simulate();
            sleep_until(before + DAY).await;
            assert!(now() >= before + DAY);
            let elsewhere = std::thread::spawn(now).join().expect("a moment");
            assert!(elsewhere < before + DAY);
            drop(simulated);
        });
        assert!(now() < before + DAY);
    }
}
