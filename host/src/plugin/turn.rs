//! Guests that compute take turns, so that they never hold all the threads that plugins run on.
//!
//! A guest that has computed for a whole epoch tick needs a turn to go on, and there are as many turns as processors. There
//! are more threads than that, so that a guest that wakes up does not wait for every neighbour to have had its tick. It
//! still shares the processors with those that have a turn: when it runs is for the kernel to say.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many threads there are beside those that guests can hold while they compute.
const SPARE_THREADS: usize = 2;

/// One for each processor, whatever the number of engines.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(processors())));

/// How many threads a runtime for plugins should have.
pub fn plugin_threads() -> usize {
    // Counted now rather than when the first guest needs a turn: to count them takes reading files.
    LazyLock::force(&TURNS);
    processors() + SPARE_THREADS
}

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The turn of one guest, if it has one. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    /// Waits for a turn; those that have waited longer are first.
    pub(super) async fn begin(&self) {
        // tokio's own yield lets its timers run too, even when every thread is busy with a guest.
        tokio::task::yield_now().await;
        // Nobody closes the semaphore.
        let turn = Arc::clone(&TURNS).acquire_owned().await.ok();
        *self.held() = turn;
    }

    /// Gives the turn back, if there is one: the guest rests, or waits for something.
    pub(super) fn end(&self) {
        drop(self.held().take());
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        // It is right whoever panicked while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_are_as_many_turns_as_processors_and_one_that_ends_is_the_next_ones() {
        let turns: Vec<Turn> = (0..processors()).map(|_| Turn::default()).collect();
        for turn in &turns {
            turn.begin().await;
        }
        let waits = Turn::default();
        let mut next = tokio::spawn({
            let waits = waits.clone();
            async move { waits.begin().await }
        });
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        turns[0].end();
        (&mut next).await.unwrap();
        drop(turns);
        waits.end();
        assert_eq!(TURNS.available_permits(), processors());
    }
}
