//! How often a request is made again, and what it pauses for in between.

use std::time::Duration;

use super::Refused;
use soloist_core::backoff::Backoff;

/// How often a request is made before it is given up. One that the ensemble takes for an attack (its `jute.maxbuffer` may
/// be small) breaks the connection each time, and with it, in the end, the lease. One whose nodes somebody else writes all
/// the time would keep the ensemble busy for as long as that lasts.
pub(super) const ATTEMPTS_MAX: u32 = 10;
/// The first pause, and the longest.
const RETRY: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(200);

/// The attempts at one request.
pub(super) struct Attempts {
    pauses: Backoff,
    cut_off: bool,
}

impl Attempts {
    /// The first attempt is to be made.
    pub(super) fn new() -> Self {
        Self {
            pauses: Backoff::new(RETRY, RETRY_MAX),
            cut_off: false,
        }
    }

    /// Whether an attempt was cut off: it may have been done.
    pub(super) fn was_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Waits before the next attempt after one that came to `refused`, unless there have been enough.
    ///
    /// # Errors
    /// `refused`: it was the last.
    pub(super) async fn again(&mut self, refused: Refused) -> Result<(), Refused> {
        self.cut_off |= matches!(refused, Refused::Unanswered(_));
        let pause = self.pauses.step();
        if self.pauses.steps() >= ATTEMPTS_MAX {
            return Err(refused);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
