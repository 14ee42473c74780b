//! One term of one plugin: activate, restart after failures, drain, demote or revoke.
//!
//! ```text
//! start -> [attempt -> failure or completion -> pause]* -> attempt ... demote -> draining -> demoted
//!                                                  \ past the limit, or the permit's end -> revoked
//! ```
//!
//! A task of its own holds each store. The supervisor, another task, watches the clock from outside: it can end a plugin
//! that never gives the control back, and says that the term is over only when the store is gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use soloist_core::clock;
use soloist_core::permit::Permit;
use soloist_core::restart::{OnComplete, RestartPolicy};
use soloist_core::state::State;
use soloist_core::term::{Demotion, Term};
use soloist_sandbox::{Drain, Leadership, Plugin};

mod demotions;
mod notice;
mod supervisor;

pub use demotions::{Demotions, Turn};
pub use notice::Notice;

use supervisor::Supervisor;

/// How a plugin is run in a term.
#[derive(Clone, Copy, Debug)]
pub struct ActivationSettings {
    /// How long demotion may take before the plugin is stopped by force.
    pub demote_timeout: Duration,
    /// What follows a failure.
    pub restart: RestartPolicy,
    /// What follows the end of `on_elected`.
    pub on_complete: OnComplete,
}

impl Default for ActivationSettings {
    fn default() -> Self {
        Self {
            demote_timeout: Duration::from_secs(2),
            restart: RestartPolicy::default(),
            on_complete: OnComplete::default(),
        }
    }
}

/// A plugin that leads. Dropping it revokes it.
#[derive(Debug)]
pub struct Activation {
    permit: Permit,
    demote_timeout: Duration,
    /// None once demotion has begun.
    demand: Mutex<Option<oneshot::Sender<Demand>>>,
}

/// What the supervisor is asked for.
#[derive(Debug)]
struct Demand {
    drain: Drain,
    /// Is over when the plugin has stopped, or has had its time.
    turn: Option<Turn>,
}

impl Activation {
    /// Starts the plugin on `runtime` and returns at once.
    ///
    /// It runs until it is demoted, revoked, or its permit ends, whatever comes first; then [`Notice::Stopped`] follows, and
    /// nothing holds `state` any more. `runtime` must be a multi-threaded one, and not the one that renews the lease.
    pub fn start(
        runtime: &Handle,
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        term: Term,
        permit: Permit,
        state: Arc<dyn State>,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        let (demand, demanded) = oneshot::channel();
        let (drain, draining) = watch::channel(None);
        let (resign, resignations) = mpsc::unbounded_channel();
        let leadership = Leadership {
            term: Arc::new(term),
            permit: permit.clone(),
            state,
            drain: draining,
            resignations: resign,
        };
        let supervisor = Supervisor {
            plugin,
            settings,
            leadership,
            notices,
            entered: Arc::default(),
        };
        runtime.spawn(supervisor.run(demanded, drain, resignations));
        Self {
            permit,
            demote_timeout: settings.demote_timeout,
            demand: Mutex::new(Some(demand)),
        }
    }

    /// Begins demotion: from here on only what puts work away is allowed. Only the first call counts.
    ///
    /// [`Notice::Stopped`] follows within `demote_timeout` or the permit's end, whichever is earlier, and an epoch tick.
    pub fn demote(&self, reason: Demotion) {
        self.begin(reason, None);
    }

    /// The same in its `turn`, which is over when the plugin has stopped, or has taken long.
    pub fn demote_in(&self, turn: Option<Turn>, reason: Demotion) {
        self.begin(reason, turn);
    }

    fn begin(&self, reason: Demotion, turn: Option<Turn>) {
        self.permit.drain();
        let until = clock::now() + self.demote_timeout;
        let drain = Drain { reason, until };
        // It is right whoever panicked while holding it.
        let demand = self
            .demand
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(demand) = demand {
            // A supervisor that is gone has stopped the plugin.
            let _ = demand.send(Demand { drain, turn });
        }
    }

    /// Ends the term by force, now. The reason that is reported is the one of an earlier `demote`.
    pub fn revoke(&self) {
        self.permit.revoke();
    }
}

impl Drop for Activation {
    fn drop(&mut self) {
        self.permit.revoke();
    }
}
