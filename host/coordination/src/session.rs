//! Keeps a ZooKeeper session, and the lease that rests on it.
//!
//! ```text
//!   connecting --> read-only --> connecting ...
//!       |
//!       +--> registered --> [ heartbeats; connected <-> disconnected ] --> expired, auth failed --> connecting ...
//!                                                                    \--> closed (shutdown)
//! ```
//!
//! A host has one session. It is published as a [`View`] once its host node exists, and withdrawn when it has ended:
//! then its lease is void at once, and a new session is asked for, for ever.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, SessionState, StateWatcher};

use super::connect::probe::{self, Probe};
use super::connect::{Ensemble, SessionError, SessionSettings};
use soloist_core::clock;
use soloist_core::event::{About, Event, Seconds, SessionId};
use soloist_core::lease::{Lease, Timing};
use soloist_core::permit::SharedDeadline;
use soloist_core::records;

mod establish;
mod heartbeats;

/// The ensemble could not be used within the time allowed.
#[derive(Debug, thiserror::Error)]
#[error("no session that can be used with {servers} within {within:?}")]
pub struct GaveUp {
    servers: String,
    within: Duration,
    /// What the last attempt failed with.
    source: SessionError,
}

/// A live session. Whoever holds one keeps the session open: let go of it when the [`View`] changes.
#[derive(Debug)]
pub struct Session {
    /// Below the chroot.
    client: Client,
    /// The same session, above the chroot: who deletes that takes away what nobody below could make anew.
    whole: Client,
    chroot: String,
    host: Arc<str>,
    acl: Vec<Acl>,
    deadline: SharedDeadline,
    left: Notify,
}

impl Session {
    /// The id the ensemble gave it: the owner of its ephemeral nodes.
    pub fn id(&self) -> i64 {
        self.client.session_id().0
    }

    /// The id of this host.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// Until when the session's lease allows effects.
    pub fn deadline(&self) -> &SharedDeadline {
        &self.deadline
    }

    /// Lets the session go, for good: the keeper stops renewing its lease, and closes it when demotion has had its time.
    pub fn leave(&self) {
        self.left.notify_one();
    }

    /// Makes sure that a node and all above it exist, the chroot included; they are persistent, with this host's ACL.
    pub(super) async fn ensure(&self, path: &str) -> Result<(), Error> {
        ensure_path(&self.whole, &format!("{}{path}", self.chroot), self.acls()).await
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn acls(&self) -> Acls<'_> {
        Acls::new(&self.acl)
    }

    pub(super) fn acl(&self) -> &[Acl] {
        &self.acl
    }
}

/// What is known of the session.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The session, if one is there.
    pub session: Option<Arc<Session>>,
    /// The session timeout that its lease goes by, which can be shorter than what was agreed on; of the last session, if there
    /// is none now.
    pub session_timeout: Option<Duration>,
    /// Counts how often a connection was lost and found again: what was watched must be read again.
    pub reconnects: u64,
}

/// Keeps sessions coming.
#[derive(Debug)]
pub struct Keeper {
    settings: SessionSettings,
    view: watch::Sender<View>,
    /// The longest time that any task needs for its demotion, now.
    demote_timeout: watch::Sender<Duration>,
    probe: Probe,
}

/// What becomes of the last session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// It is closed: what it holds is free at once.
    Close,
    /// It is left as it is, and expires when the process has ended.
    Expire,
}

/// A session with what is needed to keep it.
struct Live {
    session: Arc<Session>,
    states: StateWatcher,
    lease: Lease,
    timing: Timing,
}

impl Keeper {
    /// A keeper, and the view of the sessions it will get.
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

    /// Where the longest time that any task needs for its demotion is set, while the keeper runs.
    pub fn demote_timeout(&self) -> watch::Sender<Duration> {
        self.demote_timeout.clone()
    }

    /// Keeps sessions until `stop` resolves; then closes the last one and sees it closed, if that is what it says.
    ///
    /// # Errors
    /// [`GaveUp`] when the time allowed for the first session is over.
    pub async fn run(self, stop: impl Future<Output = SessionEnd>) -> Result<(), GaveUp> {
        tokio::pin!(stop);
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
                // The nodes of a session that the host has given up would be in the way of the next one.
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
        }
    }

    /// Asks the servers which session timeout they agree to, now and whenever the session may have moved, for ever.
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

    /// Reports what becomes of the session, until it has ended.
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

fn report_connected(session: &Session, again: bool) {
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

/// Closes a session and sees it closed, so that its nodes do not outlive this process until it expires.
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
        // Nothing is left to be closed, and nothing more will be heard of it.
        state if state.is_terminated() => {
            return report_closed(id, format!("has ended: {state:?}"));
        }
        _ => {}
    }
    // The close is sent when the last clone of the client is gone.
    drop(session);
    let closed = async { while !states.changed().await.is_terminated() {} };
    let how = match tokio::time::timeout(timing.span(), closed).await {
        Ok(()) => "is closed",
        Err(_) => "is left to expire: the ensemble does not answer",
    };
    report_closed(id, how);
}

/// Makes sure that `path` and all above it exist: persistent, with the ACL given where they are created.
async fn ensure_path(client: &Client, path: &str, acls: Acls<'_>) -> Result<(), Error> {
    // To look first is cheaper: an attempt to create what is there costs the ensemble as much as a write.
    if client.check_stat(path).await?.is_some() {
        return Ok(());
    }
    if let Some(parent) = records::parent(path) {
        Box::pin(ensure_path(client, parent, acls)).await?;
    }
    match client
        .create(path, b"", &CreateMode::Persistent.with_acls(acls))
        .await
    {
        Ok(_) | Err(Error::NodeExists) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits for the time given and tells it; for ever if there is none.
async fn wait(time: Option<Duration>) -> Duration {
    match time {
        Some(time) => {
            tokio::time::sleep(time).await;
            time
        }
        None => pending().await,
    }
}
