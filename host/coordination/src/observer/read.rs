//! Reads what an operator is shown.

use std::time::SystemTime;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use zookeeper_client::{Error, Stat};

use super::{HostStatus, Leader, Observer, ObserverError, READ_AT_ONCE, TaskHealth, TaskStatus};
use crate::error::{Doing, NodeError};
use soloist_core::records::{
    self, Candidate, FailedRecord, HostRecord, MasterRecord, TaskPaths, TermRecord, TermState,
};

/// How often a task is read that changes while it is read.
const READS_MAX: usize = 5;

/// The term record of a task, and the transaction that last changed it.
pub(super) struct Latest {
    pub(super) record: TermRecord,
    pub(super) zxid: i64,
}

/// What is read of a task to say how it stands.
pub(super) struct TaskRead {
    pub(super) latest: Latest,
    pub(super) failure: Option<FailedRecord>,
    /// Its candidates, without nodes that only bear the name of one.
    pub(super) queue: Vec<Candidate>,
    pub(super) master: Option<(Vec<u8>, Stat)>,
}

impl TaskRead {
    /// How the task stands. None if it has changed while it was read, unless that is to be told all the same.
    pub(super) fn status(self, task: &str, is_last: bool) -> Option<TaskStatus> {
        let Self {
            latest: Latest { record, zxid },
            failure,
            queue,
            master,
        } = self;
        let failure = failure.map(|failure| failure.at(SystemTime::now()));
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
        // A node that no session owns leads nobody.
        let master = master.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
        let Some((data, stat)) = master else {
            return Some(status(None, queue));
        };
        // The transaction of an election creates the master node and writes the record.
        let elected = record.state == TermState::Active && stat.czxid == zxid;
        let (standing, standbys): (Vec<_>, Vec<_>) = queue
            .into_iter()
            .partition(|it| it.session == stat.ephemeral_owner);
        let of_a_host = || !standing.is_empty() || records::decode::<MasterRecord>(&data).is_some();
        if !elected && of_a_host() && !is_last {
            // A Soloist host was elected between the reads, or joined the queue and was elected.
            return None;
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
        Some(status(Some(leader), standbys))
    }
}

impl Observer {
    pub(super) async fn asked(&self, task: Option<&str>) -> Result<Vec<String>, NodeError> {
        match task {
            Some(task) => Ok(vec![task.to_owned()]),
            None => self.children(&records::tasks_path(&self.root)).await,
        }
    }

    pub(super) async fn task(&self, task: &str) -> Result<TaskStatus, ObserverError> {
        let mut reads = 1;
        loop {
            let latest = self.existing(task).await?;
            let paths = TaskPaths::new(&self.root, task, latest.record.path.as_deref());
            let failure = self.data(&paths.failed).await?;
            let queue = self.queue(&paths).await?;
            let read = TaskRead {
                latest,
                failure: failure.and_then(|(data, _)| records::decode::<FailedRecord>(&data)),
                queue,
                master: self.data(&paths.master).await?,
            };
            match read.status(task, reads >= READS_MAX) {
                Some(status) => return Ok(status),
                None => reads += 1,
            }
        }
    }

    /// The candidates of a task, without nodes that only bear the name of one.
    pub(super) async fn queue(&self, paths: &TaskPaths) -> Result<Vec<Candidate>, NodeError> {
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

    pub(super) async fn hosts(&self) -> Result<Vec<HostStatus>, NodeError> {
        let hosts = self.children(&records::hosts_path(&self.root)).await?;
        let read = hosts.into_iter().map(async |host| {
            // A host may leave between the two reads.
            let read = self.data(&records::host_path(&self.root, &host)).await?;
            let read = read.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
            Ok(read.map(|(data, _)| {
                let record = records::decode::<HostRecord>(&data);
                let load = record.as_ref().and_then(|record| record.placement.as_ref());
                HostStatus {
                    host,
                    pid: record.as_ref().map(|record| record.pid),
                    version: record.as_ref().map(|record| record.version.clone()),
                    leads: load.map(|load| load.active),
                    max_active: load.and_then(|load| load.max_active),
                    labels: load.map(|load| load.labels.clone()).unwrap_or_default(),
                    drain: record.as_ref().and_then(|record| record.drain),
                    started: record.map(|record| record.started),
                }
            }))
        });
        let read: Vec<_> = stream::iter(read)
            .buffered(READ_AT_ONCE)
            .try_collect()
            .await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Waits until the server at hand has caught up: an operator who has just seen a failover must not be told of the time
    /// before it.
    pub(super) async fn catch_up(&self) -> Result<(), NodeError> {
        self.client
            .sync(&self.root)
            .await
            .map_err(NodeError::at(Doing::Read, &self.root))
    }

    pub(super) async fn existing(&self, task: &str) -> Result<Latest, ObserverError> {
        let latest = self.latest(task).await?;
        latest.ok_or_else(|| ObserverError::NoTask {
            task: task.to_owned(),
            path: records::tasks_path(&self.root),
        })
    }

    pub(super) async fn latest(&self, task: &str) -> Result<Option<Latest>, NodeError> {
        let read = self
            .data(&TaskPaths::new(&self.root, task, None).term)
            .await?;
        Ok(read.map(|(data, stat)| Latest {
            record: TermRecord::read(&data, stat.version).0,
            zxid: stat.mzxid,
        }))
    }

    pub(super) async fn children(&self, path: &str) -> Result<Vec<String>, NodeError> {
        match self.client.list_children(path).await {
            Ok(mut children) => {
                children.sort_unstable();
                Ok(children)
            }
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
        }
    }

    pub(super) async fn data(&self, path: &str) -> Result<Option<(Vec<u8>, Stat)>, NodeError> {
        match self.client.get_data(path).await {
            Ok(read) => Ok(Some(read)),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
        }
    }
}
