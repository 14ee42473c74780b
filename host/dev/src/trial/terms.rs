//! The terms of a life: who leads, and what happens to the leader.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use soloist_core::clock;
use soloist_core::permit::{Permit, SharedDeadline};
use soloist_core::state::State;
use soloist_core::term::{Demotion, FencingToken, Term};
use soloist_runtime::activation::{Activation, ActivationSettings, Notice};
use soloist_sandbox::Plugin;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::script::Standing;

/// Longer than any life.
const LEASE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The terms so far, and the one under way, if there is one.
pub(super) struct Terms {
    plugin: Arc<Plugin>,
    settings: ActivationSettings,
    task: Arc<str>,
    state: Arc<dyn State>,
    count: u64,
    tenure: Option<Tenure>,
    standing: Option<Standing>,
}

/// The term under way.
struct Tenure {
    leader: Arc<Activation>,
    deadline: SharedDeadline,
    notices: mpsc::UnboundedReceiver<Notice>,
}

impl Terms {
    pub(super) fn new(
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        task: Arc<str>,
        state: Arc<dyn State>,
    ) -> Self {
        Self {
            plugin,
            settings,
            task,
            state,
            count: 0,
            tenure: None,
            standing: None,
        }
    }

    /// How many there were; the last of them has this number.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How the last one is.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.standing
    }

    pub(super) fn is_led(&self) -> bool {
        self.tenure.is_some()
    }

    /// Elects a host, which starts the plugin.
    pub(super) fn elect(&mut self, host: &str) -> Arc<Activation> {
        self.count += 1;
        let number = self.count;
        let term = Term {
            number,
            fencing_token: FencingToken(1000 + number),
            task: Arc::clone(&self.task),
            host: host.into(),
            record_version: i32::try_from(number).unwrap_or(i32::MAX),
        };
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + LEASE);
        let (sender, notices) = mpsc::unbounded_channel();
        let leader = Arc::new(Activation::start(
            &Handle::current(),
            Arc::clone(&self.plugin),
            self.settings,
            term,
            Permit::new(deadline.clone()),
            Arc::clone(&self.state),
            sender,
        ));
        self.standing = Some(Standing::Running);
        self.tenure = Some(Tenure {
            leader: Arc::clone(&leader),
            deadline,
            notices,
        });
        leader
    }

    /// Demotes the leader, if there is one.
    pub(super) fn demote(&self, reason: Demotion) {
        if let Some(tenure) = &self.tenure {
            tenure.leader.demote(reason);
        }
    }

    /// Stops the leader by force, if there is one.
    pub(super) fn revoke(&self) {
        if let Some(tenure) = &self.tenure {
            tenure.leader.revoke();
        }
    }

    /// Ends the leader's lease, if there is one.
    pub(super) fn lose_lease(&self) {
        if let Some(tenure) = &self.tenure {
            tenure.deadline.end();
        }
    }

    /// What the term under way tells its host; nothing, for ever, where there is none.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn notice(&mut self) -> Notice {
        let Some(tenure) = &mut self.tenure else {
            return pending().await;
        };
        match tenure.notices.recv().await {
            Some(notice) => notice,
            // It never comes back.
            None => pending().await,
        }
    }

    /// The term is over.
    pub(super) fn end(&mut self, by_force: bool) {
        self.tenure = None;
        self.standing = Some(if by_force {
            Standing::Revoked
        } else {
            Standing::Demoted
        });
    }
}
