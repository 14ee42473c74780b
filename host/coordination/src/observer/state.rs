//! What a plugin keeps, as operators read and write it.
//!
//! A write is fenced as an order is: it is one transaction with checks of what the operator has seen, so it is done to that or not at
//! all. Nobody was elected since the term record was read; and the rollout, which may restore the state, is as it was.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use zookeeper_client::{Acls, CreateMode, Error, MultiWriteError, MultiWriteResult, MultiWriter};

use super::{Observer, ObserverError, READ_AT_ONCE};
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, TaskPaths, TermRecord, TermState};
use soloist_core::state::{KEYS_MAX, StateError, check_key, check_value};
use soloist_core::text::printable;

/// How often a write is tried while what it rests on changes.
const ATTEMPTS_MAX: u32 = 10;

/// An entry of a task's state, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateKey {
    /// The key. A plugin chose it.
    pub key: String,
    /// How many bytes the value has.
    pub bytes: u64,
    /// The version, which grows with every write.
    pub version: u64,
    /// When it was written last: RFC 3339, UTC, by the ensemble's clock.
    pub written: String,
}

/// What is to be done to an entry.
#[derive(Clone, Copy)]
pub enum StateChange<'a> {
    /// It holds this from then on.
    Set(&'a [u8]),
    /// It is gone from then on.
    Delete,
}

/// On what condition an entry is changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct StateGuard {
    /// The version that the entry has to have; the inner none: it must not be there.
    pub expected: Option<Option<u64>>,
    /// Whether to write even though somebody leads, or the state is about to be restored.
    pub force: bool,
}

/// Why the state of a task cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum StateRefused {
    /// The key or the value cannot be used, or the entry is not as expected.
    #[error(transparent)]
    Entry(#[from] StateError),
    /// A plugin runs that may use the entry.
    #[error(
        "{} leads task {task}, and its plugin may rest on what stands there: pause the task or stop its hosts first, or write all \
         the same with --force",
        printable(host)
    )]
    Led {
        /// The task.
        task: String,
        /// Who leads.
        host: String,
    },
    /// The state will be replaced.
    #[error(
        "the next leader of task {task} restores the state as it was before the generation that was taken back, so what is written \
         now would be lost; --force writes it all the same"
    )]
    Restored {
        /// The task.
        task: String,
    },
    /// Somebody writes all the time.
    #[error("task {task} changes faster than its state can be written: try again")]
    Unsteady {
        /// The task.
        task: String,
    },
    /// The entry is not there.
    #[error("task {task} has no key of that name: `soloist state {task} list` has those there are")]
    NoKey {
        /// The task.
        task: String,
    },
}

impl Observer {
    /// The entries of a task's state whose keys begin with `prefix`, sorted.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::Node`].
    pub async fn state_keys(
        &self,
        task: &str,
        prefix: &str,
    ) -> Result<Vec<StateKey>, ObserverError> {
        self.catch_up().await?;
        self.existing(task).await?;
        let parent = TaskPaths::new(&self.root, task, None).state;
        Ok(self.entries(&parent, prefix).await?)
    }

