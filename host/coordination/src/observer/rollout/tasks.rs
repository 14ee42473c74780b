//! All tasks: those that were deployed, and those of which only terms are known.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Observer, ObserverError, READS_MAX, Seen};
use crate::observer::TaskStatus;
use soloist_core::records;
use soloist_core::status::Leader;

/// A task in the list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskListed {
    /// It was deployed.
    Deployed {
        /// The task.
        task: String,
        /// How its rollout stands.
        seen: Box<Seen>,
    },
    /// It was deployed, and its record cannot be read.
    Unreadable {
        /// The task.
        task: String,
        /// Why not.
        problem: String,
    },
    /// Hosts stand for it by their own configuration.
    OfFiles {
        /// The task.
        task: String,
        /// Who runs it, a foreign program included.
        leader: Option<Leader>,
    },
}

impl TaskListed {
    /// The name of the task.
    pub fn task(&self) -> &str {
        match self {
            Self::Deployed { task, .. }
            | Self::Unreadable { task, .. }
            | Self::OfFiles { task, .. } => task,
        }
    }
}

impl Observer {
    /// All tasks, by their names.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn tasks(&self) -> Result<Vec<TaskListed>, ObserverError> {
        self.catch_up().await?;
        let deployed = self.children(&records::manifests_path(&self.root)).await?;
        let deployed: BTreeSet<String> = deployed.into_iter().collect();
        let known = self.children(&records::tasks_path(&self.root)).await?;
        let of_files: Vec<_> = known
            .into_iter()
            .filter(|task| !deployed.contains(task))
            .collect();
        let of_files = self.tasks_together(&of_files).await?;
        let reads = deployed
            .into_iter()
            .map(async |task| self.listed(task).await);
        let mut all: Vec<_> = stream::iter(reads)
            .buffered(READS_MAX)
            .try_collect()
            .await?;
        all.extend(
            of_files
                .into_iter()
                .map(|TaskStatus { task, leader, .. }| TaskListed::OfFiles { task, leader }),
        );
        all.sort_by(|one, other| one.task().cmp(other.task()));
        Ok(all)
    }

    async fn listed(&self, task: String) -> Result<TaskListed, ObserverError> {
        let record = match self.record(&task).await {
            Ok(record) => record,
            Err(ObserverError::Unreadable(unreadable)) => {
                let problem = unreadable.to_string();
                return Ok(TaskListed::Unreadable { task, problem });
            }
            Err(error) => return Err(error),
        };
        let seen = Seen {
            record,
            hosts: self.readiness(&task).await?,
            running: self.running(&task).await?,
        };
        let seen = Box::new(seen);
        Ok(TaskListed::Deployed { task, seen })
    }
}
