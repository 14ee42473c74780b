//! Establishes a session: connects, checks the times of the servers, and registers the host's node.

use std::sync::Arc;
use std::time::Duration;

use zookeeper_client::{Client, CreateMode, Error, SessionState, StateWatcher};

use super::keeper::{Keeper, Live, Shard};
use super::turns::Turns;
use super::view::Session;
use crate::connect::{
    ConnectError, Ensemble, IdentityError, SessionError, SessionSettings, connect, obstacles,
};
use crate::error::{Doing, NodeError};
use soloist_core::backoff::Backoff;
use soloist_core::clock;
use soloist_core::event::{Event, Seconds, chain};
use soloist_core::lease::{self, Lease, Timing};
use soloist_core::placement::HostLoad;
use soloist_core::records::{self, HostRecord};
use soloist_core::roster::roster;

/// The first pause between two attempts to connect; it doubles up to [`RETRY_MAX`].
const RETRY_INITIAL: Duration = Duration::from_millis(100);
/// The longest pause between two attempts to connect.
const RETRY_MAX: Duration = Duration::from_secs(5);

impl Keeper {
    /// Gets a session. Tries again until it succeeds.
    ///
    /// # Errors
    /// [`IdentityError`] if there was no session before (`is_first`), and the user that was shown by SASL is not known: the host
    /// has read its password once, so that nothing but a new start can make it another one.
    pub(super) async fn establish(
        &self,
        is_first: bool,
        last_error: &mut Option<SessionError>,
    ) -> Result<Live, IdentityError> {
        self.first_is_there().await;
        self.about().report(&Event::SessionConnecting {
            servers: self.settings.ensemble.servers.clone(),
        });
        let mut pauses = Backoff::new(RETRY_INITIAL, RETRY_MAX);
        loop {
            let error = match self.attempt(last_error).await {
                Ok(Some(live)) => return Ok(live),
                // The session waited for the host's id, and its lease has become short. A new session has a whole lease.
                Ok(None) => continue,
                Err(SessionError::Identity(error))
                    if is_first && self.settings.ensemble.sasl.is_some() =>
                {
                    self.about().report(&Event::SessionAuthFailed {
                        text: chain(&error),
                        retry_in: None,
                    });
                    return Err(error);
                }
                Err(error) => error,
            };
            let pause = pauses.step();
            let (text, retry_in) = (chain(&error), Some(Seconds(pause)));
            let event = match &error {
                SessionError::Identity(_) => Event::SessionAuthFailed { text, retry_in },
                SessionError::ReadOnly { .. } => Event::SessionReadOnly { text, retry_in },
                _ => Event::SessionError { text, retry_in },
            };
            self.about().report(&event);
            *last_error = Some(error);
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits until the host has its first session, if this is a further one.
    async fn first_is_there(&self) {
        if let Shard::Further(_, first) = &self.shard {
            // The first keeper runs for as long as this one.
            let _ = first.clone().wait_for(|view| view.session.is_some()).await;
        }
    }

    /// Gets a session. None if the session had to wait until the host's id was free.
    async fn attempt(
        &self,
        last_error: &mut Option<SessionError>,
    ) -> Result<Option<Live>, SessionError> {
        let asked = clock::now();
        let (client, mut states) = self.connect().await?;
        if states.peek_state() == SessionState::ConnectedReadOnly {
            // This session ends as soon as the client finds a server that can write. The next attempt gets another session.
            self.about().report(&Event::SessionReadOnly {
                text: "only a read-only server is there: waiting for a majority".into(),
                retry_in: None,
            });
            states.changed().await;
            return Err(SessionError::ReadOnly {
                servers: self.settings.ensemble.servers.clone(),
            });
        }
        let agreed = client.session_timeout();
        let timing = match self.timing(agreed) {
            // The servers may have other settings by now: the host asks them again before it gives up.
            Err(_) => {
                self.probe.ask().await;
                self.timing(agreed)
            }
            timing => timing,
        }?;
        let session = self.below_the_chroot(client)?;
        let path = self.node();
        self.prepare(&session, &path).await?;
        let failed = NodeError::at(Doing::Create, &path);
        if let Some(owner) = self.register(&session, &path).await.map_err(failed)? {
            if !records::is_session(owner) {
                return Err(SessionError::Unowned { path });
            }
            let taken = SessionError::Taken {
                host: self.settings.host.to_string(),
                owner,
            };
            self.about()
                .report(&Event::session_error(format!("{taken}: waiting for that")));
            *last_error = Some(taken);
            // Each heartbeat of the owner fires the watch as well.
            while let (Some(stat), watcher) = session
                .client
                .check_and_watch_stat(&path)
                .await
                .map_err(failed)?
                && stat.ephemeral_owner == owner
            {
                watcher.changed().await;
            }
            return Ok(None);
        }
        self.registered.send_replace(clock::now());
        self.read_drain(&session).await?;
        let lease = Lease::new(asked, timing.session_timeout(), self.settings.tick_time);
        session.deadline.set(lease.deadline());
        self.report_connected(&session, false);
        Ok(Some(Live {
            session: Arc::new(session),
            states,
            lease,
            timing,
        }))
    }

    /// The times of the lease. They follow from the session timeout that was agreed on, or from the shortest one that a server
    /// is known to grant, if that is shorter.
    pub(super) fn timing(&self, agreed: Duration) -> Result<Timing, SessionError> {
        let SessionSettings {
            ensemble:
                Ensemble {
                    servers,
                    session_timeout,
                    ..
                },
            tick_time,
            ..
        } = &*self.settings;
        let demote_timeout = *self.demote_timeout.borrow();
        let now = (servers.clone(), agreed.min(*session_timeout));
        let known = self.probe.shortest().filter(|(_, known)| *known < now.1);
        let (server, agreed) = known.unwrap_or(now);
        Timing::new(agreed, *tick_time, demote_timeout).map_err(|source| SessionError::Timing {
            server,
            agreed,
            source: Box::new(source),
        })
    }

    async fn connect(&self) -> Result<(Client, StateWatcher), SessionError> {
        let settings = &self.settings.ensemble;
        match connect(settings).await {
            Ok(client) => {
                let states = client.state_watcher();
                Ok((client, states))
            }
            Err(ConnectError::Identity(error)) => Err(error.into()),
            Err(ConnectError::Client(error)) => Err(self.unconnected(&error).await),
        }
    }

    pub(super) async fn unconnected(&self, error: &Error) -> SessionError {
        let servers = self.settings.ensemble.servers.clone();
        SessionError::Connect {
            obstacles: obstacles(&self.settings.ensemble, error).await,
            servers,
        }
    }

    fn below_the_chroot(&self, whole: Client) -> Result<Session, SessionError> {
        let SessionSettings {
            ensemble,
            host,
            guardian,
            ..
        } = &*self.settings;
        Ok(Session::new(
            whole,
            ensemble,
            Arc::clone(host),
            guardian.clone(),
            Turns::among(&self.together),
        )?)
    }

    /// Creates the parents of the session's node and of the orders to drain hosts, so that both have the ACL of the hosts.
    async fn prepare(&self, session: &Session, node: &str) -> Result<(), NodeError> {
        let Ensemble { chroot, root, .. } = &self.settings.ensemble;
        let parent = records::parent(node).unwrap_or_default().to_owned();
        for path in [parent, records::drained_path(root)] {
            let whole = format!("{chroot}{path}");
            session
                .ensure(&path)
                .await
                .map_err(NodeError::at(Doing::Create, &whole))?;
        }
        Ok(())
    }

    /// Creates the session's node. If the node exists and another session owns it, gives the owner.
    pub(super) async fn register(
        &self,
        session: &Session,
        path: &str,
    ) -> Result<Option<i64>, Error> {
        session.guardian.holds(session.id(), path);
        let options = CreateMode::Ephemeral.with_acls(session.acls());
        let create = || async { session.client.create(path, &self.record(), &options).await };
        let created = match create().await {
            // Somebody has deleted the parents as well.
            Err(Error::NoNode) => {
                session
                    .ensure(records::parent(path).unwrap_or_default())
                    .await?;
                create().await
            }
            created => created,
        };
        match created {
            Ok(_) => Ok(None),
            Err(Error::NodeExists) => {
                let owner = session
                    .client
                    .check_stat(path)
                    .await?
                    .map(|stat| stat.ephemeral_owner);
                Ok(owner.filter(|owner| *owner != session.id()))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn record(&self) -> Vec<u8> {
        records::encode(&HostRecord {
            host: self.settings.host.to_string(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").into(),
            started: started().to_owned(),
            drain: self.view.borrow().drain_progress(),
            placement: self.load.borrow().clone().map(|load| HostLoad {
                up: self.up().as_secs(),
                ..load
            }),
            listen: roster().and_then(|it| it.address().map(str::to_owned)),
            lease_ms: self
                .view
                .borrow()
                .session_timeout
                .map(|timeout| u64::try_from(lease::span(timeout).as_millis()).unwrap_or(u64::MAX)),
        })
    }
}

/// When this process first asked for a session: RFC 3339, UTC.
fn started() -> &'static str {
    static STARTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    STARTED
        .get_or_init(|| humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string())
}
