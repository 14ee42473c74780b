//! What an operator sees and asks for, from any machine: it reads ZooKeeper alone and needs no host here.

use std::time::Duration;

use serde::Serialize;
use zookeeper_client::{Acls, Client, CreateMode, Error, SessionState};

use super::connect::{Settings, connector};
use super::nodes::{self, HostRecord, ResignOrder, TaskPaths, TermEntry, TermRecord, TermState};
use super::task::hint;

/// An operator's question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// No server let us in.
    #[error("cannot connect to {servers} within {within:?}")]
    Connect {
        /// The servers.
        servers: String,
        /// How long it was tried.
        within: Duration,
        /// Why, if a server said so.
        source: Option<Error>,
    },
    /// Something could not be read.
    #[error("cannot read node {path}{}", hint(.source))]
    Read {
        /// The node.
        path: String,
        /// Why.
        source: Error,
    },
    /// Something could not be written.
    #[error("cannot write node {path}{}", hint(.source))]
    Write {
        /// The node.
        path: String,
        /// Why.
        source: Error,
    },
    /// Nobody has ever stood for the task.
    #[error("no task {task} below {path}: `soloist status` lists those there are")]
    NoTask {
        /// The task asked for.
        task: String,
        /// Where tasks are.
        path: String,
    },
    /// Nobody leads, so nobody can resign.
    #[error("nobody leads task {task}")]
    NoLeader {
        /// The task.
        task: String,
    },
    /// The host that shall lead next does not stand.
    #[error("host {host} does not stand by for task {task}; these do: {standbys}")]
    NotStanding {
        /// The task.
        task: String,
        /// The host asked for.
        host: String,
        /// Who stands by.
        standbys: String,
    },
    /// The leader was asked, and still leads.
    #[error("{host} was asked to resign but has not within {within:?}; the order stands")]
    StillLeading {
        /// The leader.
        host: String,
        /// How long it was waited for.
        within: Duration,
    },
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leader {
    /// The host, or what a foreign program wrote into the master node.
    pub host: String,
    /// The number of the term; none for a foreign program.
    pub term: Option<u64>,
    /// The czxid of the master node.
    pub fencing_token: u64,
    /// Since when, by the leader's clock: RFC 3339, UTC.
    pub since: Option<String>,
}

/// One task, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskStatus {
    /// The task.
    pub task: String,
    /// Who leads, if anybody does.
    pub leader: Option<Leader>,
    /// The hosts that stand by, in the order in which they will lead.
    pub standbys: Vec<String>,
    /// The latest term.
    pub latest: TermEntry,
}

/// One host, as it registered itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    /// Its id.
    pub host: String,
    /// What it wrote of itself, if that can be read.
    #[serde(flatten)]
    pub record: Option<HostRecord>,
}

/// A connection for questions.
#[derive(Debug)]
pub struct Observer {
    client: Client,
    root: String,
    acl: Vec<zookeeper_client::Acl>,
}

