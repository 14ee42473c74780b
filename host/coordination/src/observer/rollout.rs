//! What operators see of deployed tasks, and what they order.
//!
//! | file | what |
//! |---|---|
//! | `order` | one change of a record, with all that belongs to it, in one transaction |
//! | `tasks` | all tasks, deployed or not |
//! | `task` | one deployed task: its generations, and what each host says |
//! | `tidy` | generations and artefacts that nobody needs any more |
//! | `forget` | what is left of a task that nobody stands for |

mod forget;
mod order;
mod task;
mod tasks;
mod tidy;

use std::fmt;

pub use forget::Forgotten;
pub use order::{Attempt, Decide, Order};
pub use task::{Deployed, HostReadiness, Running, Seen};
pub use tasks::TaskListed;

use zookeeper_client::{Acls, CreateMode, Error};

use super::{Observer, ObserverError};
use crate::artefacts::Artefacts;
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, FormatError, RolloutRecord, TaskPaths};

/// How many nodes an operator reads at once.
const READS_MAX: usize = 32;

/// A record as it was read, and the data version of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The record.
    pub record: RolloutRecord,
    /// The version.
    pub version: i32,
}

/// What is left when a node is read that anybody may have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The node.
    pub path: String,
    /// What is wrong with it.
    pub problem: FormatError,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = soloist_core::text::printable(&self.path);
        write!(f, "node {path}: {}", self.problem)
    }
}

impl std::error::Error for Unreadable {}

impl Observer {
    /// The small artefacts that the ensemble keeps.
    pub fn artefacts(&self) -> Artefacts {
        Artefacts::new(self.client.clone(), &self.root, self.acl.clone())
    }

    /// The record of a task's rollout. None if the task was never deployed.
    ///
    /// # Errors
    /// [`ObserverError::Node`], [`ObserverError::Unreadable`].
    pub async fn rollout(&self, task: &str) -> Result<Option<Versioned>, ObserverError> {
        self.catch_up().await?;
        self.record(task).await
    }

    pub(super) async fn record(&self, task: &str) -> Result<Option<Versioned>, ObserverError> {
        let path = self.paths(task).manifest;
        let Some((data, stat)) = self.data(&path).await? else {
            return Ok(None);
        };
        let record =
            RolloutRecord::decode(&data).map_err(|problem| Unreadable { path, problem })?;
        let version = stat.version;
        Ok(Some(Versioned { record, version }))
    }

    fn paths(&self, task: &str) -> TaskPaths {
        TaskPaths::new(&self.root, task, None)
    }

    /// Makes the parents of a node, those that are not there.
    async fn ensure_parents(&self, path: &str) -> Result<(), NodeError> {
        let Some(parent) = records::parent(path) else {
            return Ok(());
        };
        let stat = self.client.check_stat(parent).await;
        if stat.map_err(NodeError::at(Doing::Read, parent))?.is_some() {
            return Ok(());
        }
        Box::pin(self.ensure_parents(parent)).await?;
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        match self.client.create(parent, b"", &options).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(error) => Err(NodeError::at(Doing::Create, parent)(error)),
        }
    }
}
