//! What comes again and again.

use std::time::Duration;

use super::{Instant, sleep, sleep_until};

/// One of the times that [`every`] keeps.
///
/// ```
/// use soloist_sdk::time::Tick;
/// use soloist_sdk::warn;
///
/// fn tell(tick: Tick) {
///     if tick.skipped > 0 {
///         warn!("tick {}: the {} before it were skipped", tick.number, tick.skipped);
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Counts the times that have come, from 0, those included that were skipped.
    pub number: u64,
    /// How many times have passed since the tick before, because the plugin was busy then.
    pub skipped: u64,
}

/// Made by [`every`].
///
/// ```
/// use soloist_sdk::info;
/// use soloist_sdk::time::Every;
///
/// async fn count(mut hours: Every) {
///     loop {
///         info!("hour {}", hours.tick().await.number);
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "nothing waits until `tick` is awaited"]
pub struct Every {
    period: Duration,
    next: Instant,
    number: u64,
}

/// Keeps time: the first tick comes at once, each further one a whole number of periods after it, however long the plugin
/// takes in between.
///
/// A tick that is late comes at once. Those that would have come meanwhile are skipped, and counted.
///
/// For the time of day, as in "every hour on the hour", use a schedule. For a pause after each piece of work, use
/// [`interval`].
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::time::Tick;
/// use soloist_sdk::{every, sleep};
///
/// let test = Harness::new();
/// test.block_on(async {
///     let mut minute = every(Duration::from_mins(1));
///     assert_eq!(minute.tick().await, Tick { number: 0, skipped: 0 });
///     sleep(Duration::from_secs(59)).await;      // work that is done in time
///     assert_eq!(minute.tick().await, Tick { number: 1, skipped: 0 });
///     sleep(Duration::from_secs(200)).await;     // work that takes longer: the ticks 2 and 3 have passed
///     assert_eq!(minute.tick().await, Tick { number: 4, skipped: 2 });
///     minute.tick().await;
/// });
/// assert_eq!(test.now(), Duration::from_mins(5));
/// ```
///
/// # Panics
/// Panics if `period` is zero.
pub fn every(period: Duration) -> Every {
    assert!(!period.is_zero(), "every: the period is zero");
    Every {
        period,
        next: Instant::now(),
        number: 0,
    }
}

impl Every {
    /// Waits for the next time.
    ///
    /// Dropped while it waits, it has taken nothing: the same tick comes to whoever waits next.
    pub async fn tick(&mut self) -> Tick {
        sleep_until(self.next).await;
        // The last of the times that have come is the one that this tick is about.
        let late = (Instant::now() - self.next).as_nanos() / self.period.as_nanos();
        let skipped = u64::try_from(late).unwrap_or(u64::MAX);
        let number = self.number.saturating_add(skipped);
        self.number = number.saturating_add(1);
        let passed = self.period.as_nanos().saturating_mul(late + 1);
        self.next += Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX));
        Tick { number, skipped }
    }
}

/// Made by [`interval`].
///
/// ```
/// use soloist_sdk::time::Interval;
///
/// async fn look(mut pauses: Interval, is_there: impl Fn() -> bool) {
///     while !is_there() {
///         pauses.tick().await;
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "nothing waits until `tick` is awaited"]
pub struct Interval {
    pause: Duration,
    has_begun: bool,
}

/// Pauses between one piece of work and the next: the first tick comes at once, each further one `pause` after it was
/// asked for. So the work itself adds to the time from tick to tick; [`every`] keeps time instead.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{interval, sleep};
///
/// let test = Harness::new();
/// test.block_on(async {
///     let mut turns = interval(Duration::from_secs(10));
///     for _ in 0..3 {
///         turns.tick().await;
///         sleep(Duration::from_secs(4)).await;    // the work
///     }
/// });
/// assert_eq!(test.now(), Duration::from_secs(4 + 10 + 4 + 10 + 4));
/// ```
pub fn interval(pause: Duration) -> Interval {
    Interval {
        pause,
        has_begun: false,
    }
}

impl Interval {
    /// Waits for the pause to pass.
    pub async fn tick(&mut self) {
        if self.has_begun {
            sleep(self.pause).await;
        }
        self.has_begun = true;
    }
}
