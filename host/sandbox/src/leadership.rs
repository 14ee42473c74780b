//! One term as a plugin has it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use soloist_core::clock::{self, Moment};
use soloist_core::permit::{Permit, Phase};
use soloist_core::state::State;
use soloist_core::term::{Demotion, Term};

/// Demotion has begun.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Why.
    pub reason: Demotion,
    /// When the plugin is stopped by force if it has not stopped by then.
    pub until: Moment,
}

/// One term as its plugin sees it. Clones share it.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The term.
    pub term: Arc<Term>,
    /// The permission to have effects in it.
    pub permit: Permit,
    /// What the task keeps from term to term.
    pub state: Arc<dyn State>,
    /// Holds something once demotion has begun.
    pub drain: watch::Receiver<Option<Drain>>,
    /// Where the reasons go that the plugin gives for resigning.
    pub resignations: mpsc::UnboundedSender<String>,
}

impl Leadership {
    /// Waits until demotion begins; for ever if nobody is left who could begin it.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn demotion(&self) -> Drain {
        let mut drain = self.drain.clone();
        let begun = drain
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|drain| *drain);
        match begun {
            Some(drain) => drain,
            None => std::future::pending().await,
        }
    }

    /// Whether demotion has begun: from the moment on at which effects are refused because of it.
    pub(crate) fn has_demotion_begun(&self) -> bool {
        self.permit.check() != Ok(Phase::Held)
    }

    /// How long the plugin may still act: until it is stopped by force if demotion has begun, and never longer than the lease.
    pub(crate) fn remaining(&self) -> Duration {
        let lease = self.permit.deadline();
        let end = self
            .drain
            .borrow()
            .map_or(lease, |drain| drain.until.min(lease));
        end.saturating_since(clock::now())
    }
}
