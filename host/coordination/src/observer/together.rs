//! Reads many tasks in few requests: there may be ten thousand.

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use zookeeper_client::{Error, MultiReadResult};

use super::health::{Plugin, Standing};
use super::read::{Latest, TaskRead};
use super::{Observer, ObserverError, TaskStatus};
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, CandidateRecord, TaskPaths, TermRecord};

/// How many tasks one request reads: with hundreds of standbys each, the answer stays below a megabyte.
const TASKS_AT_ONCE: usize = 16;
/// How many candidates one request reads.
const CANDIDATES_AT_ONCE: usize = 128;
/// How many requests are under way.
const REQUESTS_AT_ONCE: usize = 16;

impl Observer {
    /// How these tasks stand, in their order, but for those that nobody ever stood for.
    pub(super) async fn tasks_together(
        &self,
        tasks: &[String],
    ) -> Result<Vec<TaskStatus>, ObserverError> {
        let read = tasks.chunks(TASKS_AT_ONCE).map(|tasks| self.some(tasks));
        let read: Vec<_> = stream::iter(read)
            .buffered(REQUESTS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(read.into_iter().flatten().flatten().collect())
    }

    async fn some(&self, tasks: &[String]) -> Result<Vec<Option<TaskStatus>>, ObserverError> {
        let reads = self.read_some(tasks).await?;
        let statuses = tasks.iter().zip(reads).map(async |(task, read)| {
            if let Some(status) = read.and_then(|read| read.status(task, false)) {
                return Ok(Some(status));
            }
            // It is led by another path, it changes, or something of it cannot be read.
            match self.task(task).await {
                Ok(status) => Ok(Some(status)),
                // Its first host is about to write the record.
                Err(ObserverError::NoTask { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        try_join_all(statuses).await
    }

    /// What is read of each, if it can be read together.
    async fn read_some(&self, tasks: &[String]) -> Result<Vec<Option<TaskRead>>, NodeError> {
        let paths: Vec<_> = tasks
            .iter()
            .map(|task| TaskPaths::new(&self.root, task, None))
            .collect();
        let of_tasks = records::tasks_path(&self.root);
        let read = async {
            let mut multi = self.client.new_multi_reader();
            for paths in &paths {
                multi.add_get_data(&paths.term)?;
                multi.add_get_data(&paths.failed)?;
                multi.add_get_data(&paths.restarts)?;
                multi.add_get_data(&paths.master)?;
                multi.add_get_children(&paths.candidates)?;
            }
            multi.commit().await
        };
        let read = read.await.map_err(NodeError::at(Doing::Read, &of_tasks))?;
        let mut read = read.into_iter();
        let read: Vec<_> = std::iter::from_fn(|| {
            let part = [
                read.next()?,
                read.next()?,
                read.next()?,
                read.next()?,
                read.next()?,
            ];
            Some(TaskRead::of(part))
        })
        .collect();
        self.without_strangers(&paths, read)
            .await
            .map_err(NodeError::at(Doing::Read, &of_tasks))
    }

    /// The same, without nodes that only bear the name of a candidate.
    async fn without_strangers(
        &self,
        paths: &[TaskPaths],
        mut tasks: Vec<Option<TaskRead>>,
    ) -> Result<Vec<Option<TaskRead>>, Error> {
        let mut named = Vec::new();
        for (at, (paths, task)) in paths.iter().zip(&mut tasks).enumerate() {
            let queue = task.as_mut().map(|task| std::mem::take(&mut task.queue));
            let queue = queue.into_iter().flatten();
            named.extend(queue.map(|it| {
                let path = format!("{}/{}", paths.candidates, it.candidate.name);
                (at, path, it.candidate)
            }));
        }
        let owners = named.chunks(CANDIDATES_AT_ONCE).map(async |named| {
            let mut multi = self.client.new_multi_reader();
            for (_, path, _) in named {
                multi.add_get_data(path)?;
            }
            multi.commit().await
        });
        let owners = try_join_all(owners).await?.into_iter().flatten();
        for ((at, _, candidate), owner) in named.into_iter().zip(owners) {
            match owner {
                MultiReadResult::Data { data, stat } => {
                    if let Some(task) = &mut tasks[at]
                        && candidate.is_held_by(stat.ephemeral_owner)
                    {
                        let told = records::decode(&data).unwrap_or_default();
                        task.queue.push(Standing { candidate, told });
                    }
                }
                MultiReadResult::Error { err: Error::NoNode } => {}
                _ => tasks[at] = None,
            }
        }
        Ok(tasks)
    }
}

impl TaskRead {
    /// From the answers for the record, the mark of a failure, the master node and the candidates. None if one of them is not what
    /// was asked for, or if the record is not there or names another master node.
    fn of([term, failed, restarts, master, queue]: [MultiReadResult; 5]) -> Option<Self> {
        let data = |read| match read {
            MultiReadResult::Data { data, stat } => Some(Some((data, stat))),
            MultiReadResult::Error { err: Error::NoNode } => Some(None),
            _ => None,
        };
        let (term, stat) = data(term)??;
        let (record, _) = TermRecord::read(&term, stat.version);
        let (failed, restarts) = (data(failed)?, data(restarts)?);
        let queue = match queue {
            MultiReadResult::Children { children } => records::queue(children),
            MultiReadResult::Error { err: Error::NoNode } => Vec::new(),
            _ => return None,
        };
        let master = data(master)?;
        record.path.is_none().then(|| Self {
            latest: Latest {
                record,
                zxid: stat.mzxid,
            },
            plugin: Plugin {
                failed: failed.and_then(|(data, _)| records::decode(&data)),
                restarts: restarts.and_then(|(data, _)| records::decode(&data)),
            },
            queue: queue
                .into_iter()
                .map(|candidate| Standing {
                    candidate,
                    told: CandidateRecord::default(),
                })
                .collect(),
            master,
        })
    }
}
