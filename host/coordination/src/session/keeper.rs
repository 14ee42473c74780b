//! Keeps sessions coming, one after another.

use std::future::pending;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use zookeeper_client::{Error, SessionState, StateWatcher};

use super::drain::Presence;
use super::turns::Together;
use super::view::{Session, View};
use crate::connect::probe::{self, Probe};
use crate::connect::{ConnectError, IdentityError, SessionError, SessionSettings, verify};
use soloist_core::clock::{self, Moment};
use soloist_core::event::{About, Event, Seconds, SessionId, chain};
use soloist_core::lease::{Lease, Timing};
use soloist_core::placement::HostLoad;
use soloist_core::records;

/// The part of a session timeout in which standbys begin to look at their queues after a reconnection.
const STAGGER: u32 = 10;

/// The host never had a session, and tries no more.
#[derive(Debug, thiserror::Error)]
pub enum GaveUp {
    /// There was none within `connect_timeout`.
    #[error("no session that can be used with {servers} within {within:?}")]
    Late {
        /// The servers.
        servers: String,
        /// The time.
        within: Duration,
        /// The error of the last attempt.
        source: SessionError,
    },
    /// The user that was shown by SASL is not known.
    #[error(transparent)]
    Unknown(IdentityError),
}

/// Keeps a session. When it ends, the keeper gets another one.
#[derive(Debug)]
pub struct Keeper {
    pub(super) settings: Arc<SessionSettings>,
    /// Which of the host's sessions that is.
    pub(super) shard: Shard,
    pub(super) view: watch::Sender<View>,
    /// The longest time that a task in the session may need for its demotion at present.
    pub(super) demote_timeout: watch::Sender<Duration>,
    /// What the host says of itself with its heartbeats.
    pub(super) load: watch::Sender<Option<HostLoad>>,
    /// Since when its node is there.
    pub(super) registered: watch::Sender<Moment>,
    pub(super) probe: Arc<Probe>,
    /// How many requests all sessions of the host may have under way.
    pub(super) together: Together,
}

/// Which of a host's sessions a keeper keeps.
#[derive(Clone, Debug)]
pub(super) enum Shard {
    /// The first, which stands for the host: its node is the host's.
    First,
    /// A further one, which has a number from 2 on. It begins only while the first is there, so that two processes of one host id
    /// do not share its tasks.
    Further(u32, watch::Receiver<View>),
}

/// Makes the keepers of a host's further sessions. They share what is known of the servers, and which contenders there are.
#[derive(Clone, Debug)]
pub struct Siblings {
    settings: Arc<SessionSettings>,
    probe: Arc<Probe>,
    together: Together,
    presence: Presence,
    first: watch::Receiver<View>,
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
    /// The keeper of a host's first session, and the view of its sessions.
    pub fn new(settings: SessionSettings) -> (Self, watch::Receiver<View>) {
        let (view, receiver) = watch::channel(View::default());
        let demote_timeout = watch::Sender::new(settings.demote_timeout);
        let probe = Arc::new(Probe::new(settings.ensemble.clone()));
        let keeper = Self {
            settings: Arc::new(settings),
            shard: Shard::First,
            view,
            demote_timeout,
            load: watch::Sender::new(None),
            registered: watch::Sender::new(clock::now()),
            probe,
            together: Together::default(),
        };
        (keeper, receiver)
    }

    /// What makes the keepers of further sessions of this host. The first has to run for as long as they do.
    pub fn siblings(&self) -> Siblings {
        Siblings {
            settings: Arc::clone(&self.settings),
            probe: Arc::clone(&self.probe),
            together: self.together.clone(),
            presence: self.view.borrow().presence.clone(),
            first: self.view.subscribe(),
        }
    }

