//! The ensemble's clock: real time, or one that a test moves.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use soloist_core::clock::TaskClock;

/// A clock that sessions go by: never that of a task, which may be put ahead without the sessions. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(TaskClock);

impl Clock {
    /// A clock that goes as time goes, and can be moved forward beside that.
    pub fn real() -> Self {
        Self(TaskClock::system())
    }

    /// A clock that stands still until it is moved.
    pub fn manual() -> Self {
        Self(TaskClock::still(SystemTime::now()))
    }

    /// Moves the clock forward. Sessions of which nothing was heard in that time are over.
    pub fn advance(&self, by: Duration) {
        self.0.advance(by);
    }

    /// The time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The time since 1970.
    pub fn wall(&self) -> Duration {
        let since = self.0.date().duration_since(UNIX_EPOCH);
        since.unwrap_or_default()
    }

    /// Waits until that much time has passed since the clock was made.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn sleep_until(&self, elapsed: Duration) {
        self.0.sleep_until(elapsed).await;
    }
}