impl Observer {
    /// Connects; gives up after `within`.
    ///
    /// # Errors
    /// [`ObserverError::Connect`].
    pub async fn connect(settings: &Settings, within: Duration) -> Result<Self, ObserverError> {
        let failed = |source| ObserverError::Connect { servers: settings.servers.clone(), within, source };
        let connect = connector(settings).connect(&settings.servers);
        let client = match tokio::time::timeout(within, connect).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(failed(Some(error))),
            Err(_) => return Err(failed(None)),
        };
        let client = if settings.chroot.is_empty() { Ok(client) } else { client.chroot(settings.chroot.as_str()) };
        let client = client.map_err(|_| failed(Some(Error::BadArguments(&"bad chroot"))))?;
        Ok(Self { client, root: settings.root.clone(), acl: settings.acl.clone() })
    }

    /// Closes the connection and sees it closed.
    pub async fn close(self) {
        let mut states = self.client.state_watcher();
        drop(self);
        let closed = async { while !states.changed().await.is_terminated() {} };
        // Nothing but an idle session is left behind if this fails.
        let _ = tokio::time::timeout(Duration::from_secs(2), closed).await;
    }

    /// The names of all tasks that anybody ever stood for, sorted.
    ///
    /// # Errors
    /// [`ObserverError::Read`].
    pub async fn tasks(&self) -> Result<Vec<String>, ObserverError> {
        self.children(&nodes::tasks_path(&self.root)).await
    }

    /// The hosts that are there, sorted.
    ///
    /// # Errors
    /// [`ObserverError::Read`].
    pub async fn hosts(&self) -> Result<Vec<HostStatus>, ObserverError> {
        let mut hosts = Vec::new();
        for host in self.children(&nodes::hosts_path(&self.root)).await? {
            let path = nodes::host_path(&self.root, &host);
            // A host may leave between the two reads.
            if let Some((data, _)) = self.data(&path).await? {
                hosts.push(HostStatus { host, record: nodes::decode(&data) });
            }
        }
        Ok(hosts)
    }

    /// One task, as it stands.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::Read`].
    pub async fn status(&self, task: &str) -> Result<TaskStatus, ObserverError> {
        let record = self.record(task).await?;
        let paths = TaskPaths::new(&self.root, task, record.path.as_deref());
        let queue = nodes::queue(self.children(&paths.candidates).await?);
        let master = self.data(&paths.master).await?;
        let owner = master.as_ref().map(|(_, stat)| stat.ephemeral_owner);
        let ours = record.state == TermState::Active && queue.iter().any(|it| Some(it.session) == owner);
        let leader = master.map(|(data, stat)| Leader {
            host: nodes::holder_name(&data, stat.ephemeral_owner),
            term: ours.then_some(record.term.number),
            fencing_token: stat.czxid.unsigned_abs(),
            since: ours.then(|| record.term.since.clone()),
        });
        let standbys = queue.into_iter().filter(|it| Some(it.session) != owner).map(|it| it.host).collect();
        Ok(TaskStatus { task: task.to_owned(), leader, standbys, latest: record.term })
    }

    /// The latest terms of a task, the latest first; bounded.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::Read`].
    pub async fn history(&self, task: &str) -> Result<Vec<TermEntry>, ObserverError> {
        let record = self.record(task).await?;
        let latest = Some(record.term).filter(|term| term.number > 0);
        Ok(latest.into_iter().chain(record.past).collect())
    }

    /// Asks the leader of a task to resign, in favour of `to` if that is given, and waits until it has.
    ///
    /// # Errors
    /// See [`ObserverError`]. [`ObserverError::StillLeading`] after `within`: the order is not withdrawn.
    ///
    /// # Cancellation safety
    /// Dropped while it waits, the order stands.
    pub async fn resign(
        &self,
        task: &str,
        to: Option<&str>,
        reason: Option<&str>,
        within: Duration,
    ) -> Result<TermEntry, ObserverError> {
        let status = self.status(task).await?;
        let leader = status.leader.and_then(|leader| Some((leader.host, leader.term?)));
        let Some((host, term)) = leader else { return Err(ObserverError::NoLeader { task: task.to_owned() }) };
        if let Some(to) = to
            && !status.standbys.iter().any(|standby| standby == to)
        {
            let standbys = if status.standbys.is_empty() { "nobody".into() } else { status.standbys.join(", ") };
            return Err(ObserverError::NotStanding { task: task.to_owned(), host: to.to_owned(), standbys });
        }
        let order = ResignOrder { term, to: to.map(str::to_owned), reason: reason.map(str::to_owned) };
        let paths = TaskPaths::new(&self.root, task, None);
        self.write(&paths.resign, &nodes::encode(&order)).await?;
        let ended = tokio::time::timeout(within, self.ended(task, &paths.term, term));
        ended.await.unwrap_or(Err(ObserverError::StillLeading { host, within }))
    }

    /// Waits for the end of a term.
    async fn ended(&self, task: &str, path: &str, number: u64) -> Result<TermEntry, ObserverError> {
        let read = |source| ObserverError::Read { path: path.to_owned(), source };
        loop {
            let (_, watcher) = self.client.check_and_watch_stat(path).await.map_err(read)?;
            let record = self.record(task).await?;
            if record.term.number != number || record.state == TermState::Released {
                let entry = std::iter::once(record.term).chain(record.past).find(|entry| entry.number == number);
                return entry.ok_or_else(|| ObserverError::NoTask { task: task.to_owned(), path: path.to_owned() });
            }
            watcher.changed().await;
        }
    }

    async fn record(&self, task: &str) -> Result<TermRecord, ObserverError> {
        let path = TaskPaths::new(&self.root, task, None).term;
        // A server may lag behind: whoever has just seen a failover must not be told of the time before.
        self.client.sync("/").await.map_err(|source| ObserverError::Read { path: path.clone(), source })?;
        match self.data(&path).await? {
            Some((data, stat)) => Ok(TermRecord::read(&data, stat.version).0),
            None => Err(ObserverError::NoTask { task: task.to_owned(), path: nodes::tasks_path(&self.root) }),
        }
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, ObserverError> {
        match self.client.list_children(path).await {
            Ok(mut children) => {
                children.sort_unstable();
                Ok(children)
            }
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(source) => Err(ObserverError::Read { path: path.to_owned(), source }),
        }
    }

    async fn data(&self, path: &str) -> Result<Option<(Vec<u8>, zookeeper_client::Stat)>, ObserverError> {
        match self.client.get_data(path).await {
            Ok(read) => Ok(Some(read)),
            Err(Error::NoNode) => Ok(None),
            Err(source) => Err(ObserverError::Read { path: path.to_owned(), source }),
        }
    }

    async fn write(&self, path: &str, data: &[u8]) -> Result<(), ObserverError> {
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        let written = match self.client.create(path, data, &options).await {
            Err(Error::NodeExists) => self.client.set_data(path, data, None).await.map(drop),
            created => created.map(drop),
        };
        written.map_err(|source| ObserverError::Write { path: path.to_owned(), source })
    }

    /// Whether the connection is of use no more.
    pub fn is_lost(&self) -> bool {
        matches!(self.client.state(), SessionState::Expired | SessionState::AuthFailed | SessionState::Closed)
    }
}
