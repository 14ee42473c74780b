//! What watches over the attempts of one term, from outside of the plugin.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::demotions::TURN_MAX;
use super::{ActivationSettings, Demand, Notice};
use soloist_core::clock;
use soloist_core::event::{About, Event, Seconds};
use soloist_core::permit::Phase;
use soloist_core::restart::{OnComplete, PluginFailed, Runs};
use soloist_core::term::Demotion;
use soloist_sandbox::{AfterCompletion, Drain, Failure, Leadership, Plugin, RunEnd};

/// How long a plugin may take to be gone once it is stopped by force. It is at its next call of the host, or within an epoch
/// tick: but not while it waits for the system.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How often it is looked whether it is.
const STOP_TICK: Duration = Duration::from_millis(100);

/// How the plugin has stopped at the end of a term.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    ByItself,
    /// It did not in time, or had no time.
    Forced,
    /// By force, because it could not have heard that it has to.
    Unheard,
}

/// Watches over the attempts of one term.
#[derive(Clone)]
pub(super) struct Supervisor {
    pub(super) plugin: Arc<Plugin>,
    pub(super) settings: ActivationSettings,
    pub(super) leadership: Leadership,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    /// Whether the guest was ever entered in this term.
    pub(super) entered: Arc<AtomicBool>,
}

impl Supervisor {
    /// Runs the plugin for the term, and says that it has stopped only when nothing is left of it.
    pub(super) async fn run(
        self,
        mut demanded: oneshot::Receiver<Demand>,
        drain: watch::Sender<Option<Drain>>,
        mut resignations: mpsc::UnboundedReceiver<String>,
    ) {
        let mut guests = JoinSet::new();
        let how = tokio::select! {
            () = self.leadership.permit.ended() => Stop::Forced,
            () = self.drain(&mut demanded, &drain) => Stop::Forced,
            () = self.forward(&mut resignations) => Stop::Forced,
            how = self.attempts(&mut guests) => how,
        };
        self.leadership.permit.revoke();
        self.stop(&mut guests).await;
        let by_force = how != Stop::ByItself && self.entered.load(Ordering::Acquire);
        self.report_stopped(by_force, how);
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
        demanded: &mut oneshot::Receiver<Demand>,
        told: &watch::Sender<Option<Drain>>,
    ) {
        // Without an activation the permit is about to end.
        let Ok(Demand { drain, turn }) = demanded.await else {
            return pending().await;
        };
        let reason = drain.reason;
        self.about().report(&Event::Draining { reason });
        told.send_replace(Some(drain));
        // It is over sooner if the plugin stops, since this future is dropped then.
        clock::sleep_until(drain.until.min(clock::now() + TURN_MAX)).await;
        drop(turn);
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
    /// began, and says how.
    async fn attempts(&self, guests: &mut JoinSet<Result<RunEnd, Failure>>) -> Stop {
        let mut runs = Runs::new(self.settings.restart);
        let mut was_healthy = false;
        let mut failures: u32 = 0;
        loop {
            let began = clock::now();
            self.notify(Notice::Running { since: began });
            guests.spawn(self.clone().attempt());
            let ended = self.ended(guests, &mut was_healthy).await;
            let ran = clock::now().saturating_since(began);
            let pause = match ended {
                Ok(RunEnd::Demoted) => return Stop::ByItself,
                Ok(RunEnd::Unheard { first }) => {
                    if first {
                        self.about().report(&Event::PluginUnreachable);
                    }
                    return Stop::Unheard;
                }
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
                Err(failure) if self.is_draining() => {
                    self.report_failed(&failure, None);
                    return Stop::ByItself;
                }
                Err(failure) => {
                    let pause = runs.failed(ran);
                    self.report_failed(&failure, pause);
                    let Some(pause) = pause else {
                        self.notify(Notice::Failed(PluginFailed {
                            cause: failure.cause,
                            restarts: runs.restarts(),
                        }));
                        self.leadership.demotion().await;
                        return Stop::ByItself;
                    };
                    failures = failures.saturating_add(1);
                    self.notify(Notice::Restarting {
                        failures,
                        cause: failure.cause,
                        pause,
                    });
                    pause
                }
            };
            tokio::select! {
                () = self.plugin.clock().sleep(pause) => {}
                _ = self.leadership.demotion() => return Stop::ByItself,
            }
        }
    }

    /// Waits for the end of the run under way, and says when it has become a healthy one, once in a term.
    async fn ended(
        &self,
        guests: &mut JoinSet<Result<RunEnd, Failure>>,
        was_healthy: &mut bool,
    ) -> Result<RunEnd, Failure> {
        let mut healthy = pin!(
            self.plugin
                .clock()
                .sleep(self.settings.restart.healthy_after)
        );
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
        let restart_in = restart_in.map(Seconds);
        self.about().report(&Event::PluginCompleted { restart_in });
    }

    fn report_failed(&self, failure: &Failure, restart_in: Option<Duration>) {
        self.about().report(&Event::PluginFailed {
            cause: failure.cause.clone(),
            backtrace: failure.backtrace.clone(),
            restart_in: restart_in.map(Seconds),
        });
    }

    fn report_stopped(&self, by_force: bool, how: Stop) {
        let drain = *self.leadership.drain.borrow();
        let overdue = self.overdue();
        let expired = || overdue.map(|_| Demotion::LeaseExpiring);
        let reason = drain.map(|drain| drain.reason).or_else(expired);
        let event = if by_force {
            let drained = drain.is_some() && how != Stop::Unheard;
            Event::Revoked {
                reason,
                overdue: overdue.map(Seconds),
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
