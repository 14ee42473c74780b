//! Work on a thread of its own, for whoever cannot wait for a disk.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout_at;
use tokio::{runtime, select};

use crate::error::FetchError;

/// Does the work in one of the slots, on a thread of its own, until the deadline.
///
/// The thread is none of the runtime's: whoever ends that would wait for a file that never comes. A thread that the system
/// holds keeps its slot, so there are never more of them than slots.
///
/// # Errors
/// Those of the work, [`FetchError::Late`], and [`FetchError::Busy`] if no slot was free until the deadline.
///
/// # Cancellation safety
/// Dropped, the work is dropped too, at the next point where it waits for something.
pub(crate) async fn apart<T, W>(
    slots: &Arc<Semaphore>,
    deadline: Instant,
    work: W,
) -> Result<T, FetchError>
where
    T: Send + 'static,
    W: AsyncFnOnce() -> Result<T, FetchError> + Send + 'static,
{
    let began = Instant::now();
    let after = || deadline.saturating_duration_since(began);
    let slot = timeout_at(deadline.into(), Arc::clone(slots).acquire_owned()).await;
    let slot = slot
        .map_err(|_| FetchError::Busy { after: after() })?
        .map_err(|closed| FetchError::Thread(io::Error::other(closed)))?;
    let (sender, done) = oneshot::channel();
    thread::Builder::new()
        .name("fetch".into())
        .spawn(move || {
            let _slot = slot;
            run(sender, work);
        })
        .map_err(FetchError::Thread)?;
    timeout_at(deadline.into(), done)
        .await
        .map_err(|_| FetchError::Late { after: after() })?
        .map_err(|ended| FetchError::Thread(io::Error::other(ended)))?
}

/// Runs the work until it is done, or until nobody waits for it.
fn run<T>(
    mut sender: oneshot::Sender<Result<T, FetchError>>,
    work: impl AsyncFnOnce() -> Result<T, FetchError>,
) {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = sender.send(Err(FetchError::Thread(error)));
            return;
        }
    };
    let done = runtime.block_on(async {
        select! {
            done = work() => Some(done),
            () = sender.closed() => None,
        }
    });
    // The system may still be looking for an address.
    runtime.shutdown_background();
    if let Some(done) = done {
        let _ = sender.send(done);
    }
}
