//! Work that may take long, or for ever, on threads of its own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::oneshot;

/// A compilation uses no more threads than this: each takes memory for the function that it is at.
const MAX_THREADS: usize = 4;

/// What nests in a file costs stack: all that the bounds let through fits.
const STACK_BYTES: usize = 16 << 20;

/// The work was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undone {
    /// Not within the time.
    #[error("it took too long")]
    TooSlow,
    /// It panicked: a bug of ours or of a library.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// The machine has no threads to do it.
    #[error("no threads to do it")]
    Threads(#[source] std::io::Error),
}

/// Does `work` on threads of its own, on which rayon's iterators run too, and waits for it for as long as `within`.
///
/// Work that takes longer cannot be stopped: it goes on, unheeded, until it is done or the process ends.
///
/// # Panics
/// In asynchronous code, which it would block.
pub(super) fn apart<T: Send + 'static>(
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    let threads = |source| Undone::Threads(std::io::Error::other(source));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(available_parallelism().map_or(1, usize::from).min(MAX_THREADS))
        .stack_size(STACK_BYTES)
        .thread_name(|number| format!("compile-{number}"))
        .build()
        .map_err(|error| threads(error.to_string()))?;
    let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Undone::Threads)?;
    let (sender, receiver) = oneshot::channel();
    pool.spawn(move || drop(sender.send(caught(work))));
    match waiting.block_on(async { tokio::time::timeout(within, receiver).await }) {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(message))) => Err(Undone::Panicked(message)),
        Ok(Err(_)) => Err(Undone::Panicked("the thread has vanished".into())),
        Err(_) => Err(Undone::TooSlow),
    }
}

/// Does `work`, and returns what it said if it panicked. Nobody may look at what a panic has left half done.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("without a message").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_is_done_elsewhere_and_its_panic_stays_there() {
        let thread = apart(LONG, || std::thread::current().name().map(str::to_owned)).unwrap();
        assert!(thread.unwrap().starts_with("compile-"));
        assert!(matches!(apart(LONG, || panic!("a {}", "bug")), Err(Undone::Panicked(message)) if message == "a bug"));
    }

    #[test]
    fn work_that_takes_too_long_is_not_waited_for() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let slow = apart(Duration::from_millis(1), move || ended.recv());
        assert!(matches!(slow, Err(Undone::TooSlow)));
        drop(end);
    }

    /// The lease is renewed by asynchronous code: nothing there may wait for a compiler.
    #[tokio::test]
    #[should_panic(expected = "Cannot start a runtime from within a runtime")]
    async fn it_cannot_be_waited_for_in_asynchronous_code() {
        let _ = apart(LONG, || ());
    }
}
