//! What an operator sees and asks for, from any machine. An observer uses ZooKeeper alone and needs no host.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use zookeeper_client::{Acl, Client, Error, SessionState};

use super::connect::{self, ConnectError, Ensemble, obstacles};
use soloist_core::records::{self, History, TaskPaths, TermEntry, TermState};

mod asked;
mod closely;
mod describe;
mod drain;
mod error;
mod health;
mod read;
mod resign;
mod retry;
mod rights;
pub mod rollout;
mod state;
mod status;
mod together;
mod watch;

pub use asked::Asked;
pub use closely::{Close, Glance};
pub use describe::{Description, LeaderSession, Place, Rollout, Schedule, StateSize};
pub use drain::{Drainage, Seen};
pub use error::ObserverError;
use read::Latest;
pub(crate) use rights::Rights;
pub use state::{StateChange, StateGuard, StateKey, StateRefused};
pub use status::{DrainState, DrainedHost, Handover, Status, TaskHealth, TaskHost, TaskStatus};
pub use watch::Watched;

/// The pause between two attempts at something that may succeed later.
const RETRY: Duration = Duration::from_millis(200);
/// How many tasks are read at once. Each is a handful of requests, and a server begins to refuse reading at a thousand.
const READ_AT_ONCE: usize = 64;
/// How long an observer waits for the end of its connection.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// A connection for questions.
#[derive(Debug)]
pub struct Observer {
    client: Client,
    /// How many bytes the chroot adds to a path.
    chroot_bytes: usize,
    root: String,
    acl: Vec<Acl>,
}

impl Observer {
    /// Connects; gives up after `within`.
    ///
    /// # Errors
    /// [`ObserverError::Connect`], [`ObserverError::Identity`], [`ObserverError::ReadOnly`].
    pub async fn connect(ensemble: &Ensemble, within: Duration) -> Result<Self, ObserverError> {
        let Ensemble {
            servers,
            chroot,
            root,
            acl,
            ..
        } = ensemble;
        let mut last_error = None;
        let attempts = async {
            loop {
                match connect::connect(ensemble).await {
                    Ok(client) => return Ok(client),
                    Err(ConnectError::Identity(error)) => {
                        return Err(ObserverError::Identity(error));
                    }
                    Err(ConnectError::Client(error)) => last_error = Some(error),
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        let failed = |obstacles| ObserverError::Connect {
            servers: servers.to_owned(),
            within,
            obstacles,
        };
        let client = match tokio::time::timeout(within, attempts).await {
            Ok(connected) => connected?,
            Err(_) => {
                return Err(failed(
                    obstacles(ensemble, &last_error.unwrap_or(Error::Timeout)).await,
                ));
            }
        };
        if client.state() == SessionState::ConnectedReadOnly {
            return Err(ObserverError::ReadOnly {
                servers: servers.to_owned(),
            });
        }
        let client = if chroot.is_empty() {
            Ok(client)
        } else {
            client.chroot(chroot.as_str())
        };
        let client = client.map_err(|_| failed("bad chroot".into()))?;
        Ok(Self {
            client,
            chroot_bytes: chroot.len(),
            root: root.clone(),
            acl: acl.clone(),
        })
    }

    /// Closes the connection and sees it closed.
    pub async fn close(self) {
        let mut states = self.client.state_watcher();
        drop(self);
        let closed = async { while !states.changed().await.is_terminated() {} };
        // Nothing but an idle session is left behind if this fails.
        let _ = tokio::time::timeout(CLOSE_TIME, closed).await;
    }

    /// Whether the connection is of use no more.
    pub fn is_lost(&self) -> bool {
        matches!(
            self.client.state(),
            SessionState::Expired | SessionState::AuthFailed | SessionState::Closed
        )
    }

    /// The tasks that are asked for, and the hosts.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`] for a task that is named, [`ObserverError::NoMatch`], [`ObserverError::Node`].
    pub async fn status(&self, asked: Asked<'_>) -> Result<Status, ObserverError> {
        self.catch_up().await?;
        let names = self.names(asked).await?;
        let mut tasks = match asked {
            Asked::All => self.tasks_together(&names).await?,
            Asked::One(_) | Asked::These(_) => {
                let read = names.iter().map(async |name| match self.task(name).await {
                    Ok(status) => Ok(Some(status)),
                    // Its first host is about to write the record.
                    Err(ObserverError::NoTask { .. }) if !asked.names(name) => Ok(None),
                    Err(error) => Err(error),
                });
                let read = stream::iter(read).buffered(READ_AT_ONCE);
                let read = read.try_filter_map(async |task| Ok(task));
                read.try_collect().await?
            }
        };
        let deployed = self.children(&records::manifests_path(&self.root)).await?;
        let of_hosts = tasks
            .iter_mut()
            .filter(|task| deployed.binary_search(&task.task).is_ok())
            .map(async |task| {
                task.hosts = self.hosts_of(&task.task).await?;
                Ok::<_, ObserverError>(())
            });
        stream::iter(of_hosts)
            .buffered(READ_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let mut hosts = self.hosts().await?;
        if matches!(asked, Asked::All) {
            status::count_terms(&mut hosts, &tasks);
        }
        let drained = self.drained(&hosts).await?;
        Ok(Status {
            tasks,
            hosts,
            drained,
        })
    }

    /// The latest terms of a task, the latest first; bounded.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::Node`].
    pub async fn history(&self, task: &str) -> Result<Vec<TermEntry>, ObserverError> {
        self.catch_up().await?;
        let Latest { record, zxid } = self.existing(task).await?;
        let kept = self
            .data(&TaskPaths::new(&self.root, task, None).history)
            .await?;
        let history = kept
            .map(|(data, _)| History::read(&data))
            .unwrap_or_default();
        let active = (record.state == TermState::Active).then_some(record.term);
        // It may have ended between the two reads.
        let token = zxid.unsigned_abs();
        let active = active.filter(|term| term.number > 0 && !history.has(token));
        let latest = active.map(|term| TermEntry {
            fencing_token: Some(token),
            ..term
        });
        Ok(latest.into_iter().chain(history.0).collect())
    }
}
