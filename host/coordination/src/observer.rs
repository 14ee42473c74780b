//! What an operator sees and asks for, from any machine: it reads ZooKeeper alone and needs no host here.

use std::time::{Duration, SystemTime};

use futures::future::try_join_all;
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, OneshotWatcher, SessionState, Stat};

use super::connect::{Ensemble, connector, obstacles};
use super::error::{Doing, NodeError};
use super::watches::WatchSet;
use soloist_core::records::{
    self, Candidate, FailedRecord, History, HostRecord, ResignOrder, TaskPaths, TermEntry,
    TermRecord, TermState, WATCHED_BYTES_MAX,
};

mod error;
mod status;

pub use error::ObserverError;
pub use status::{Handover, HostStatus, Leader, Status, TaskHealth, TaskStatus};

/// The pause between two attempts at something that may succeed later.
const RETRY: Duration = Duration::from_millis(200);
/// How often a task is read that changes while it is read.
const READS_MAX: usize = 5;
/// How long the end of a connection is waited for.
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

/// The term record of a task, and the transaction that last changed it.
struct Latest {
    record: TermRecord,
    zxid: i64,
}

impl Observer {
    /// Connects; gives up after `within`.
    ///
    /// # Errors
    /// [`ObserverError::Connect`], [`ObserverError::AuthFailed`], [`ObserverError::ReadOnly`].
    pub async fn connect(ensemble: &Ensemble, within: Duration) -> Result<Self, ObserverError> {
        let Ensemble {
            servers,
            chroot,
            root,
            session_timeout,
            auth,
            acl,
        } = ensemble;
        let mut last_error = None;
        let attempts = async {
            loop {
                match connector(*session_timeout, auth.as_ref())
                    .connect(servers)
                    .await
                {
                    Ok(client) => return Ok(client),
                    Err(Error::AuthFailed) => {
                        return Err(ObserverError::AuthFailed {
                            servers: servers.to_owned(),
                        });
                    }
                    Err(error) => last_error = Some(error),
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
                    obstacles(servers, &last_error.unwrap_or(Error::Timeout)).await,
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

    /// One task, or all of them, and the hosts.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`] for a task asked for, [`ObserverError::Node`].
    pub async fn status(&self, task: Option<&str>) -> Result<Status, ObserverError> {
        self.catch_up().await?;
        let mut tasks = Vec::new();
        for name in self.asked(task).await? {
            match self.task(&name).await {
                Ok(status) => tasks.push(status),
                // Its first host is about to write the record.
                Err(ObserverError::NoTask { .. }) if task.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Status {
            tasks,
            hosts: self.hosts().await?,
        })
    }

    /// Watches all that [`Observer::status`] reads, from now on: to be called before it is read.
    ///
    /// # Errors
    /// [`ObserverError::Node`], [`ObserverError::TooMuchToWatch`].
    pub async fn watch(&self, task: Option<&str>) -> Result<WatchSet, ObserverError> {
        let hosts = records::hosts_path(&self.root);
        let mut watchers = vec![self.watch_children(&hosts).await?];
        let mut bytes = self.chroot_bytes + hosts.len();
        if task.is_none() {
            let tasks = records::tasks_path(&self.root);
            watchers.push(self.watch_children(&tasks).await?);
            bytes += self.chroot_bytes + tasks.len();
        }
        let tasks = self.asked(task).await?;
        for task in &tasks {
            let term = TaskPaths::new(&self.root, task, None).term;
            watchers.push(self.watch_node(&term).await?);
            let elsewhere = self
                .latest(task)
                .await?
                .and_then(|latest| latest.record.path);
            let paths = TaskPaths::new(&self.root, task, elsewhere.as_deref());
            watchers.push(self.watch_node(&paths.master).await?);
            watchers.push(self.watch_node(&paths.failed).await?);
            watchers.push(self.watch_children(&paths.candidates).await?);
            let watched = [&paths.term, &paths.master, &paths.failed, &paths.candidates];
            bytes += watched
                .iter()
                .map(|path| self.chroot_bytes + path.len())
                .sum::<usize>();
            if bytes > WATCHED_BYTES_MAX {
                return Err(ObserverError::TooMuchToWatch { tasks: tasks.len() });
            }
        }
        Ok(WatchSet::new(watchers))
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

    /// Asks the leader of a task to resign, in favour of `to` if that is given, and waits until it has and another term
    /// has begun.
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
    ) -> Result<Handover, ObserverError> {
        self.catch_up().await?;
        let TaskStatus {
            leader, standbys, ..
        } = self.task(task).await?;
        let task = task.to_owned();
        let Some(leader) = leader else {
            return Err(ObserverError::NoLeader { task });
        };
        let Some(term) = leader.term else {
            return Err(ObserverError::Foreign {
                task,
                holder: leader.host,
            });
        };
        match to {
            Some(to) if to == leader.host => {
                return Err(ObserverError::LeadsAlready {
                    task,
                    host: to.to_owned(),
                });
            }
            Some(to) if !standbys.iter().any(|standby| standby == to) => {
                return Err(ObserverError::NotStanding {
                    task,
                    host: to.to_owned(),
                    standbys,
                });
            }
            _ => {}
        }
        let reason = reason.map(|reason| reason.chars().take(records::DETAIL_MAX_CHARS).collect());
        let token = Some(leader.fencing_token);
        let order = ResignOrder {
            term,
            fencing_token: token,
            to: to.map(str::to_owned),
            reason,
        };
        let path = TaskPaths::new(&self.root, &task, None).resign;
        let version = self.write(&path, &records::encode(&order)).await?;
        let Ok(next) = tokio::time::timeout(within, self.next_leader(&task, &leader)).await else {
            let ended = self
                .history(&task)
                .await?
                .iter()
                .any(|it| it.fencing_token == token && it.end.is_some());
            let host = leader.host;
            return Err(if ended {
                ObserverError::NobodyFollows { task, host, within }
            } else {
                ObserverError::StillLeading { host, within }
            });
        };
        let next = next?;
        // It is for a term that has ended, so it means nothing any more, whether it can be deleted or not.
        let _ = self.client.delete(&path, Some(version)).await;
        match to {
            Some(to) if to != next.host => Err(ObserverError::OtherLeads {
                task,
                host: next.host,
                wanted: to.to_owned(),
            }),
            _ => {
                let ended = self
                    .history(&task)
                    .await?
                    .into_iter()
                    .find(|entry| entry.fencing_token == token);
                Ok(Handover {
                    ended,
                    leader: next,
                })
            }
        }
    }

    /// Waits until somebody leads in another term than `before`.
    async fn next_leader(&self, task: &str, before: &Leader) -> Result<Leader, ObserverError> {
        loop {
            let look = async {
                let changes = self.watch(Some(task)).await?;
                Ok::<_, ObserverError>((changes, self.task(task).await?))
            };
            match look.await {
                Ok((changes, status)) => match status.leader {
                    Some(leader) if leader.fencing_token != before.fencing_token => {
                        return Ok(leader);
                    }
                    _ => changes.fired().await,
                },
                Err(error) if error.may_pass() && !self.is_lost() => {
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn asked(&self, task: Option<&str>) -> Result<Vec<String>, NodeError> {
        match task {
            Some(task) => Ok(vec![task.to_owned()]),
            None => self.children(&records::tasks_path(&self.root)).await,
        }
    }

    async fn task(&self, task: &str) -> Result<TaskStatus, ObserverError> {
        let mut reads = 1;
        loop {
            let Latest { record, zxid } = self.existing(task).await?;
            let paths = TaskPaths::new(&self.root, task, record.path.as_deref());
            let failure = self
                .data(&paths.failed)
                .await?
                .and_then(|(data, _)| records::decode::<FailedRecord>(&data));
            let failure = failure.map(|failure| failure.at(SystemTime::now()));
            let queue = self.queue(&paths).await?;
            let status = |leader: Option<Leader>, standbys: Vec<Candidate>| {
                let state = match (&failure, &leader) {
                    (Some(_), _) => TaskHealth::Failed,
                    (None, Some(_)) => TaskHealth::Led,
                    (None, None) => TaskHealth::Vacant,
                };
                let standbys = standbys.into_iter().map(|it| it.host).collect();
                TaskStatus {
                    task: task.to_owned(),
                    state,
                    failure: failure.clone(),
                    leader,
                    standbys,
                }
            };
            let master = self.data(&paths.master).await?;
            // A node that no session owns leads nobody.
            let master = master.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
            let Some((data, stat)) = master else {
                return Ok(status(None, queue));
            };
            // The transaction of an election creates the master node and writes the record.
            let elected = record.state == TermState::Active && stat.czxid == zxid;
            let (standing, standbys): (Vec<_>, Vec<_>) = queue
                .into_iter()
                .partition(|it| it.session == stat.ephemeral_owner);
            if !elected && !standing.is_empty() && reads < READS_MAX {
                // One of our hosts was elected between the reads.
                reads += 1;
                continue;
            }
            let leader = Leader {
                host: records::holder_name(&data, stat.ephemeral_owner),
                term: elected.then_some(record.term.number),
                fencing_token: stat.czxid.unsigned_abs(),
                since: if elected {
                    record.term.since
                } else {
                    records::rfc3339(stat.ctime)
                },
            };
            return Ok(status(Some(leader), standbys));
        }
    }

    /// The candidates of a task: what only bears the name of one is passed over.
    async fn queue(&self, paths: &TaskPaths) -> Result<Vec<Candidate>, NodeError> {
        let named = records::queue(self.children(&paths.candidates).await?);
        let owned = named.into_iter().map(async |candidate| {
            let path = format!("{}/{}", paths.candidates, candidate.name);
            let read = self.client.check_stat(&path).await;
            let stat = read.map_err(NodeError::at(Doing::Read, &path))?;
            Ok(stat
                .is_some_and(|stat| candidate.is_held_by(stat.ephemeral_owner))
                .then_some(candidate))
        });
        Ok(try_join_all(owned).await?.into_iter().flatten().collect())
    }

    async fn hosts(&self) -> Result<Vec<HostStatus>, NodeError> {
        let mut hosts = Vec::new();
        for host in self.children(&records::hosts_path(&self.root)).await? {
            // A host may leave between the two reads.
            if let Some((data, stat)) = self.data(&records::host_path(&self.root, &host)).await?
                && records::is_session(stat.ephemeral_owner)
            {
                let record = records::decode::<HostRecord>(&data);
                hosts.push(HostStatus {
                    host,
                    pid: record.as_ref().map(|record| record.pid),
                    version: record.as_ref().map(|record| record.version.clone()),
                    started: record.map(|record| record.started),
                });
            }
        }
        Ok(hosts)
    }

    /// A server may lag behind: whoever has just seen a failover must not be told of the time before.
    async fn catch_up(&self) -> Result<(), NodeError> {
        self.client
            .sync(&self.root)
            .await
            .map_err(NodeError::at(Doing::Read, &self.root))
    }

    async fn existing(&self, task: &str) -> Result<Latest, ObserverError> {
        let latest = self.latest(task).await?;
        latest.ok_or_else(|| ObserverError::NoTask {
            task: task.to_owned(),
            path: records::tasks_path(&self.root),
        })
    }

    async fn latest(&self, task: &str) -> Result<Option<Latest>, NodeError> {
        let read = self
            .data(&TaskPaths::new(&self.root, task, None).term)
            .await?;
        Ok(read.map(|(data, stat)| Latest {
            record: TermRecord::read(&data, stat.version).0,
            zxid: stat.mzxid,
        }))
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, NodeError> {
        match self.client.list_children(path).await {
            Ok(mut children) => {
                children.sort_unstable();
                Ok(children)
            }
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
        }
    }

    async fn data(&self, path: &str) -> Result<Option<(Vec<u8>, Stat)>, NodeError> {
        match self.client.get_data(path).await {
            Ok(read) => Ok(Some(read)),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
        }
    }

    async fn watch_children(&self, path: &str) -> Result<OneshotWatcher, NodeError> {
        match self.client.list_and_watch_children(path).await {
            Ok((_, watcher)) => Ok(watcher),
            Err(Error::NoNode) => self.watch_node(path).await,
            Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
        }
    }

    /// Watches a node that may not be there.
    async fn watch_node(&self, path: &str) -> Result<OneshotWatcher, NodeError> {
        let watched = self.client.check_and_watch_stat(path).await;
        watched
            .map(|(_, watcher)| watcher)
            .map_err(NodeError::at(Doing::Read, path))
    }

    /// Writes a node, whether it is there or not; gives its version.
    async fn write(&self, path: &str, data: &[u8]) -> Result<i32, NodeError> {
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        let written = match self.client.create(path, data, &options).await {
            Err(Error::NodeExists) => self.client.set_data(path, data, None).await,
            created => created.map(|(stat, _)| stat),
        };
        written
            .map(|stat| stat.version)
            .map_err(NodeError::at(Doing::Write, path))
    }
}
