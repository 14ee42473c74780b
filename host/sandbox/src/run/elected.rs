//! Whether `on_elected` runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether `on_elected` runs in one attempt: it was called, and has not returned. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elected(Arc<AtomicBool>);

impl Elected {
    pub(crate) fn is_running(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs the call of `on_elected`.
    pub(crate) async fn during<T>(&self, call: impl Future<Output = T>) -> T {
        self.0.store(true, Ordering::Relaxed);
        let outcome = call.await;
        self.0.store(false, Ordering::Relaxed);
        outcome
    }
}
