//! Watches on what an operator is shown.

use zookeeper_client::{Error, OneshotWatcher};

use super::{Observer, ObserverError};
use crate::error::{Doing, NodeError};
use crate::watches::WatchSet;
use soloist_core::records::{self, TaskPaths, WATCHED_BYTES_MAX};

impl Observer {
    /// Watches all that [`Observer::status`] reads. Called before `status`, it misses no change.
    ///
    /// # Errors
    /// [`ObserverError::Node`], [`ObserverError::TooMuchToWatch`].
    pub async fn watch(&self, task: Option<&str>) -> Result<WatchSet, ObserverError> {
        let hosts = records::hosts_path(&self.root);
        let drained = records::drained_path(&self.root);
        let mut watchers = vec![
            self.watch_children(&hosts).await?,
            self.watch_children(&drained).await?,
        ];
        let mut bytes = 2 * self.chroot_bytes + hosts.len() + drained.len();
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

    async fn watch_children(&self, path: &str) -> Result<OneshotWatcher, NodeError> {
        match self.client.list_and_watch_children(path).await {
            Ok((_, watcher)) => Ok(watcher),
            Err(Error::NoNode) => self.watch_node(path).await,
            Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
        }
    }

    /// Watches a node that may not be there.
    pub(super) async fn watch_node(&self, path: &str) -> Result<OneshotWatcher, NodeError> {
        let watched = self.client.check_and_watch_stat(path).await;
        watched
            .map(|(_, watcher)| watcher)
            .map_err(NodeError::at(Doing::Read, path))
    }
}
