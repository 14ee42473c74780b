//! What the host does for a deployed task.

use std::future::pending;

use soloist_core::records::Generation;
use soloist_core::rollout::Purpose;
use tokio::sync::{oneshot, watch};

use crate::contender::Status;

/// What the host does for the task.
pub(super) enum Part {
    /// Nothing.
    None,
    /// It stands, or leads.
    Stands {
        status: watch::Receiver<Status>,
        does: Does,
        /// Whether it has been in the queue.
        has_stood: bool,
    },
    /// It gives back what it has.
    Leaves(oneshot::Receiver<()>),
}

/// What a contender was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Does {
    pub(super) generation: Generation,
    pub(super) purpose: Purpose,
    pub(super) manifest_version: i32,
}

impl Part {
    /// Waits until the contender is elsewhere, or has left.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn changed(&mut self) {
        let is_over = match self {
            Self::None => pending().await,
            // It ends with the contender, which ends with the host or because it was stopped.
            Self::Stands { status, .. } => status.changed().await.is_err(),
            Self::Leaves(left) => {
                let _ = left.await;
                true
            }
        };
        if is_over {
            *self = Self::None;
        }
    }
}
