//! One term of one plugin: activate, restart after failures, drain, demote or revoke.
//!
//! ```text
//! start -> [attempt -> failure or completion -> pause]* -> attempt ... demote -> draining -> demoted
//!                                                  \ past the limit, or the permit's end -> revoked
//! ```
//!
//! A task of its own holds each store. The supervisor, another task, watches the clock from outside: it can end a plugin
//! that never gives the control back, and says that the term is over only when the store is gone.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use soloist_core::clock;
use soloist_core::event::{About, Event};
use soloist_core::permit::{Permit, Phase};
use soloist_core::restart::{OnComplete, RestartPolicy};
use soloist_core::restart::{PluginFailed, Runs};
use soloist_core::state::State;
use soloist_core::term::{Demotion, Term};
use soloist_sandbox::{AfterCompletion, Drain, Failure, Leadership, Plugin, RunEnd};

/// How long a plugin may take to be gone once it is stopped by force. It is at its next call of the host, or within an epoch
/// tick: but not while it waits for the system.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How often it is looked whether it is.
const STOP_TICK: Duration = Duration::from_millis(100);

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

/// What an activation tells whoever started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `on_elected` has returned without an error.
    Completed,
    /// The plugin has run for so long that it has recovered from whatever was before. Said once in a term.
    Healthy,
    /// The plugin has failed, and been restarted as often as it may: the term has to end, and another host to try.
    Failed(PluginFailed),
    /// The plugin, or its completion, asks for the end of the term.
    ResignRequested {
        /// Why.
        reason: String,
    },
    /// The plugin could not be stopped, since the system does not come back from a call that it made: the process has to
    /// end. [`Notice::Stopped`] follows if it does come back.
    Stuck,
    /// The term is over for the plugin: it can have no effect any more. Always the last notice.
    Stopped {
        /// Whether it was stopped by force.
        by_force: bool,
    },
}

