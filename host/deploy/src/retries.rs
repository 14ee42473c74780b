//! When something is tried again.

use std::time::Instant;

use soloist_core::backoff::Backoff;
use tokio::time::sleep;

use crate::bounds::Bounds;
use crate::error::FetchError;

/// The attempts at one thing.
pub(crate) struct Retries {
    backoff: Backoff,
    attempts: u32,
    deadline: Instant,
}

impl Retries {
    pub(crate) fn new(bounds: &Bounds, deadline: Instant) -> Self {
        Self {
            backoff: Backoff::new(bounds.first_pause, bounds.longest_pause),
            attempts: bounds.attempts,
            deadline,
        }
    }

    /// The attempt that failed has brought something.
    pub(crate) fn reset(&mut self) {
        self.backoff.reset();
    }

    /// Waits until another attempt is due.
    ///
    /// # Errors
    /// The error itself, if no other attempt would mend it, too many have failed in a row, or the next one would come after
    /// the deadline: then it says more than that it is late.
    pub(crate) async fn pause(&mut self, error: FetchError) -> Result<(), FetchError> {
        if !error.is_passing() || self.backoff.steps().saturating_add(1) >= self.attempts {
            return Err(error);
        }
        let pause = self.backoff.step();
        if self.deadline.saturating_duration_since(Instant::now()) <= pause {
            return Err(error);
        }
        tracing::debug!("fetching is tried again: {error}");
        sleep(pause).await;
        Ok(())
    }

    /// Does something that brings all or nothing, again and again while that may help.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub(crate) async fn until_done<T>(
        mut self,
        ask: impl AsyncFn() -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        loop {
            match ask().await {
                Ok(done) => return Ok(done),
                Err(error) => self.pause(error).await?,
            }
        }
    }
}