    /// The entries below a node.
    pub(super) async fn entries(
        &self,
        parent: &str,
        prefix: &str,
    ) -> Result<Vec<StateKey>, NodeError> {
        let mut keys = self.children(parent).await?;
        keys.retain(|key| key.starts_with(prefix));
        let read = keys.into_iter().map(async |key| {
            let path = format!("{parent}/{key}");
            let stat = self.client.check_stat(&path).await;
            let stat = stat.map_err(NodeError::at(Doing::Read, &path))?;
            // It may have been deleted between the two reads.
            Ok(stat.map(|stat| StateKey {
                key,
                bytes: u64::try_from(stat.data_length).unwrap_or(0),
                version: stat.mzxid.unsigned_abs(),
                written: records::rfc3339(stat.mtime),
            }))
        });
        let read: Vec<_> = stream::iter(read)
            .buffered(READ_AT_ONCE)
            .try_collect()
            .await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The value of an entry, and its version.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::State`], [`ObserverError::Node`].
    pub async fn state_value(
        &self,
        task: &str,
        key: &str,
    ) -> Result<(Vec<u8>, u64), ObserverError> {
        check_key(key).map_err(StateRefused::Entry)?;
        self.catch_up().await?;
        self.existing(task).await?;
        let parent = TaskPaths::new(&self.root, task, None).state;
        match self.data(&format!("{parent}/{key}")).await? {
            Some((value, stat)) => Ok((value, stat.mzxid.unsigned_abs())),
            None => Err(no_key(task)),
        }
    }

    /// Writes or deletes an entry; gives its version if it was written.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::State`], [`ObserverError::Foreign`], [`ObserverError::Node`].
    ///
    /// # Cancellation safety
    /// Dropped, it may or may not have been done.
    pub async fn change_state(
        &self,
        task: &str,
        key: &str,
        change: StateChange<'_>,
        guard: StateGuard,
    ) -> Result<u64, ObserverError> {
        check_key(key).map_err(StateRefused::Entry)?;
        if let StateChange::Set(value) = change {
            check_value(value).map_err(StateRefused::Entry)?;
        }
        self.catch_up().await?;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(version) = self.try_change(task, key, change, guard).await? {
                return Ok(version);
            }
        }
        let task = task.to_owned();
        Err(StateRefused::Unsteady { task }.into())
    }

    /// None if something has changed meanwhile.
    async fn try_change(
        &self,
        task: &str,
        key: &str,
        change: StateChange<'_>,
        guard: StateGuard,
    ) -> Result<Option<u64>, ObserverError> {
        let paths = TaskPaths::new(&self.root, task, None);
        let path = format!("{}/{key}", paths.state);
        let failed = NodeError::at(Doing::Write, &path);
        let Some((term, term_stat)) = self.data(&paths.term).await? else {
            return Err(self.no_task(task).await);
        };
        let record = TermRecord::read(&term, term_stat.version).0;
        let rollout = self.record(task).await?;
        if !guard.force {
            self.check_nobody_leads(task, &record).await?;
            if rollout.as_ref().is_some_and(|it| it.record.restore) {
                let task = task.to_owned();
                return Err(StateRefused::Restored { task }.into());
            }
        }
        let entry = self.client.check_stat(&path).await.map_err(failed)?;
        let version = entry.as_ref().map(|stat| stat.mzxid.unsigned_abs());
        if guard.expected.is_some_and(|expected| expected != version) {
            return Err(StateRefused::Entry(StateError::Changed(version)).into());
        }
        let mut multi = self.client.new_multi_writer();
        let checks = Self::add_checks(&mut multi, &paths, term_stat.version, rollout.as_ref());
        checks.map_err(failed)?;
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        let added = match (change, &entry) {
            (StateChange::Set(value), Some(stat)) => {
                multi.add_set_data(&path, value, Some(stat.version))
            }
            (StateChange::Set(value), None) => {
                let parent = self.client.check_stat(&paths.state).await;
                let parent = parent.map_err(failed)?;
                let keys = parent.as_ref().map_or(0, |stat| stat.num_children);
                if usize::try_from(keys).unwrap_or(0) >= KEYS_MAX {
                    return Err(StateRefused::Entry(StateError::TooMany).into());
                }
                let parent = match parent {
                    Some(_) => Ok(()),
                    None => multi.add_create(&paths.state, b"", &options),
                };
                // A transaction tells the zxid of what it sets, not always that of what it creates.
                parent
                    .and_then(|()| multi.add_create(&path, b"", &options))
                    .and_then(|()| multi.add_set_data(&path, value, None))
            }
            (StateChange::Delete, Some(stat)) => multi.add_delete(&path, Some(stat.version)),
            (StateChange::Delete, None) => return Err(no_key(task)),
        };
        added.map_err(failed)?;
        match multi.commit().await {
            Ok(results) => Ok(Some(match results.last() {
                Some(MultiWriteResult::SetData { stat }) => stat.mzxid.unsigned_abs(),
                _ => 0,
            })),
            Err(MultiWriteError::OperationFailed {
                source: Error::BadVersion | Error::NoNode | Error::NodeExists,
                ..
            }) => Ok(None),
            Err(error) => Err(failed(error.into()).into()),
        }
    }

    fn add_checks(
        multi: &mut MultiWriter<'_>,
        paths: &TaskPaths,
        term: i32,
        rollout: Option<&super::rollout::Versioned>,
    ) -> Result<(), Error> {
        multi.add_check_version(&paths.term, term)?;
        match rollout {
            Some(rollout) => multi.add_check_version(&paths.manifest, rollout.version),
            None => Ok(()),
        }
    }

    /// Whether no plugin of the task can be running. A leader whose master node somebody has deleted has its candidate until its
    /// plugin has stopped.
    async fn check_nobody_leads(
        &self,
        task: &str,
        record: &TermRecord,
    ) -> Result<(), ObserverError> {
        let paths = TaskPaths::new(&self.root, task, record.path.as_deref());
        let master = self.data(&paths.master).await?;
        let master = master.filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
        let host = match master {
            Some((data, stat)) => Some(records::holder_name(&data, stat.ephemeral_owner)),
            None if record.state == TermState::Active => {
                let queue = self.queue(&paths).await?;
                let stands = queue.iter().any(|it| it.host == record.term.host);
                stands.then(|| record.term.host.clone())
            }
            None => None,
        };
        let task = task.to_owned();
        match host {
            Some(host) => Err(StateRefused::Led { task, host }.into()),
            None => Ok(()),
        }
    }
}

fn no_key(task: &str) -> ObserverError {
    let task = task.to_owned();
    StateRefused::NoKey { task }.into()
}
