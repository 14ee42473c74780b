//! A session, as the rest of the host sees it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error};

use super::drain::{Drain, Presence};
use super::turns::{Turn, Turns, Urgency};
use crate::connect::Ensemble;
use crate::error::{Doing, NodeError};
use soloist_core::guardian::Teller;
use soloist_core::permit::SharedDeadline;
use soloist_core::records::{self, DrainProgress};

/// A live session. It stays open as long as anybody holds this value, so a holder drops it when the [`View`] changes.
#[derive(Debug)]
pub struct Session {
    /// The session, with paths below the chroot.
    pub(super) client: Client,
    /// The same session, with whole paths. If somebody deletes the chroot, only a client outside of it can create it anew.
    pub(super) whole: Client,
    pub(super) chroot: String,
    pub(super) host: Arc<str>,
    pub(super) acl: Vec<Acl>,
    pub(super) deadline: SharedDeadline,
    /// Notified when a task lets the session go.
    pub(super) left: Notify,
    pub(super) turns: Turns,
    pub(super) guardian: Teller,
}

impl Session {
    /// A client's session, with the ensemble's chroot.
    pub(super) fn new(
        whole: Client,
        ensemble: &Ensemble,
        host: Arc<str>,
        guardian: Teller,
        turns: Turns,
    ) -> Result<Self, NodeError> {
        let Ensemble { chroot, acl, .. } = ensemble;
        let client = if chroot.is_empty() {
            Ok(whole.clone())
        } else {
            whole.clone().chroot(chroot.as_str())
        };
        let client = client.map_err(|_| {
            NodeError::at(Doing::Create, chroot)(Error::BadArguments(&"bad chroot"))
        })?;
        Ok(Self {
            client,
            whole,
            chroot: chroot.clone(),
            host,
            acl: acl.clone(),
            deadline: SharedDeadline::default(),
            left: Notify::new(),
            turns,
            guardian,
        })
    }

    /// The id of the session. It is the owner of the session's ephemeral nodes.
    pub fn id(&self) -> i64 {
        self.client.session_id().0
    }

    /// The id of this host.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The deadline of the session's lease: until then plugins may have effects.
    pub fn deadline(&self) -> &SharedDeadline {
        &self.deadline
    }

    /// Waits until one more request for a task may be under way. Those of all tasks in the session are counted.
    ///
    /// # Cancellation safety
    /// A future that is dropped and made again waits anew.
    pub async fn turn(&self, urgency: Urgency) -> Turn {
        self.turns.turn(urgency).await
    }

    /// Who is told what this session has in the ensemble.
    pub fn guardian(&self) -> &Teller {
        &self.guardian
    }

    /// Lets the session go for good. The keeper renews its lease no more, and closes it after the time of a demotion.
    pub fn leave(&self) {
        self.left.notify_one();
    }

    /// Creates a node and all above it that are missing, the chroot included: persistent, with this host's ACL.
    pub(crate) async fn ensure(&self, path: &str) -> Result<(), Error> {
        ensure_path(&self.whole, &format!("{}{path}", self.chroot), self.acls()).await
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn acls(&self) -> Acls<'_> {
        Acls::new(&self.acl)
    }

    pub(crate) fn acl(&self) -> &[Acl] {
        &self.acl
    }
}

/// The present state of the host's session.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The session, if the host has one.
    pub session: Option<Arc<Session>>,
    /// The session timeout that the lease goes by, which can be shorter than the agreed one. Without a session it is that of
    /// the last one.
    pub session_timeout: Option<Duration>,
    /// How often a session has reconnected. After each time, a reader has to read again what it watches.
    pub reconnects: u64,
    /// The order to drain this host, if there is one. It is known before the session is shown, and outlasts it.
    pub drain: Option<Arc<Drain>>,
    /// Counts the contenders that have something in their tasks.
    pub presence: Presence,
}

impl View {
    /// How far this host has come with the order to drain it, if there is one.
    pub(super) fn drain_progress(&self) -> Option<DrainProgress> {
        Some(self.presence.progress(self.drain.as_deref()?))
    }
}

/// Creates `path` and all above it that are missing: persistent, with the given ACL.
pub(crate) async fn ensure_path(client: &Client, path: &str, acls: Acls<'_>) -> Result<(), Error> {
    // The host looks first, because a failing attempt to create a node costs the ensemble as much as a write.
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
