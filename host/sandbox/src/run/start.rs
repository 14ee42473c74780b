//! The start of a plugin: whether it has shown a sign of life, and until when it has to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use soloist_core::clock::{self, Moment};

/// Watches one attempt from outside and from inside the store. Clones share it.
///
/// A sign of life is a call of the host or, when the time is up, the guest waiting for something; but only once `on_elected`
/// is called, since what comes before is not the plugin's work.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    due: Moment,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    elected: AtomicBool,
    alive: AtomicBool,
    interrupted: AtomicBool,
}

impl Start {
    /// A start that may take so long from now.
    pub(crate) fn within(timeout: Duration) -> Self {
        Self {
            due: clock::now() + timeout,
            seen: Arc::default(),
        }
    }

    /// `on_elected` is called.
    pub(crate) fn elected(&self) {
        self.seen.elected.store(true, Ordering::Relaxed);
    }

    /// The guest calls the host.
    pub(crate) fn called_host(&self) {
        if self.seen.elected.load(Ordering::Relaxed) {
            self.seen.alive.store(true, Ordering::Relaxed);
        }
    }

    /// The guest goes on where it was interrupted.
    pub(crate) fn resumed(&self) {
        self.seen.interrupted.store(false, Ordering::Relaxed);
    }

    /// The guest is interrupted while it computes.
    pub(crate) fn interrupted(&self) {
        self.seen.interrupted.store(true, Ordering::Relaxed);
    }

    /// Whether the guest computes: it is interrupted, and goes on when it is let.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.seen.interrupted.load(Ordering::Relaxed)
    }

    /// Whether there should have been a sign of life.
    pub(crate) fn is_overdue(&self) -> bool {
        !self.seen.alive.load(Ordering::Relaxed) && clock::now() >= self.due
    }

    /// The guest runs no longer, for now: whether it has failed to start. One that is interrupted will be asked when it
    /// goes on, so that it can be said where it is; of the others `on_elected` may wait, and nothing else.
    pub(crate) fn has_failed(&self) -> bool {
        if !self.is_overdue() || self.is_interrupted() {
            return false;
        }
        self.called_host();
        self.is_overdue()
    }

    /// Waits until a sign of life is due.
    pub(crate) async fn due(self) {
        clock::sleep_until(self.due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_on_elected_does_is_a_sign_of_life() {
        let start = Start::within(Duration::ZERO);
        start.called_host();
        assert!(start.has_failed(), "it waits before it is elected");
        start.elected();
        start.resumed();
        start.interrupted();
        assert!(start.is_overdue() && !start.has_failed(), "it computes");
        start.resumed();
        assert!(!start.has_failed() && !start.is_overdue(), "it waits");
        let patient = Start::within(Duration::from_secs(3600));
        assert!(!patient.is_overdue() && !patient.has_failed());
    }
}
