//! The clock on the wall, behind a handle: tests can have one of their own.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;

use super::time::Time;

/// What tells the time of day and waits for it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day.
    fn now(&self) -> Time;

    /// Waits until `time`, or a little while: whoever calls it looks at the clock again, which may have been set.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    fn wait(&self, time: Time) -> BoxFuture<'_, ()>;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The longest wait. Timers do not follow a clock that is set, and stand still while the machine is suspended: a slot is
/// late by so much at the most because of that.
const NAP: Duration = Duration::from_secs(5);

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "slots are moments of the clock on the wall"
    )]
    fn now(&self) -> Time {
        SystemTime::now().into()
    }

    fn wait(&self, time: Time) -> BoxFuture<'_, ()> {
        let left = time.saturating_since(self.now());
        Box::pin(tokio::time::sleep(left.min(NAP)))
    }
}
