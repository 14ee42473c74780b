//! What the page of a host shows: all tasks at a glance, and one task closely. It is read again and again while somebody looks, so
//! it takes few requests, and what is read of a task is bounded.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use zookeeper_client::{Error, MultiReadResult};

use super::rollout::HostReadiness;
use super::{DrainedHost, Observer, ObserverError, TaskStatus, status};
use crate::error::{Doing, NodeError};
use soloist_core::records::{
    self, FormatError, History, HostRecord, RolloutRecord, TaskPaths, TermEntry,
};
use soloist_core::schedule::{Record, RecordError, SCHEDULES_MAX};
use soloist_core::state::VALUE_MAX_BYTES;
use soloist_core::status::HostStatus;

/// How many histories one request reads: each may have tens of kilobytes, and an answer has to stay below a megabyte.
const HISTORIES_AT_ONCE: usize = 16;
/// How many requests for histories are under way.
const REQUESTS_AT_ONCE: usize = 4;

/// All tasks and hosts, at a glance.
#[derive(Clone, Debug)]
pub struct Glance {
    /// The tasks, sorted, without what each host says of generations.
    pub tasks: Vec<TaskStatus>,
    /// The hosts that are there, sorted.
    pub hosts: Vec<HostStatus>,
    /// The hosts that are drained, whether they are there or not, sorted.
    pub drained: Vec<DrainedHost>,
    /// The transaction that last wrote the record of each host: another one with each heartbeat.
    pub beats: BTreeMap<String, i64>,
}

/// One task, closely.
#[derive(Clone, Debug)]
pub struct Close {
    /// How it stands.
    pub status: TaskStatus,
    /// What hosts say of its generations.
    pub readiness: Vec<HostReadiness>,
    /// Its latest terms that have ended, the latest first.
    pub ended: Vec<TermEntry>,
    /// The keys of its state, sorted.
    pub keys: Vec<String>,
    /// Its schedules by their names, so many at most as a task may have.
    pub schedules: Vec<(String, Result<Record, RecordError>)>,
    /// Its rollout, if it was deployed.
    pub rollout: Option<Result<RolloutRecord, FormatError>>,
    /// The numbers of the generations that are kept, the newest first.
    pub generations: Vec<u64>,
}

impl Observer {
    /// All tasks and hosts, at a glance.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn glance(&self) -> Result<Glance, ObserverError> {
        self.catch_up().await?;
        let names = self.children(&records::tasks_path(&self.root)).await?;
        let tasks = self.tasks_together(&names).await?;
        let (mut hosts, beats) = self.hosts_with_beats().await?;
        status::count_terms(&mut hosts, &tasks);
        let drained = self.drained(&hosts).await?;
        Ok(Glance {
            tasks,
            hosts,
            drained,
            beats,
        })
    }

    /// One task, closely. None if nobody ever stood for it.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn closely(&self, task: &str) -> Result<Option<Close>, ObserverError> {
        self.catch_up().await?;
        let paths = TaskPaths::new(&self.root, task, None);
        let Some(status) = self.task_if_any(task).await? else {
            return Ok(None);
        };
        let rollout = self.data(&paths.manifest).await?;
        let rollout = rollout.map(|(data, _)| RolloutRecord::decode(&data));
        let (readiness, generations) = match rollout {
            Some(_) => (self.readiness(task).await?, self.generations(task).await?),
            None => (Vec::new(), Vec::new()),
        };
        let names = self.children(&paths.schedules).await?;
        let schedules = names.into_iter().take(SCHEDULES_MAX).map(async |name| {
            let read = self.data(&format!("{}/{name}", paths.schedules)).await?;
            Ok::<_, NodeError>(read.map(|(data, _)| (name, Record::decode(&data))))
        });
        let schedules = stream::iter(schedules)
            .buffered(REQUESTS_AT_ONCE)
            .try_filter_map(async |read| Ok(read))
            .try_collect()
            .await?;
        let history = self.data(&paths.history).await?;
        Ok(Some(Close {
            status,
            readiness,
            ended: history.map_or_else(Vec::new, |(data, _)| History::read(&data).0),
            keys: self.children(&paths.state).await?,
            schedules,
            rollout,
            generations,
        }))
    }

    /// The latest terms of these tasks that have ended, the latest first.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn histories(&self, tasks: &[String]) -> Result<Vec<Vec<TermEntry>>, ObserverError> {
        let read = tasks.chunks(HISTORIES_AT_ONCE).map(async |tasks| {
            let mut multi = self.client.new_multi_reader();
            for task in tasks {
                multi.add_get_data(&TaskPaths::new(&self.root, task, None).history)?;
            }
            multi.commit().await
        });
        let read: Result<Vec<_>, Error> = stream::iter(read)
            .buffered(REQUESTS_AT_ONCE)
            .try_collect()
            .await;
        let path = records::tasks_path(&self.root);
        let read = read.map_err(NodeError::at(Doing::Read, &path))?;
        let history = |answer| match answer {
            MultiReadResult::Data { data, .. } => History::read(&data).0,
            _ => Vec::new(),
        };
        Ok(read.into_iter().flatten().map(history).collect())
    }

    /// A value of a task's state. None if there is none, or if it is longer than any plugin can have written.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn value(&self, task: &str, key: &str) -> Result<Option<Vec<u8>>, ObserverError> {
        let parent = TaskPaths::new(&self.root, task, None).state;
        // What is no key may be no path either.
        if soloist_core::state::check_key(key).is_err() {
            return Ok(None);
        }
        let read = self.data(&format!("{parent}/{key}")).await?;
        let read = read.map(|(data, _)| data);
        Ok(read.filter(|data| data.len() <= VALUE_MAX_BYTES))
    }

    /// The hosts that are there, and the transaction that last wrote the record of each.
    pub(super) async fn hosts_with_beats(
        &self,
    ) -> Result<(Vec<HostStatus>, BTreeMap<String, i64>), NodeError> {
        let names = self.children(&records::hosts_path(&self.root)).await?;
        let read = names.into_iter().map(async |host| {
            // A host may leave between the two reads.
            let read = self.data(&records::host_path(&self.root, &host)).await?;
            let read = read.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
            Ok::<_, NodeError>(read.map(|(data, stat)| {
                let record = records::decode::<HostRecord>(&data);
                (HostStatus::told(host, record), stat.mzxid)
            }))
        });
        let read: Vec<_> = stream::iter(read)
            .buffered(super::READ_AT_ONCE)
            .try_collect()
            .await?;
        let there: Vec<_> = read.into_iter().flatten().collect();
        let beats = there.iter().map(|(host, zxid)| (host.host.clone(), *zxid));
        let beats = beats.collect();
        Ok((there.into_iter().map(|(host, _)| host).collect(), beats))
    }
}
