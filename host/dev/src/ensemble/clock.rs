//! The ensemble's clock: real time, or one that a test moves.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// A clock that sessions go by. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: Instant,
    begun_wall: Duration,
    /// Whether it stands still unless it is moved.
    is_manual: bool,
    /// By how much it was moved.
    moved: watch::Sender<Duration>,
}

impl Clock {
    /// A clock that goes as time goes, and can be moved forward beside that.
    pub fn real() -> Self {
        Self::new(false)
    }

    /// A clock that stands still until it is moved.
    pub fn manual() -> Self {
        Self::new(true)
    }

    fn new(is_manual: bool) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(Arc::new(Inner {
            begun: Instant::now(),
            begun_wall: wall.unwrap_or_default(),
            is_manual,
            moved: watch::Sender::new(Duration::ZERO),
        }))
    }

    /// Moves the clock forward. Sessions of which nothing was heard in that time are over.
    pub fn advance(&self, by: Duration) {
        self.0
            .moved
            .send_modify(|moved| *moved = moved.saturating_add(by));
    }

    /// The time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        let moved = *self.0.moved.borrow();
        let gone = if self.0.is_manual {
            Duration::ZERO
        } else {
            self.0.begun.elapsed()
        };
        gone.saturating_add(moved)
    }

    /// The time since 1970.
    pub fn wall(&self) -> Duration {
        self.0.begun_wall.saturating_add(self.elapsed())
    }

    /// Waits until that much time has passed since the clock was made.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn sleep_until(&self, elapsed: Duration) {
        let mut moves = self.0.moved.subscribe();
        loop {
            moves.borrow_and_update();
            let left = elapsed.saturating_sub(self.elapsed());
            if left.is_zero() {
                return;
            }
            if self.0.is_manual {
                // The sender lives as long as the clock.
                let _ = moves.changed().await;
            } else {
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    _ = moves.changed() => {}
                }
            }
        }
    }
}
