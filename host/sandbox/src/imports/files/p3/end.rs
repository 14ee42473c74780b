//! What the guest is told when a stream has ended.

use tokio::sync::oneshot;
use wasmtime_wasi::p3::bindings::filesystem::types::ErrorCode;

/// How a stream has ended.
pub(super) type Outcome = Result<(), ErrorCode>;

/// Tells the guest once how a stream has ended. A stream that is dropped has ended well.
pub(super) struct End(Option<oneshot::Sender<Outcome>>);

impl End {
    /// What is told, and where it arrives.
    pub(super) fn new() -> (Self, oneshot::Receiver<Outcome>) {
        let (sender, ended) = oneshot::channel();
        (Self(Some(sender)), ended)
    }

    pub(super) fn tell(&mut self, outcome: Outcome) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(outcome);
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.tell(Ok(()));
    }
}
