//! Time that a plugin waits for and measures, without holding the host up.
//!
//! ```
//! use std::time::Duration;
//!
//! use soloist_sdk::testing::Harness;
//! use soloist_sdk::time::{self, Instant};
//!
//! let test = Harness::new();
//! test.block_on(async {
//!     let begun = Instant::now();
//!     let late = time::timeout(Duration::from_secs(5), time::sleep(Duration::from_hours(1))).await;
//!     assert!(late.is_err());
//!     assert_eq!(begun.elapsed(), Duration::from_secs(5));
//! });
//! ```
//!
//! In a native test the clocks in here are those of the [`testing`](crate::testing) harness.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::{Duration, SystemTime};

use crate::imports;
use crate::tasks::{Either, select};

mod every;

pub use every::{Every, Interval, Tick, every, interval};

/// A moment on the host's monotonic clock, which never goes back and says nothing to anybody else.
///
/// As `std::time::Instant`, but a test can move it.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::sleep;
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::time::Instant;
///
/// Harness::new().block_on(async {
///     let begun = Instant::now();
///     sleep(Duration::from_hours(24)).await;
///     assert_eq!(begun.elapsed(), Duration::from_hours(24));
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// This moment.
    pub fn now() -> Self {
        Self {
            nanos: imports::now(),
        }
    }

    /// How long ago it was; zero if it is still to come.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

/// A moment that the clock cannot show is the last one that it can.
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            nanos: self.nanos.saturating_add(nanos),
        }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// The time since an earlier moment; zero since a later one.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

/// The time of day, as the host's machine shows it.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{sleep, time};
///
/// let noon = UNIX_EPOCH + Duration::from_hours(12);
/// Harness::new().began(noon).block_on(async move {
///     sleep(Duration::from_secs(5)).await;
///     assert_eq!(time::now(), noon + Duration::from_secs(5));
/// });
/// ```
pub fn now() -> SystemTime {
    imports::system_time()
}

/// Waits for `duration`.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::sleep;
/// use soloist_sdk::testing::Harness;
///
/// let test = Harness::new();
/// test.block_on(sleep(Duration::from_hours(24)));
/// assert_eq!(test.now(), Duration::from_hours(24));
/// ```
pub async fn sleep(duration: Duration) {
    sleep_until(Instant::now() + duration).await;
}

/// Waits until `moment`; not at all if it is past.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::time::Instant;
/// use soloist_sdk::{sleep, sleep_until};
///
/// let test = Harness::new();
/// test.block_on(async {
///     let end = Instant::now() + Duration::from_secs(10);
///     sleep(Duration::from_secs(3)).await;        // work that takes three seconds
///     sleep_until(end).await;
/// });
/// assert_eq!(test.now(), Duration::from_secs(10));
/// ```
pub async fn sleep_until(moment: Instant) {
    imports::wait_until(moment.nanos).await;
}

/// A future was not ready in time.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::time::TimedOut;
/// use soloist_sdk::timeout;
///
/// let second = Duration::from_secs(1);
/// let late = Harness::new().block_on(timeout(second, std::future::pending::<()>()));
/// assert_eq!(late, Err(TimedOut { after: second }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// The time that it was given.
    pub after: Duration,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done within {:?}", self.after)
    }
}

impl std::error::Error for TimedOut {}

/// Waits for `future`, but no longer than `limit`; then the future is dropped.
///
/// # Errors
/// [`TimedOut`]. What the future had begun outside, like a write, may have been done all the same.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{sleep, timeout};
///
/// let second = Duration::from_secs(1);
/// Harness::new().block_on(async {
///     assert!(timeout(2 * second, sleep(second)).await.is_ok());
///     let late = timeout(second, sleep(2 * second)).await.unwrap_err();
///     assert_eq!(late.to_string(), "not done within 1s");
/// });
/// ```
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T, TimedOut> {
    match select(future, sleep(limit)).await {
        Either::Left(value) => Ok(value),
        Either::Right(()) => Err(TimedOut { after: limit }),
    }
}
