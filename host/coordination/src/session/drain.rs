//! What a host knows of an order to drain it, and whether anything is left to be given back.

use std::sync::Arc;

use tokio::sync::watch;

use soloist_core::records::{DrainOrder, DrainProgress};

/// An order to drain this host, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// What it says.
    pub order: DrainOrder,
    /// The transaction that last wrote it: it tells one order from another.
    pub zxid: u64,
}

/// How many of a host's contenders still have something in their tasks, or may. A drained host is empty when none has.
#[derive(Clone, Debug, Default)]
pub struct Presence(Arc<watch::Sender<usize>>);

/// One contender that has something in its task, until this is dropped.
#[derive(Debug)]
pub struct Present(Presence);

impl Presence {
    /// How far the host has come with the order.
    pub(super) fn progress(&self, drain: &Drain) -> DrainProgress {
        DrainProgress {
            order: drain.zxid,
            empty: *self.0.borrow() == 0,
        }
    }

    /// Hears of each change of the count.
    pub(super) fn changes(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    /// Counts one contender.
    pub fn enter(&self) -> Present {
        self.0.send_modify(|count| *count += 1);
        Present(self.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
