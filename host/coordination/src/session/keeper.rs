//! Keeps sessions coming, one after another.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zookeeper_client::{Error, SessionState, StateWatcher};

use super::view::{Session, View};
use crate::connect::probe::{self, Probe};
use crate::connect::{Ensemble, SessionError, SessionSettings};
use soloist_core::clock;
use soloist_core::event::{About, Event, Seconds, SessionId};
use soloist_core::lease::{Lease, Timing};

/// The host got no session within `connect_timeout`.
#[derive(Debug, thiserror::Error)]
#[error("no session that can be used with {servers} within {within:?}")]
pub struct GaveUp {
    servers: String,
    within: Duration,
    /// The error of the last attempt.
    source: SessionError,
}

/// Keeps a session. When it ends, the keeper gets another one.
#[derive(Debug)]
pub struct Keeper {
    pub(super) settings: SessionSettings,
    pub(super) view: watch::Sender<View>,
    /// The longest time that a task of the host may need for its demotion at present.
    pub(super) demote_timeout: watch::Sender<Duration>,
    pub(super) probe: Probe,
}

/// What the keeper does with the last session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// It closes the session. What the session holds is free at once.
    Close,
    /// It leaves the session open. The session expires after the process has ended.
    Expire,
}

/// A session, and what the keeper needs to keep it.
pub(super) struct Live {
    pub(super) session: Arc<Session>,
    pub(super) states: StateWatcher,
    pub(super) lease: Lease,
    pub(super) timing: Timing,
}

impl Keeper {
    /// A keeper, and the view of its sessions.
    pub fn new(settings: SessionSettings) -> (Self, watch::Receiver<View>) {
        let (view, receiver) = watch::channel(View::default());
        let demote_timeout = watch::Sender::new(settings.demote_timeout);
        let ensemble = &settings.ensemble;
        let probe = Probe::new(
            &ensemble.servers,
            ensemble.session_timeout,
            ensemble.auth.clone(),
        );
        (
            Self {
                settings,
                view,
                demote_timeout,
                probe,
            },
            receiver,
        )
    }

    /// Sets, while the keeper runs, the longest time that a task of the host may need for its demotion.
    pub fn demote_timeout(&self) -> watch::Sender<Duration> {
        self.demote_timeout.clone()
    }

    /// Keeps sessions until `stop` resolves. Its value says whether the keeper then closes the last session, and waits until the
    /// ensemble has closed it.
    ///
    /// # Errors
    /// [`GaveUp`] if there was no session within `connect_timeout`.
    ///
    /// # Cancellation safety
    /// None. If the future is dropped, nobody renews the lease, and the session stays open as long as somebody holds it.
    pub async fn run(self, stop: impl Future<Output = SessionEnd>) -> Result<(), GaveUp> {
        tokio::pin!(stop);
        tokio::spawn(self.tell_when_empty());
        let mut time_left = self.settings.connect_timeout;
        let mut first = true;
        loop {
            let mut last_error = None;
            let mut live = tokio::select! {
                _ = &mut stop => return Ok(()),
                live = self.establish(&mut last_error) => live,
                within = wait(time_left) => {
                    let source = match last_error {
                        Some(error) => error,
                        None => self.unconnected(&Error::Timeout).await,
                    };
                    return Err(GaveUp { servers: self.settings.ensemble.servers.clone(), within, source });
                }
            };
            time_left = None;
            if std::mem::take(&mut first) {
                let SessionSettings {
                    ensemble: Ensemble { servers, auth, .. },
                    tick_time,
                    ..
                } = &self.settings;
                tokio::spawn(probe::check_ticks(
                    servers.clone(),
                    *tick_time,
                    auth.clone(),
                ));
            }
            let deadline = live.session.deadline.clone();
            self.view.send_modify(|view| {
                view.session = Some(live.session.clone());
                view.session_timeout = Some(live.timing.session_timeout());
            });
            let stopped = tokio::select! {
                end = &mut stop => Some(end),
                () = self.keep(&mut live) => None,
            };
            deadline.end();
            self.view.send_modify(|view| view.session = None);
            match stopped {
                Some(SessionEnd::Close) => {
                    close(live).await;
                    return Ok(());
                }
                Some(SessionEnd::Expire) => return Ok(()),
                // The nodes of a session that the host has given up would block its next session.
                None if !live.states.peek_state().is_terminated() => close(live).await,
                None => {}
            }
        }
    }

