//! How long a step of a life may take, in real time.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use soloist_sandbox::Plugin;
use tokio::sync::Notify;

/// How long a step may take in real time.
pub(super) const STEP_MAX: Duration = Duration::from_secs(60);

/// Measures real time, on a thread of its own: that of the life may have none to spare. A plugin that computes then is
/// interrupted.
pub(super) struct Patience {
    began: Sender<()>,
    over: Arc<Notify>,
}

impl Patience {
    pub(super) fn new(plugin: Arc<Plugin>) -> Self {
        let (began, steps) = channel();
        let over = Arc::new(Notify::new());
        thread::spawn({
            let over = Arc::clone(&over);
            move || {
                loop {
                    match steps.recv_timeout(STEP_MAX) {
                        Ok(()) => {}
                        Err(RecvTimeoutError::Timeout) => {
                            over.notify_one();
                            plugin.interrupt();
                        }
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            }
        });
        Self { began, over }
    }

    /// A step begins.
    pub(super) fn begin(&self) {
        // The thread ends with this value.
        let _ = self.began.send(());
    }

    /// Resolves once a step takes longer than [`STEP_MAX`].
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn over(&self) {
        self.over.notified().await;
    }
}