    /// What an event of this session is about.
    pub(super) fn about(&self) -> About<'static> {
        match self.shard {
            Shard::First => About::Session,
            Shard::Further(number, _) => About::Shard(number),
        }
    }

    /// The node that its heartbeats write.
    pub(super) fn node(&self) -> String {
        let (root, host) = (&self.settings.ensemble.root, &self.settings.host);
        match self.shard {
            Shard::First => records::host_path(root, host),
            Shard::Further(number, _) => records::shard_path(root, number, host),
        }
    }

    pub(super) fn is_first(&self) -> bool {
        matches!(self.shard, Shard::First)
    }

    /// Sets, while the keeper runs, the longest time that a task in its session may need for its demotion.
    pub fn demote_timeout(&self) -> watch::Sender<Duration> {
        self.demote_timeout.clone()
    }

    /// Sets, while the keeper runs, what the host says of itself. For how long its node is there the keeper adds.
    pub fn load(&self) -> watch::Sender<Option<HostLoad>> {
        self.load.clone()
    }

    /// For how long the host's node has been there.
    pub(super) fn up(&self) -> Duration {
        clock::now().saturating_since(*self.registered.borrow())
    }

    /// Keeps sessions until `stop` resolves. Its value says whether the keeper then closes the last session, and waits until the
    /// ensemble has closed it.
    ///
    /// # Errors
    /// [`GaveUp`] if there was no session within `connect_timeout`, or the user of `sasl_file` is not known before there was one.
    ///
    /// # Cancellation safety
    /// None. If the future is dropped, nobody renews the lease, and the session stays open as long as somebody holds it.
    pub async fn run(self, stop: impl Future<Output = SessionEnd>) -> Result<(), GaveUp> {
        tokio::pin!(stop);
        let mut companions = JoinSet::new();
        if self.is_first() {
            companions.spawn(self.tell_when_empty());
            companions.spawn(Arc::clone(&self.probe).run());
            // Also while there is no session: it may be the certificate that is in the way.
            if let Some(tls) = &self.settings.ensemble.tls {
                companions.spawn(tls.clone().follow());
            }
        }
        let mut time_left = self.settings.connect_timeout.filter(|_| self.is_first());
        let mut is_first_session = true;
        loop {
            let mut last_error = None;
            let mut live = tokio::select! {
                _ = &mut stop => return Ok(()),
                live = self.establish(is_first_session && self.is_first(), &mut last_error) => live.map_err(GaveUp::Unknown)?,
                within = wait(time_left) => {
                    let source = match last_error {
                        Some(error) => error,
                        None => self.unconnected(&Error::Timeout).await,
                    };
                    return Err(GaveUp::Late { servers: self.settings.ensemble.servers.clone(), within, source });
                }
            };
            time_left = None;
            if std::mem::take(&mut is_first_session) && self.is_first() {
                let SessionSettings {
                    ensemble,
                    tick_time,
                    ..
                } = &*self.settings;
                tokio::spawn(probe::check_ticks(ensemble.clone(), *tick_time));
            }
            let deadline = live.session.deadline.clone();
            let id = live.session.id();
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
                    if close(self.about(), live).await {
                        self.forget(id);
                    }
                    return Ok(());
                }
                Some(SessionEnd::Expire) => return Ok(()),
                // The nodes of a session that the host has given up would block its next session.
                None if !live.states.peek_state().is_terminated() => {
                    if close(self.about(), live).await {
                        self.forget(id);
                    }
                }
                None => self.forget(id),
            }
        }
    }

    /// Tells the guardian that the session has ended, and its node with it.
    fn forget(&self, session: i64) {
        self.settings.guardian.let_go(session, &self.node());
    }

    /// Keeps a session until it has ended.
    async fn keep(&self, live: &mut Live) {
        let Live {
            session,
            states,
            lease,
            timing,
        } = live;
        self.probe.wake();
        tokio::select! {
            () = self.heartbeats(session, lease, timing) => {}
            () = self.follow(session, states) => {}
            () = self.follow_drain(session) => {}
        }
    }

    pub(super) fn report_connected(&self, session: &Session, again: bool) {
        self.about().report(&Event::SessionConnected {
            session: SessionId(session.id()),
            session_timeout: Seconds(session.client.session_timeout()),
            again,
        });
    }

    /// Reports the states of the session until it has ended.
    async fn follow(&self, session: &Session, states: &mut StateWatcher) {
        loop {
            match states.changed().await {
                SessionState::SyncConnected => {
                    // All hosts have lost a server at once. Those that lead look first, and others not all at once.
                    session
                        .turns
                        .hold(up_to(session.client.session_timeout() / STAGGER));
                    // Only one of the servers may know the user.
                    match verify(&session.client, &self.settings.ensemble).await {
                        Ok(()) => {}
                        // The next state tells what becomes of it.
                        Err(ConnectError::Client(
                            Error::ConnectionLoss | Error::SessionExpired,
                        )) => continue,
                        Err(error) => {
                            return self.about().report(&Event::SessionAuthFailed {
                                text: chain(&error),
                                retry_in: None,
                            });
                        }
                    }
                    self.report_connected(session, true);
                    // The session may have moved to another server.
                    self.probe.wake();
                    self.view.send_modify(|view| view.reconnects += 1);
                }
                SessionState::Disconnected => {
                    self.about().report(&Event::SessionDisconnected {
                        lease: session.deadline.get().saturating_since(clock::now()),
                    });
                }
                SessionState::ConnectedReadOnly => {
                    self.about().report(&Event::SessionReadOnly {
                        text: "the server at hand cannot write".into(),
                        retry_in: None,
                    });
                }
                SessionState::Expired => {
                    let session = SessionId(session.id());
                    return self.about().report(&Event::SessionExpired { session });
                }
                SessionState::AuthFailed => {
                    return self.about().report(&Event::SessionAuthFailed {
                        text: "the ensemble refuses the credentials".into(),
                        retry_in: None,
                    });
                }
                SessionState::Closed => {
                    return report_closed(self.about(), session.id(), "was closed");
                }
            }
        }
    }
}

