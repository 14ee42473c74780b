//! Guests that compute take turns, so that they never hold all the threads that plugins run on.
//!
//! A guest that has computed for a whole epoch tick needs a turn to go on, and there are as many turns as processors. There
//! are more threads than that, so that a guest that wakes up does not wait for every neighbour to have had its tick. It
//! still shares the processors with those that have a turn: when it runs is for the kernel to say. It is told to let the
//! rest of the host go first.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many threads there are beside those that guests can hold while they compute.
const SPARE_THREADS: usize = 2;

/// How much nicer than the rest of the process the threads are that plugins run on: a third of its share of a processor
/// that both want.
const NICENESS: i32 = 5;
const NICENESS_MAX: i32 = 19;

/// One for each processor, whatever the number of engines.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(processors())));

/// How many threads a runtime for plugins should have.
pub fn plugin_threads() -> usize {
    // Counted now rather than when the first guest needs a turn: to count them takes reading files.
    LazyLock::force(&TURNS);
    processors() + SPARE_THREADS
}

/// Lets the host's other threads, and whatever else asks for as much of a processor as is usual, go before this thread: for
/// the threads that plugins run on. It goes by what the process was started with.
pub fn be_nice() {
    // Without it things are as fair as they are without it: no reason to fail, or to say so at every start.
    let _ = getpriority_process(None)
        .and_then(|now| setpriority_process(None, (now + NICENESS).min(NICENESS_MAX)));
}

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The turn of one guest, if it has one. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    /// Waits for a turn; those that have waited longer are first.
    pub(crate) async fn begin(&self) {
        // tokio's own yield lets its timers run too, even when every thread is busy with a guest.
        tokio::task::yield_now().await;
        // Nobody closes the semaphore.
        let turn = Arc::clone(&TURNS).acquire_owned().await.ok();
        *self.held() = turn;
    }

    /// Gives the turn back, if there is one: the guest rests, or waits for something.
    pub(crate) fn end(&self) {
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

    #[test]
    fn a_thread_that_is_nice_leaves_the_others_as_they_were() {
        let niceness = || getpriority_process(None).unwrap();
        let before = niceness();
        let nice = std::thread::spawn(move || {
            be_nice();
            niceness()
        });
        assert_eq!(
            (nice.join().unwrap(), niceness()),
            ((before + NICENESS).min(NICENESS_MAX), before)
        );
    }

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
