//! How many demotions of a host begin at once.
//!
//! The time that a demotion may take runs from when it begins. If ten thousand began at once, most of that time would go by before
//! the threads of plugins came to the last ones, and those would be stopped by force through no fault of their own. So each
//! begins when its turn comes. The turn is over when the plugin has stopped, or after [`TURN_MAX`]: one that takes its time does not
//! hold up others for long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More than the threads of plugins can stop at a time, so that these always have something to do.
const AT_ONCE: usize = 64;

/// How long a turn lasts at most.
pub(super) const TURN_MAX: Duration = Duration::from_millis(100);

/// The demotions of a host. Clones share the turns.
#[derive(Clone, Debug)]
pub struct Demotions(Arc<Semaphore>);

/// Leave to begin a demotion, until this is dropped.
#[derive(Debug)]
pub struct Turn {
    _held: OwnedSemaphorePermit,
}

impl Default for Demotions {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Demotions {
    /// A turn, if nobody has to be waited for.
    pub fn turn_now(&self) -> Option<Turn> {
        let turn = Arc::clone(&self.0).try_acquire_owned();
        Some(Turn { _held: turn.ok()? })
    }

    /// Waits for a turn. Those who have waited longer come first.
    ///
    /// # Cancellation safety
    /// A future that is dropped and made again waits anew.
    pub fn turn(&self) -> impl Future<Output = Option<Turn>> + Send + use<> {
        let turn = Arc::clone(&self.0).acquire_owned();
        // Nobody closes the semaphore.
        async {
            Some(Turn {
                _held: turn.await.ok()?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn so_many_begin_at_once_and_the_next_one_when_a_turn_is_over() {
        let demotions = Demotions::default();
        let mut begun: Vec<_> = std::iter::from_fn(|| demotions.turn_now()).collect();
        assert_eq!(begun.len(), AT_ONCE);
        let (mut first, mut second) = (Box::pin(demotions.turn()), Box::pin(demotions.turn()));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        drop(begun.pop());
        assert!(demotions.turn_now().is_none(), "whoever waits comes first");
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut first).now_or_never().is_some());
    }
}