impl Siblings {
    /// The keeper of the session of that number, which counts from 2, and the view of its sessions. There must be one only at a
    /// time.
    pub fn keeper(&self, number: u32) -> (Keeper, watch::Receiver<View>) {
        let (view, receiver) = watch::channel(View {
            presence: self.presence.clone(),
            ..View::default()
        });
        let keeper = Keeper {
            settings: Arc::clone(&self.settings),
            shard: Shard::Further(number, self.first.clone()),
            view,
            demote_timeout: watch::Sender::new(self.settings.demote_timeout),
            // The first session says that for the host.
            load: watch::Sender::new(None),
            registered: watch::Sender::new(clock::now()),
            probe: Arc::clone(&self.probe),
            together: self.together.clone(),
        };
        (keeper, receiver)
    }
}

fn report_closed(about: About<'_>, id: i64, how: impl Into<String>) {
    about.report(&Event::SessionClosed {
        session: SessionId(id),
        how: how.into(),
    });
}

/// Closes a session and waits until the ensemble has closed it. Otherwise its nodes would outlive this process until the
/// session expires. Says whether the session has ended.
async fn close(about: About<'_>, live: Live) -> bool {
    let Live {
        session,
        mut states,
        timing,
        ..
    } = live;
    let id = session.id();
    match states.state() {
        SessionState::Disconnected => {
            report_closed(about, id, "is left to expire: not connected");
            return false;
        }
        // A session that has ended needs no close.
        state if state.is_terminated() => {
            report_closed(about, id, format!("has ended: {state:?}"));
            return true;
        }
        _ => {}
    }
    // The client library sends the close when the last clone of the client is dropped.
    drop(session);
    let closed = async { while !states.changed().await.is_terminated() {} };
    let (closed, how) = match tokio::time::timeout(timing.span(), closed).await {
        Ok(()) => (true, "is closed"),
        Err(_) => (false, "is left to expire: the ensemble does not answer"),
    };
    report_closed(about, id, how);
    closed
}

/// A random time up to the longest.
fn up_to(longest: Duration) -> Duration {
    // The keys of the standard library's maps come from the system's source of random numbers.
    let [random, ..] = RandomState::new().hash_one(()).to_le_bytes();
    longest * u32::from(random) / 256
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
