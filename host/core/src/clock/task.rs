//! The time that tasks live by. Leases never go by it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

/// The time that plugins see and wait for, that schedules are computed from, and that pauses between two runs last.
///
/// A host has one, the system's. Those who try a plugin put it ahead, or run it on a paused clock of Tokio, so that a day
/// takes a moment; the lease is measured on another clock and does not notice. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct TaskClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    pace: Pace,
    ahead: watch::Sender<Duration>,
}

/// How time passes beside the advance, and what tells the date.
#[derive(Debug)]
enum Pace {
    /// As Tokio's clock goes; the date is that of the system's clock, which may be set.
    System,
    /// As Tokio's clock goes; this was the date at the origin.
    Since(SystemTime),
    /// Not at all; this was the date at the origin.
    Still(SystemTime),
}

/// The longest wait for a date without a look at the system's clock, which somebody may set, and which goes on while the
/// machine is suspended: what waits for a date is late by no more because of that.
const NAP: Duration = Duration::from_secs(5);

impl Default for TaskClock {
    fn default() -> Self {
        Self::system()
    }
}

impl TaskClock {
    /// The clocks of the system.
    pub fn system() -> Self {
        Self::with(Pace::System)
    }

    /// A clock that shows this date now, and goes on as Tokio's clock does, which may be paused.
    pub fn simulated(date: SystemTime) -> Self {
        Self::with(Pace::Since(date))
    }

    /// A clock that shows this date, and stands still until it is put ahead.
    pub fn still(date: SystemTime) -> Self {
        Self::with(Pace::Still(date))
    }

    fn with(pace: Pace) -> Self {
        Self(Arc::new(Inner {
            origin: tokio_now(),
            pace,
            ahead: watch::Sender::default(),
        }))
    }

    /// How long the clock has run. It never goes back.
    pub fn elapsed(&self) -> Duration {
        let passed = match self.0.pace {
            Pace::System | Pace::Since(_) => tokio_now().saturating_duration_since(self.0.origin),
            Pace::Still(_) => Duration::ZERO,
        };
        passed.saturating_add(self.ahead())
    }

    /// The date. It goes back when somebody sets the system's clock back.
    #[expect(
        clippy::disallowed_methods,
        reason = "plugins and schedules may see the date; no rule of election and lease goes by it"
    )]
    pub fn date(&self) -> SystemTime {
        let (now, ahead) = match self.0.pace {
            Pace::System => (SystemTime::now(), self.ahead()),
            Pace::Since(date) | Pace::Still(date) => (date, self.elapsed()),
        };
        // A date beyond the range of `SystemTime` is shown without the advance.
        now.checked_add(ahead).unwrap_or(now)
    }

    /// Puts the clock ahead by `time`. Waits that would have ended within it end now.
    pub fn advance(&self, time: Duration) {
        self.0
            .ahead
            .send_modify(|ahead| *ahead = ahead.saturating_add(time));
    }

    /// Waits for so long.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.elapsed().saturating_add(time)).await;
    }

    /// Waits until the clock has run for so long.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn sleep_until(&self, elapsed: Duration) {
        let mut ahead = self.0.ahead.subscribe();
        loop {
            ahead.mark_unchanged();
            let left = elapsed.saturating_sub(self.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left), if !matches!(self.0.pace, Pace::Still(_)) => {}
                // It changes as long as the clock is there, and that is longer than this call.
                _ = ahead.changed() => {}
            }
        }
    }

    /// Waits until the clock shows this date, or a later one.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn sleep_until_date(&self, date: SystemTime) {
        while let Ok(left) = date.duration_since(self.date())
            && !left.is_zero()
        {
            let nap = match self.0.pace {
                Pace::System => left.min(NAP),
                // Nobody sets it.
                Pace::Since(_) | Pace::Still(_) => left,
            };
            self.sleep(nap).await;
        }
    }

    fn ahead(&self) -> Duration {
        *self.0.ahead.borrow()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tasks live by the clock that Tokio's timers go by"
)]
fn tokio_now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[tokio::test]
    async fn whoever_waits_goes_on_when_the_time_is_put_ahead() {
        let clock = TaskClock::system();
        let before = clock.date();
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(DAY).await }
        });
        let patient = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(3 * DAY).await }
        });
        tokio::task::yield_now().await;
        clock.advance(DAY / 2);
        clock.advance(DAY);
        waiting.await.unwrap();
        assert!(!patient.is_finished());
        patient.abort();
        assert!(clock.elapsed() >= 3 * DAY / 2);
        assert!(clock.date().duration_since(before).unwrap() >= 3 * DAY / 2);
        clock.advance(Duration::MAX);
        clock.sleep(DAY).await;
        clock.date();
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stands_still_goes_only_as_it_is_put_ahead() {
        let clock = TaskClock::still(UNIX_EPOCH + DAY);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(DAY).await }
        });
        tokio::time::sleep(2 * DAY).await;
        assert!(!waiting.is_finished());
        assert_eq!(
            (clock.elapsed(), clock.date()),
            (Duration::ZERO, UNIX_EPOCH + DAY)
        );
        clock.advance(DAY);
        waiting.await.unwrap();
        assert_eq!((clock.elapsed(), clock.date()), (DAY, UNIX_EPOCH + 2 * DAY));
    }

    #[test]
    fn a_simulated_clock_goes_as_the_paused_clock_of_tokio_does() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let clock = TaskClock::simulated(UNIX_EPOCH + DAY);
            assert_eq!(clock.date(), UNIX_EPOCH + DAY);
            clock.sleep(DAY).await;
            assert_eq!(clock.date(), UNIX_EPOCH + 2 * DAY);
            clock.advance(DAY);
            assert_eq!(clock.date(), UNIX_EPOCH + 3 * DAY);
            clock.sleep_until_date(UNIX_EPOCH + 4 * DAY).await;
            assert_eq!(clock.date(), UNIX_EPOCH + 4 * DAY);
            clock.sleep_until_date(UNIX_EPOCH).await;
            assert_eq!(clock.date(), UNIX_EPOCH + 4 * DAY);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_date_goes_on_when_the_time_is_put_ahead() {
        let clock = TaskClock::system();
        let date = clock.date() + DAY;
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until_date(date).await }
        });
        // Tokio's clock goes on, and that of the system does not: the date is far still.
        tokio::time::sleep(DAY).await;
        assert!(!waiting.is_finished());
        clock.advance(DAY);
        waiting.await.unwrap();
    }
}
