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

use serde_json::Value;
use tokio::sync::watch;
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, SessionState, StateWatcher};

use super::connect::{SessionError, Settings, connector};
use super::nodes::{self, HostRecord};
use super::probe::{self, Probe};
use crate::clock::{self, Moment};
use crate::events::{About, Event, chain, details};
use crate::lease::{Lease, Timing};
use crate::permit::SharedDeadline;

/// The first pause between two attempts to connect; it doubles up to [`RETRY_MAX`].
const RETRY_INITIAL: Duration = Duration::from_millis(100);
/// The longest pause between two attempts to connect.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The ensemble could not be used within the time allowed.
#[derive(Debug, thiserror::Error)]
#[error("no session that can be used with {servers} within {within:?}")]
pub struct GaveUp {
    servers: String,
    within: Duration,
    /// What the last attempt failed with.
    source: Option<SessionError>,
}

/// A live session. Whoever holds one keeps the session open: let go of it when the [`View`] changes.
#[derive(Debug)]
pub struct Session {
    client: Client,
    host: Arc<str>,
    acl: Vec<Acl>,
    deadline: SharedDeadline,
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

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn acls(&self) -> Acls<'_> {
        Acls::new(&self.acl)
    }
}

/// What is known of the session.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The session, if one is there.
    pub session: Option<Arc<Session>>,
    /// Counts how often a connection was lost and found again: what was watched must be read again.
    pub reconnects: u64,
}

/// Keeps sessions coming.
#[derive(Debug)]
pub struct Keeper {
    settings: Settings,
    view: watch::Sender<View>,
    probe: Probe,
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
    pub fn new(settings: Settings) -> (Self, watch::Receiver<View>) {
        let (view, receiver) = watch::channel(View::default());
        let probe = Probe::new(&settings.servers, settings.session_timeout);
        (Self { settings, view, probe }, receiver)
    }