/// A plugin that leads. Dropping it revokes it.
#[derive(Debug)]
pub struct Activation {
    permit: Permit,
    demote_timeout: Duration,
    demand: watch::Sender<Option<Drain>>,
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
        let (demand, demanded) = watch::channel(None);
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
            demand,
        }
    }

    /// Begins demotion: from here on only what puts work away is allowed. Only the first call counts.
    ///
    /// [`Notice::Stopped`] follows within `demote_timeout` or the permit's end, whichever is earlier, and an epoch tick.
    pub fn demote(&self, reason: Demotion) {
        self.permit.drain();
        let until = clock::now() + self.demote_timeout;
        self.demand.send_if_modified(|demand| {
            let first = demand.is_none();
            demand.get_or_insert(Drain { reason, until });
            first
        });
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

/// Watches over the attempts of one term.
#[derive(Clone)]
struct Supervisor {
    plugin: Arc<Plugin>,
    settings: ActivationSettings,
    leadership: Leadership,
    notices: mpsc::UnboundedSender<Notice>,
    /// Whether the guest was ever entered in this term.
    entered: Arc<AtomicBool>,
}

impl Supervisor {
    async fn run(
        self,
        mut demanded: watch::Receiver<Option<Drain>>,
        drain: watch::Sender<Option<Drain>>,
        mut resignations: mpsc::UnboundedReceiver<String>,
    ) {
        let mut guests = JoinSet::new();
        let forced = tokio::select! {
            () = self.leadership.permit.ended() => true,
            () = self.drain(&mut demanded, &drain) => true,
            () = self.forward(&mut resignations) => true,
            () = self.attempts(&mut guests) => false,
        };
        self.leadership.permit.revoke();
        self.stop(&mut guests).await;
        let by_force = forced && self.entered.load(Ordering::Acquire);
        self.report_stopped(by_force);
        let Self {
            leadership,
            notices,
            ..
        } = self;
        // The state keeps the session open, which whoever hears of the end may want to close.
        drop(leadership);
        let _ = notices.send(Notice::Stopped { by_force });
    }

    /// Waits until nothing is left of the plugin, and says so when that takes too long.
    async fn stop(&self, guests: &mut JoinSet<Result<RunEnd, Failure>>) {
        // Counted, not measured: while the whole machine stood still nobody could have come back.
        for _ in 0..STUCK_AFTER.as_millis() / STOP_TICK.as_millis() {
            if tokio::time::timeout(STOP_TICK, guests.shutdown())
                .await
                .is_ok()
            {
                return;
            }
        }
        self.about().report(&Event::PluginStuck);
        self.notify(Notice::Stuck);
        guests.shutdown().await;
    }

    /// Reports that demotion was demanded, tells the plugin, and returns when that takes too long.
    async fn drain(
        &self,
        demanded: &mut watch::Receiver<Option<Drain>>,
        told: &watch::Sender<Option<Drain>>,
    ) {
        let demanded = demanded
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|demand| *demand);
        // Without an activation the permit is about to end.
        let Some(drain) = demanded else {
            return pending().await;
        };
        let reason = drain.reason;
        self.about().report(&Event::Draining { reason });
        told.send_replace(Some(drain));
        clock::sleep_until(drain.until).await;
    }

    /// Passes on what the plugin says about resigning, for ever.
    async fn forward(&self, resignations: &mut mpsc::UnboundedReceiver<String>) {
        while let Some(reason) = resignations.recv().await {
            self.notify(Notice::ResignRequested { reason });
        }
        pending::<()>().await;
    }

    /// Runs the plugin, and again after each run that does not end the term. Returns when it has stopped because demotion
    /// began.
    async fn attempts(&self, guests: &mut JoinSet<Result<RunEnd, Failure>>) {
        let mut runs = Runs::new(self.settings.restart);
        let mut was_healthy = false;
        loop {
            let began = clock::now();
            guests.spawn(self.clone().attempt());
            let ended = self.ended(guests, &mut was_healthy).await;
            let ran = clock::now().saturating_since(began);
            let pause = match ended {
                Ok(RunEnd::Demoted) => return,
                Ok(RunEnd::Completed) => {
                    let pause = runs.completed(ran);
                    self.report_completed(Some(pause));
                    pause
                }
                // Of what else it has failed nobody is told either, once its effects have ended: a plugin may say why.
                Err(failure)
                    if failure.is_lease_lost() || self.leadership.permit.check().is_err() =>
                {
                    // The lease may look renewed a moment later, but this plugin was already stopped in mid course.
                    self.leadership.permit.revoke();
                    return pending().await;
                }
                Err(failure) if self.is_draining() => return self.report_failed(&failure, None),
                Err(failure) => {
                    let pause = runs.failed(ran);
                    self.report_failed(&failure, pause);
                    let Some(pause) = pause else {
                        self.notify(Notice::Failed(PluginFailed {
                            cause: failure.cause,
                            restarts: runs.restarts(),
                        }));
                        self.leadership.demotion().await;
                        return;
                    };
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = self.leadership.demotion() => return,
            }
        }
    }

    /// Waits for the end of the run under way, and says when it has become a healthy one, once in a term.
    async fn ended(
        &self,
        guests: &mut JoinSet<Result<RunEnd, Failure>>,
        was_healthy: &mut bool,
    ) -> Result<RunEnd, Failure> {
        let mut healthy = pin!(tokio::time::sleep(self.settings.restart.healthy_after));
        loop {
            tokio::select! {
                joined = guests.join_next() => {
                    return joined.and_then(Result::ok).unwrap_or_else(|| Err(Failure::host_panicked()));
                }
                () = &mut healthy, if !*was_healthy => {
                    *was_healthy = true;
                    self.notify(Notice::Healthy);
                }
            }
        }
    }

    /// Runs the plugin once.
    async fn attempt(self) -> Result<RunEnd, Failure> {
        match self.leadership.permit.check() {
            Ok(Phase::Held) => {}
            Ok(_) => {
                self.leadership.demotion().await;
                return Ok(RunEnd::Demoted);
            }
            Err(lost) => return Err(Failure::lease_lost(lost)),
        }
        if !self.entered.swap(true, Ordering::AcqRel) {
            self.about().report(&Event::Activated);
        }
        let completed = |resigned: bool| {
            // A plugin that has resigned waits for the end that it asked for.
            let restart = self.settings.on_complete == OnComplete::Restart && !resigned;
            // A restart is reported when its pause is known. Whoever hears of a completion may act on it at once.
            if !restart {
                self.report_completed(None);
            }
            self.notify(Notice::Completed);
            if restart {
                return AfterCompletion::Go;
            }
            // Its own reason is the better one.
            if self.settings.on_complete == OnComplete::Resign && !resigned {
                self.notify(Notice::ResignRequested {
                    reason: "the plugin has completed".into(),
                });
            }
            AfterCompletion::Stay
        };
        self.plugin.run(self.leadership.clone(), completed).await
    }

    fn is_draining(&self) -> bool {
        self.leadership.drain.borrow().is_some()
    }

    fn about(&self) -> About<'_> {
        About::Term(&self.leadership.term)
    }

    fn notify(&self, notice: Notice) {
        // Whoever has gone away does not want to know.
        let _ = self.notices.send(notice);
    }

    fn report_completed(&self, restart_in: Option<Duration>) {
        self.about().report(&Event::PluginCompleted { restart_in });
    }

    fn report_failed(&self, failure: &Failure, restart_in: Option<Duration>) {
        self.about().report(&Event::PluginFailed {
            cause: failure.cause.clone(),
            backtrace: failure.backtrace.clone(),
            restart_in,
        });
    }

    fn report_stopped(&self, by_force: bool) {
        let drain = *self.leadership.drain.borrow();
        let overdue = self.overdue();
        let expired = || overdue.map(|_| Demotion::LeaseExpiring);
        let reason = drain.map(|drain| drain.reason).or_else(expired);
        let event = if by_force {
            let drained = drain.is_some();
            Event::Revoked {
                reason,
                overdue,
                drained,
            }
        } else {
            Event::Demoted { reason }
        };
        self.about().report(&event);
    }

    /// How long ago the lease ended, if it has: from then on the plugin could have no effect, however late a machine that
    /// is busy, or was stopped, comes to take it away.
    fn overdue(&self) -> Option<Duration> {
        let (lease, now) = (self.leadership.permit.deadline(), clock::now());
        (lease <= now).then(|| now.saturating_since(lease))
    }
}
