//! What is left of a task that nobody stands for, and how it goes.
//!
//! Only what no session owns is deleted. The parent of the candidates goes first, and only while it is empty: whoever stands
//! from then on makes everything anew. All else goes in transactions that check that the rollout is as it was.

use zookeeper_client::{Error, MultiWriteError};

use super::{Observer, ObserverError, Versioned};
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, TaskPaths};
use soloist_core::rollout::Refused;

/// How many nodes one transaction deletes.
const BATCH: usize = 200;
/// How often a transaction is made anew because somebody else deletes the same nodes.
const ROUNDS_MAX: u32 = 10;

/// What was deleted of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The highest number that a generation had. None if nothing was ever deployed.
    pub newest: Option<u64>,
    /// How many nodes were deleted.
    pub nodes: usize,
}

impl Observer {
    /// Who stands for a task, or runs it: none if nobody does.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn standing(&self, task: &str) -> Result<Vec<String>, ObserverError> {
        let latest = self.latest(task).await?;
        let elsewhere = latest.and_then(|latest| latest.record.path);
        let paths = TaskPaths::new(&self.root, task, elsewhere.as_deref());
        let queue = self.queue(&paths).await?;
        let mut standing: Vec<String> = queue.into_iter().map(|it| it.host).collect();
        let master = self.data(&paths.master).await?;
        if let Some((data, stat)) = master
            && records::is_session(stat.ephemeral_owner)
        {
            let holder = records::holder_name(&data, stat.ephemeral_owner);
            if !standing.contains(&holder) {
                standing.push(holder);
            }
        }
        Ok(standing)
    }

    /// Deletes the state of a task, the copy of it, and the records of its schedules; gives how many nodes that were. `record`
    /// is that of the undeployed task.
    ///
    /// # Errors
    /// [`ObserverError::Standing`], [`ObserverError::Refused`] if somebody has changed the rollout, [`ObserverError::Node`].
    ///
    /// # Cancellation safety
    /// Dropped, some nodes are left: the same again deletes them.
    pub async fn purge(&self, task: &str, record: &Versioned) -> Result<usize, ObserverError> {
        let paths = self.paths(task);
        let mut nodes = 0;
        // The copy has nodes below nodes: the lowest go first.
        let [state, schedules] = copies(&paths);
        for parent in [
            &state,
            &schedules,
            &paths.saved,
            &paths.state,
            &paths.schedules,
        ] {
            nodes += self.empty(task, parent, Some(record)).await?;
        }
        Ok(nodes)
    }

    /// Deletes all that is kept of a task that nobody stands for and that is not deployed, the record of its rollout last.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::Standing`], [`ObserverError::Refused`], [`ObserverError::Node`].
    ///
    /// # Cancellation safety
    /// Dropped, some nodes are left: the same again deletes them.
    pub async fn forget(&self, task: &str) -> Result<Forgotten, ObserverError> {
        let record = self.rollout(task).await?;
        if let Some(current) = record.as_ref().and_then(|it| it.record.current) {
            let current = current.number;
            return Err(Refused::Deployed { current }.into());
        }
        let paths = self.paths(task);
        let own = records::parent(&paths.term).unwrap_or_default().to_owned();
        let there = self.data(&own).await?.is_some();
        if record.is_none() && !there {
            return Err(self.no_task(task).await);
        }
        self.check_nobody_stands(task).await?;
        let guard = record.as_ref();
        let mut nodes = self
            .delete(task, vec![paths.candidates.clone()], guard)
            .await?;
        let [state, schedules] = copies(&paths);
        for parent in [
            &state,
            &schedules,
            &paths.saved,
            &paths.state,
            &paths.schedules,
            &paths.generations,
        ] {
            nodes += self.empty(task, parent, guard).await?;
            nodes += self.delete(task, vec![parent.clone()], guard).await?;
        }
        let rest = [
            &paths.ready,
            &paths.failed,
            &paths.restarts,
            &paths.resign,
            &paths.history,
            &paths.term,
        ];
        let mut rest: Vec<String> = rest.into_iter().cloned().collect();
        // One that no session owns leads nobody.
        rest.push(TaskPaths::new(&self.root, task, None).master);
        rest.push(own);
        for path in rest {
            nodes += self.delete(task, vec![path], guard).await?;
        }
        if let Some(record) = guard {
            let deleted = self
                .client
                .delete(&paths.manifest, Some(record.version))
                .await;
            match deleted {
                Ok(()) => nodes += 1,
                Err(Error::NoNode) => {}
                Err(Error::BadVersion) => return Err(self.changed(task).await),
                Err(error) => {
                    return Err(NodeError::at(Doing::Write, &paths.manifest)(error).into());
                }
            }
        }
        let newest = record.map(|it| it.record.newest);
        Ok(Forgotten { newest, nodes })
    }

    async fn check_nobody_stands(&self, task: &str) -> Result<(), ObserverError> {
        let hosts = self.standing(task).await?;
        if hosts.is_empty() {
            return Ok(());
        }
        let task = task.to_owned();
        Err(ObserverError::Standing { task, hosts })
    }

    /// Deletes the children of a node; gives how many they were.
    async fn empty(
        &self,
        task: &str,
        parent: &str,
        guard: Option<&Versioned>,
    ) -> Result<usize, ObserverError> {
        let mut nodes = 0;
        let names = self.children(parent).await?;
        for names in names.chunks(BATCH) {
            self.check_nobody_stands(task).await?;
            let paths = names.iter().map(|name| format!("{parent}/{name}"));
            nodes += self.delete(task, paths.collect(), guard).await?;
        }
        Ok(nodes)
    }

    /// Deletes these nodes, those that are there, if the rollout is as it was.
    async fn delete(
        &self,
        task: &str,
        mut paths: Vec<String>,
        guard: Option<&Versioned>,
    ) -> Result<usize, ObserverError> {
        let manifest = self.paths(task).manifest;
        for _ in 0..ROUNDS_MAX {
            let Some(first) = paths.first().cloned() else {
                return Ok(0);
            };
            let at = NodeError::at(Doing::Write, &first);
            let mut multi = self.client.new_multi_writer();
            if let Some(record) = guard {
                multi
                    .add_check_version(&manifest, record.version)
                    .map_err(at)?;
            }
            for path in &paths {
                multi.add_delete(path, None).map_err(at)?;
            }
            let Err(error) = multi.commit().await else {
                return Ok(paths.len());
            };
            let checks = usize::from(guard.is_some());
            let failed = match &error {
                MultiWriteError::OperationFailed { index, .. } => Some(*index),
                MultiWriteError::RequestFailed { .. } => None,
            };
            let source = Error::from(error);
            match (failed, &source) {
                (Some(index), Error::BadVersion | Error::NoNode) if index < checks => {
                    return Err(self.changed(task).await);
                }
                // It is gone already.
                (Some(index), Error::NoNode) => {
                    paths.remove(index - checks);
                }
                (Some(_), Error::NotEmpty) => {
                    self.check_nobody_stands(task).await?;
                    return Err(at(source).into());
                }
                _ => return Err(at(source).into()),
            }
        }
        // Somebody deletes them as fast: those that are left are listed the next time.
        Ok(0)
    }

    /// The refusal of an order whose record was changed meanwhile.
    async fn changed(&self, task: &str) -> ObserverError {
        match self.record(task).await {
            Ok(Some(now)) => Refused::changed(&now.record).into(),
            Ok(None) => Refused::NotDeployed.into(),
            Err(error) => error,
        }
    }
}

/// Where the copies of the state and of the records of its schedules lie.
fn copies(paths: &TaskPaths) -> [String; 2] {
    ["state", "schedules"].map(|kind| format!("{}/{kind}", paths.saved))
}