    /// Keeps a session until it has ended.
    async fn keep(&self, live: &mut Live) {
        let Live {
            session,
            states,
            lease,
            timing,
        } = live;
        tokio::select! {
            () = self.heartbeats(session, lease, timing) => {}
            () = self.follow(session, states) => {}
            () = self.ask_servers() => {}
            () = self.follow_drain(session) => {}
        }
    }

    /// Asks the servers which session timeout they grant: now, and whenever the session may have moved to another server.
    async fn ask_servers(&self) {
        let mut view = self.view.subscribe();
        loop {
            let reconnects = view.borrow_and_update().reconnects;
            let asking = async {
                self.probe.ask_until_answered().await;
                pending::<()>().await;
            };
            tokio::select! {
                () = asking => {}
                // The sender lives as long as the keeper.
                _ = view.wait_for(|view| view.reconnects != reconnects) => {}
            }
        }
    }

    /// Reports the states of the session until it has ended.
    async fn follow(&self, session: &Session, states: &mut StateWatcher) {
        loop {
            match states.changed().await {
                SessionState::SyncConnected => {
                    report_connected(session, true);
                    self.view.send_modify(|view| view.reconnects += 1);
                }
                SessionState::Disconnected => {
                    About::Session.report(&Event::SessionDisconnected {
                        lease: session.deadline.get().saturating_since(clock::now()),
                    });
                }
                SessionState::ConnectedReadOnly => {
                    About::Session.report(&Event::SessionReadOnly {
                        text: "the server at hand cannot write".into(),
                        retry_in: None,
                    });
                }
                SessionState::Expired => {
                    let session = SessionId(session.id());
                    return About::Session.report(&Event::SessionExpired { session });
                }
                SessionState::AuthFailed => {
                    return About::Session.report(&Event::SessionAuthFailed {
                        text: "the ensemble refuses the credentials".into(),
                        retry_in: None,
                    });
                }
                SessionState::Closed => {
                    return report_closed(session.id(), "was closed");
                }
            }
        }
    }
}

pub(super) fn report_connected(session: &Session, again: bool) {
    About::Session.report(&Event::SessionConnected {
        session: SessionId(session.id()),
        session_timeout: Seconds(session.client.session_timeout()),
        again,
    });
}

fn report_closed(id: i64, how: impl Into<String>) {
    About::Session.report(&Event::SessionClosed {
        session: SessionId(id),
        how: how.into(),
    });
}

/// Closes a session and waits until the ensemble has closed it. Otherwise its nodes would outlive this process until the
/// session expires.
async fn close(live: Live) {
    let Live {
        session,
        mut states,
        timing,
        ..
    } = live;
    let id = session.id();
    match states.state() {
        SessionState::Disconnected => {
            return report_closed(id, "is left to expire: not connected");
        }
        // A session that has ended needs no close.
        state if state.is_terminated() => {
            return report_closed(id, format!("has ended: {state:?}"));
        }
        _ => {}
    }
    // The client library sends the close when the last clone of the client is dropped.
    drop(session);
    let closed = async { while !states.changed().await.is_terminated() {} };
    let how = match tokio::time::timeout(timing.span(), closed).await {
        Ok(()) => "is closed",
        Err(_) => "is left to expire: the ensemble does not answer",
    };
    report_closed(id, how);
}

/// Waits for the given time and returns it. Waits for ever if there is none.
async fn wait(time: Option<Duration>) -> Duration {
    match time {
        Some(time) => {
            tokio::time::sleep(time).await;
            time
        }
        None => pending().await,
    }
}
