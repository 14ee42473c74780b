//! Reads what an operator is shown.

use std::time::SystemTime;

use futures::future::try_join_all;
use zookeeper_client::{Error, MultiReadResult, Stat};

use super::health::{Led, Plugin, Standing};
use super::{Observer, ObserverError, TaskHost, TaskStatus};
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, Candidate, MasterRecord, TaskPaths, TermRecord, TermState};
use soloist_core::status::{HostStatus, Leader};

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
    pub(super) plugin: Plugin,
    /// Its candidates, without nodes that only bear the name of one.
    pub(super) queue: Vec<Standing>,
    pub(super) master: Option<(Vec<u8>, Stat)>,
}

impl TaskRead {
    /// How the task stands. None if it has changed while it was read, unless that is to be told all the same.
    pub(super) fn status(self, task: &str, is_last: bool) -> Option<TaskStatus> {
        let Self {
            latest: Latest { record, zxid },
            plugin,
            queue,
            master,
        } = self;
        let latest = record.term.number;
        let status = |leader| {
            let led = Led { leader, latest };
            Some(plugin.status(task, led, &queue, SystemTime::now()))
        };
        // A node that no session owns leads nobody.
        let master = master.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
        let Some((data, stat)) = master else {
            return status(None);
        };
        // The transaction of an election creates the master node and writes the record.
        let elected = record.state == TermState::Active && stat.czxid == zxid;
        let stands = queue
            .iter()
            .any(|it| it.candidate.session == stat.ephemeral_owner);
        let of_a_host = || stands || records::decode::<MasterRecord>(&data).is_some();
        if !elected && of_a_host() && !is_last {
            // A Soloist host was elected between the reads, or joined the queue and was elected.
            return None;
        }
        let leader = Leader {
            host: records::holder_name(&data, stat.ephemeral_owner),
            term: elected.then_some(record.term.number),
            fencing_token: stat.czxid.unsigned_abs(),
            generation: record.term.generation.filter(|_| elected),
            digest: record.term.digest.filter(|_| elected),
            since: if elected {
                record.term.since
            } else {
                records::rfc3339(stat.ctime)
            },
        };
        status(Some((leader, stat.ephemeral_owner)))
    }
}

impl Observer {
    pub(super) async fn task(&self, task: &str) -> Result<TaskStatus, ObserverError> {
        match self.task_if_any(task).await? {
            Some(status) => Ok(status),
            None => Err(self.no_task(task).await),
        }
    }

    /// How a task stands. None if nobody ever stood for it: then no other name is looked for, which takes reading all of them.
    pub(super) async fn task_if_any(&self, task: &str) -> Result<Option<TaskStatus>, NodeError> {
        let mut reads = 1;
        loop {
            let Some(latest) = self.latest(task).await? else {
                return Ok(None);
            };
            let paths = TaskPaths::new(&self.root, task, latest.record.path.as_deref());
            let plugin = self.plugin(&paths).await?;
            let queue = self.queue_as_told(&paths).await?;
            let read = TaskRead {
                latest,
                plugin,
                queue,
                master: self.data(&paths.master).await?,
            };
            match read.status(task, reads >= READS_MAX) {
                Some(status) => return Ok(Some(status)),
                None => reads += 1,
            }
        }
    }

    /// What is said of the plugin of a task: both records in one request.
    async fn plugin(&self, paths: &TaskPaths) -> Result<Plugin, NodeError> {
        let read = async {
            let mut multi = self.client.new_multi_reader();
            multi.add_get_data(&paths.failed)?;
            multi.add_get_data(&paths.restarts)?;
            let answers = multi.commit().await?.into_iter();
            let read = answers.map(|answer| match answer {
                MultiReadResult::Data { data, .. } => Ok(Some(data)),
                MultiReadResult::Error { err: Error::NoNode } => Ok(None),
                MultiReadResult::Error { err } => Err(err),
                _ => Err(Error::UnexpectedError("not what was asked for".into())),
            });
            read.collect::<Result<Vec<_>, _>>()
        };
        let read = read
            .await
            .map_err(NodeError::at(Doing::Read, &paths.failed))?;
        let mut read = read.into_iter().map(Option::unwrap_or_default);
        let (failed, restarts) = (
            read.next().unwrap_or_default(),
            read.next().unwrap_or_default(),
        );
        Ok(Plugin {
            failed: records::decode(&failed),
            restarts: records::decode(&restarts),
        })
    }

    /// The candidates of a task, without nodes that only bear the name of one.
    pub(super) async fn queue(&self, paths: &TaskPaths) -> Result<Vec<Candidate>, NodeError> {
        let queue = self.queue_as_told(paths).await?;
        Ok(queue.into_iter().map(|it| it.candidate).collect())
    }

    /// The same, with what each says.
    async fn queue_as_told(&self, paths: &TaskPaths) -> Result<Vec<Standing>, NodeError> {
        let named = records::queue(self.children(&paths.candidates).await?);
        let owned = named.into_iter().map(async |candidate| {
            let path = format!("{}/{}", paths.candidates, candidate.name);
            let read = self.data(&path).await?;
            let read = read.filter(|(_, stat)| candidate.is_held_by(stat.ephemeral_owner));
            Ok(read.map(|(data, _)| Standing {
                candidate,
                told: records::decode(&data).unwrap_or_default(),
            }))
        });
        Ok(try_join_all(owned).await?.into_iter().flatten().collect())
    }

    /// What hosts say of the generations of a task that was deployed.
    pub(super) async fn hosts_of(&self, task: &str) -> Result<Vec<TaskHost>, ObserverError> {
        let record = match self.record(task).await {
            Ok(record) => record,
            // Hosts say what they say.
            Err(ObserverError::Unreadable(_)) => None,
            Err(error) => return Err(error),
        };
        let sha256 = |number: u64| {
            let mut named = record.iter().flat_map(|it| it.record.named());
            named.find(|it| it.number == number).map(|it| it.sha256)
        };
        let told = self.readiness(task).await?.into_iter();
        let told = told.map(|told| TaskHost {
            host: told.host,
            generation: told.generation,
            sha256: told.generation.and_then(sha256),
            digest: None,
            readiness: told.readiness,
        });
        Ok(told.collect())
    }

    pub(super) async fn hosts(&self) -> Result<Vec<HostStatus>, NodeError> {
        let (hosts, _) = self.hosts_with_beats().await?;
        Ok(hosts)
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
        match self.latest(task).await? {
            Some(latest) => Ok(latest),
            None => Err(self.no_task(task).await),
        }
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
