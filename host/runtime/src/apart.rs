//! Long jobs on threads of their own.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// A job has no result.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The job panicked: a bug.
    #[error("this host has a bug: see the panic above")]
    Panicked,
}

/// Runs a long job on a thread of its own. The end of the process does not wait for the job, and a compiler that the job has
/// started ends with the process.
///
/// # Errors
/// [`ApartError`].
///
/// # Cancellation safety
/// Dropped, what was begun goes on, and nobody hears what comes of it.
pub async fn apart<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApartError> {
    let (sender, done) = oneshot::channel();
    thread::Builder::new()
        .name("load".into())
        // Nobody waits for it any more when the host is asked to stop.
        .spawn(move || drop(sender.send(job())))
        .map_err(ApartError::Thread)?;
    done.await.map_err(|_| ApartError::Panicked)
}