    /// Keeps sessions until `stop` resolves; then closes the last one and sees it closed.
    ///
    /// # Errors
    /// [`GaveUp`] when the time allowed for the first session is over.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), GaveUp> {
        tokio::pin!(stop);
        let mut time_left = self.settings.connect_timeout;
        let mut first = true;
        loop {
            let mut last_error = None;
            let mut live = tokio::select! {
                () = &mut stop => return Ok(()),
                live = self.establish(&mut last_error) => live,
                within = wait(time_left) => {
                    return Err(GaveUp { servers: self.settings.servers.clone(), within, source: last_error });
                }
            };
            time_left = None;
            if std::mem::take(&mut first) {
                let Settings { servers, tick_time, .. } = &self.settings;
                tokio::spawn(probe::check_ticks(servers.clone(), *tick_time));
            }
            let deadline = live.session.deadline.clone();
            self.view.send_modify(|view| view.session = Some(live.session.clone()));
            let stopped = tokio::select! {
                () = &mut stop => true,
                () = self.keep(&mut live) => false,
            };
            deadline.end();
            self.view.send_modify(|view| view.session = None);
            if stopped {
                close(live).await;
                return Ok(());
            }
        }
    }

    /// Gets a session, however long it takes.
    async fn establish(&self, last_error: &mut Option<SessionError>) -> Live {
        About::SESSION.report(Event::SessionConnecting, format_args!("connecting to {}", self.settings.servers));
        let mut pause = RETRY_INITIAL;
        loop {
            let error = match self.attempt().await {
                Ok(live) => return live,
                Err(error) => error,
            };
            let event = match &error {
                SessionError::AuthFailed { .. } => Event::SessionAuthFailed,
                SessionError::ReadOnly { .. } => Event::SessionReadOnly,
                _ => Event::SessionError,
            };
            let retry_in = Value::from(pause.as_secs_f64());
            About::SESSION.report_with(event, event.level(), chain(&error), details([("retry_in", retry_in)]));
            *last_error = Some(error);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn attempt(&self) -> Result<Live, SessionError> {
        let asked = clock::now();
        let (client, mut states) = self.connect().await?;
        if states.peek_state() == SessionState::ConnectedReadOnly {
            // It ends as soon as a server that can write is found. What follows then is a session of its own.
            About::SESSION.report(Event::SessionReadOnly, "only a read-only server is there: waiting for a majority");
            states.changed().await;
            return Err(SessionError::ReadOnly { servers: self.settings.servers.clone() });
        }
        let agreed = client.session_timeout();
        let timing = match self.timing(agreed) {
            // What is known of the servers may be history: they are asked again before it counts.
            Err(_) => {
                self.probe.ask().await;
                self.timing(agreed)
            }
            timing => timing,
        }?;
        let client = self.prepare(client).await?;
        let lease = Lease::new(asked, timing.session_timeout(), self.settings.tick_time);
        let deadline = SharedDeadline::default();
        deadline.set(lease.deadline());
        let session = Session { client, host: self.settings.host.clone(), acl: self.settings.acl.clone(), deadline };
        About::SESSION.report_with(
            Event::SessionConnected,
            Event::SessionConnected.level(),
            format_args!("session {:#x} with a timeout of {agreed:?}", session.id()),
            details([
                ("session", format!("{:#x}", session.id()).into()),
                ("session_timeout", agreed.as_secs_f64().into()),
            ]),
        );
        Ok(Live { session: Arc::new(session), states, lease, timing })
    }

    /// The times that follow from what was agreed on now, and from what the servers are known to agree to.
    fn timing(&self, agreed: Duration) -> Result<Timing, SessionError> {
        let Settings { servers, session_timeout, tick_time, demote_budget, .. } = &self.settings;
        let now = (servers.clone(), agreed.min(*session_timeout));
        let known = self.probe.shortest().filter(|(_, known)| *known < now.1);
        let (server, agreed) = known.unwrap_or(now);
        Timing::new(agreed, *tick_time, *demote_budget).map_err(|source| SessionError::Timing {
            server,
            agreed,
            source: Box::new(source),
        })
    }

    async fn connect(&self) -> Result<(Client, StateWatcher), SessionError> {
        let settings = &self.settings;
        match connector(settings.session_timeout, settings.auth.as_ref()).connect(&settings.servers).await {
            Ok(client) => {
                let states = client.state_watcher();
                Ok((client, states))
            }
            Err(Error::AuthFailed) => Err(SessionError::AuthFailed { servers: settings.servers.clone() }),
            Err(source) => Err(SessionError::Connect { servers: settings.servers.clone(), source }),
        }
    }

    /// Creates what a host needs: the parents of everything, and its own node.
    async fn prepare(&self, client: Client) -> Result<Client, SessionError> {
        let Settings { chroot, root, acl, .. } = &self.settings;
        let failed = |path: &str| {
            let path = path.to_owned();
            move |source| SessionError::Prepare { path, source }
        };
        let hosts = format!("{chroot}{}", nodes::hosts_path(root));
        super::ensure_path(&client, &hosts, Acls::new(acl)).await.map_err(failed(&hosts))?;
        let client = if chroot.is_empty() {
            client
        } else {
            client.chroot(chroot.as_str()).map_err(|_| failed(chroot)(Error::BadArguments(&"bad chroot")))?
        };
        let path = nodes::host_path(root, &self.settings.host);
        while let Some(owner) = self.register(&client, &path).await.map_err(failed(&path))? {
            let message =
                format!("host id {} is taken by session {owner:#x}: waiting for it to end", self.settings.host);
            About::SESSION.report(Event::SessionError, message);
            if let (Some(_), watcher) = client.check_and_watch_stat(&path).await.map_err(failed(&path))? {
                watcher.changed().await;
            }
        }
        Ok(client)
    }

    /// Creates the host's node; gives the session that holds it if that is another.
    async fn register(&self, client: &Client, path: &str) -> Result<Option<i64>, Error> {
        let acls = Acls::new(&self.settings.acl);
        let create = || async { client.create(path, &self.record(), &CreateMode::Ephemeral.with_acls(acls)).await };
        let created = match create().await {
            // Somebody deleted the parents as well.
            Err(Error::NoNode) => {
                super::ensure_path(client, nodes::parent(path).unwrap_or_default(), acls).await?;
                create().await
            }
            created => created,
        };
        match created {
            Ok(_) => Ok(None),
            Err(Error::NodeExists) => {
                let owner = client.check_stat(path).await?.map(|stat| stat.ephemeral_owner);
                Ok(owner.filter(|owner| *owner != client.session_id().0))
            }
            Err(error) => Err(error),
        }
    }

    fn record(&self) -> Vec<u8> {
        nodes::encode(&HostRecord {
            host: self.settings.host.to_string(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            started: started().to_owned(),
        })
    }

    /// Keeps a session until it has ended.
    async fn keep(&self, live: &mut Live) {
        let Live { session, states, lease, timing } = live;
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

    /// Renews the lease, until the host's node turns out to be somebody else's, or the servers leave no room for a lease.
    async fn heartbeats(&self, session: &Session, lease: &mut Lease, timing: &mut Timing) {
        let path = nodes::host_path(&self.settings.root, &self.settings.host);
        let record = self.record();
        let mut agreed = self.probe.subscribe();
        let mut failing = false;
        let mut beat = Box::pin(self.beat(session, clock::now(), &path, &record));
        loop {
            let (sent, outcome) = tokio::select! {
                beaten = &mut beat => beaten,
                // The sender lives as long as the keeper.
                _ = agreed.changed() => {
                    match self.shorten(session, lease, timing.session_timeout()) {
                        Ok(shorter) => *timing = shorter.unwrap_or(*timing),
                        Err(error) => {
                            About::SESSION.report(Event::SessionError, chain(&error));
                            // What is left of the lease is there to stop in good order.
                            return clock::sleep_until(lease.deadline()).await;
                        }
                    }
                    continue;
                }
            };
            beat.set(self.beat(session, sent + timing.heartbeat(), &path, &record));
            match outcome {
                Ok(None) => {
                    failing = false;
                    lease.committed(sent, clock::now());
                    session.deadline.set(lease.deadline());
                }
                Ok(Some(owner)) => {
                    let message = format!("host id {} was taken by session {owner:#x}", self.settings.host);
                    About::SESSION.report(Event::SessionError, message);
                    return;
                }
                // Proves nothing: the lease simply is not renewed. That a connection is lost is reported elsewhere.
                Err(Error::ConnectionLoss | Error::SessionExpired | Error::Custom(_)) => {}
                Err(source) => {
                    if !std::mem::replace(&mut failing, true) {
                        let error = SessionError::Heartbeat { path: path.clone(), source };
                        About::SESSION.report(Event::SessionError, chain(&error));
                    }
                }
            }
        }
    }

    /// Sends a heartbeat at `due`, or at once if that is over; gives the time at which it was sent, and, when it was
    /// answered, the session that has taken the host's node, if another has.
    async fn beat(
        &self,
        session: &Session,
        due: Moment,
        path: &str,
        record: &[u8],
    ) -> (Moment, Result<Option<i64>, Error>) {
        clock::sleep_until(due).await;
        let sent = clock::now();
        let outcome = match session.client.set_data(path, record, None).await {
            Ok(_) => Ok(None),
            // Somebody deleted the node. Creating it is a committed write as well.
            Err(Error::NoNode) => self.register(&session.client, path).await,
            Err(error) => Err(error),
        };
        (sent, outcome)
    }

    /// Shortens the lease to what the servers are known to agree to; gives the new times, if they are new.
    fn shorten(&self, session: &Session, lease: &mut Lease, from: Duration) -> Result<Option<Timing>, SessionError> {
        let Some((server, to)) = self.probe.shortest().filter(|(_, to)| *to < from) else { return Ok(None) };
        lease.shorten(to);
        session.deadline.set(lease.deadline());
        // Whoever sleeps until the old deadline has to look at the new one.
        self.view.send_modify(|_| {});
        let message = format!(
            "{server} agrees to a session timeout of {to:?} only, not {from:?}: the lease is that short from here on. \
             Set the same maxSessionTimeout on all servers, or session_timeout = \"{to:?}\""
        );
        let fields = details([("server", server.into()), ("session_timeout", to.as_secs_f64().into())]);
        About::SESSION.report_with(Event::SessionShortened, Event::SessionShortened.level(), message, fields);
        self.timing(to).map(Some)
    }

    /// Reports what becomes of the session, until it has ended.
    async fn follow(&self, session: &Session, states: &mut StateWatcher) {
        loop {
            match states.changed().await {
                SessionState::SyncConnected => {
                    About::SESSION.report(Event::SessionConnected, format_args!("session {:#x} again", session.id()));
                    self.view.send_modify(|view| view.reconnects += 1);
                }
                SessionState::Disconnected => {
                    let left = session.deadline.get().saturating_since(clock::now());
                    let message = format!("connection lost; the lease lasts {left:.1?} more");
                    About::SESSION.report(Event::SessionDisconnected, message);
                }
                SessionState::ConnectedReadOnly => {
                    About::SESSION.report(Event::SessionReadOnly, "the server at hand cannot write");
                }
                SessionState::Expired => {
                    About::SESSION.report(Event::SessionExpired, format_args!("session {:#x} has ended", session.id()));
                    return;
                }
                SessionState::AuthFailed => {
                    About::SESSION.report(Event::SessionAuthFailed, "the ensemble refuses the credentials");
                    return;
                }
                SessionState::Closed => {
                    About::SESSION.report(Event::SessionClosed, format_args!("session {:#x} was closed", session.id()));
                    return;
                }
            }
        }
    }
}

/// Closes a session and sees it closed, so that its nodes do not outlive this process until it expires.
async fn close(live: Live) {
    let Live { session, mut states, timing, .. } = live;
    let id = session.id();
    if states.state() == SessionState::Disconnected {
        About::SESSION.report(Event::SessionClosed, format_args!("session {id:#x} is left to expire: not connected"));
        return;
    }
    // The close is sent when the last clone of the client is gone.
    drop(session);
    let closed = async { while !states.changed().await.is_terminated() {} };
    let message = match tokio::time::timeout(timing.span(), closed).await {
        Ok(()) => format!("session {id:#x} is closed"),
        Err(_) => format!("session {id:#x} is left to expire: the ensemble does not answer"),
    };
    About::SESSION.report(Event::SessionClosed, message);
}

/// When this process began to use the ensemble: RFC 3339, UTC.
fn started() -> &'static str {
    static STARTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    STARTED.get_or_init(|| humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string())
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
