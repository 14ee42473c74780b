//! Whether `on_elected` runs.

use tokio::sync::watch;

/// Whether `on_elected` runs in one attempt: it was called, and has not returned. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elected(watch::Sender<bool>);

impl Elected {
    pub(crate) fn is_running(&self) -> bool {
        *self.0.borrow()
    }

    /// The same for who waits for it.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Runs the call of `on_elected`.
    pub(crate) async fn during<T>(&self, call: impl Future<Output = T>) -> T {
        self.0.send_replace(true);
        let outcome = call.await;
        self.0.send_replace(false);
        outcome
    }
}
