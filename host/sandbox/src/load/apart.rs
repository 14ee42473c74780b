//! Work that may take long, or for ever, or need a deep stack, on a thread of its own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::bounded::MAX_MESSAGE_BYTES;

/// What nests in a file costs stack: all that the bounds let through fits.
pub(crate) const STACK_BYTES: usize = 16 << 20;

/// The work was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undone {
    /// Not within the time.
    #[error("it took too long")]
    TooSlow,
    /// It panicked: a bug of ours or of a library.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// The machine has no thread to do it.
    #[error("no thread to do it")]
    Threads(#[source] std::io::Error),
}

/// Does `work` on a thread of its own, and waits for it for as long as `within`.
///
/// Work that takes longer cannot be stopped: it goes on, unheeded, until it is done or the process ends.
pub(crate) fn apart<T: Send + 'static>(
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    let (sender, receiver) = channel();
    let thread = thread::Builder::new()
        .name("load-plugin".into())
        .stack_size(STACK_BYTES);
    thread
        .spawn(move || drop(sender.send(caught(work))))
        .map_err(Undone::Threads)?;
    match receiver.recv_timeout(within) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(message)) => Err(Undone::Panicked(message)),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Undone::Panicked("the thread has vanished".into()))
        }
        Err(RecvTimeoutError::Timeout) => Err(Undone::TooSlow),
    }
}

/// Does `work`, and returns what it said if it panicked. Nobody may look at what a panic has left half done.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("without a message");
        text[..text.floor_char_boundary(MAX_MESSAGE_BYTES)].to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_is_done_elsewhere_and_its_panic_stays_there() {
        let thread = apart(LONG, || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(thread.unwrap(), "load-plugin");
        assert!(
            matches!(apart(LONG, || panic!("a {}", "bug")), Err(Undone::Panicked(message)) if message == "a bug")
        );
    }

    #[test]
    fn of_a_long_panic_the_beginning_is_told() {
        let message = caught(|| panic!("x{}", "é".repeat(MAX_MESSAGE_BYTES))).unwrap_err();
        assert_eq!(message.len(), MAX_MESSAGE_BYTES - 1);
    }

    #[test]
    fn work_that_takes_too_long_is_not_waited_for() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let slow = apart(Duration::from_millis(1), move || ended.recv());
        assert!(matches!(slow, Err(Undone::TooSlow)));
        drop(end);
    }
}
