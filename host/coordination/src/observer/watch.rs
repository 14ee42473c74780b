//! Watches on what an operator is shown.

use futures::stream::{self, StreamExt as _};
use zookeeper_client::{Error, OneshotWatcher};

use super::{Observer, ObserverError, READ_AT_ONCE};
use crate::error::{Doing, NodeError};
use crate::watches::WatchSet;
use soloist_core::records::{self, TaskPaths, WATCHED_BYTES_MAX};

/// What is watched of what an operator is shown.
#[derive(Debug)]
pub struct Watched {
    /// The watches.
    pub set: WatchSet,
    /// How many tasks are not watched: all if they are more than one session can watch. Then only hosts and the list of tasks
    /// are.
    pub leaves_out: usize,
}

impl Observer {
    /// Watches what [`Observer::status`] reads. Called before `status`, it misses no change, if it watches all.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn watch(&self, task: Option<&str>) -> Result<Watched, ObserverError> {
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
        let of_tasks = tasks.iter().map(async |task| {
            let term = TaskPaths::new(&self.root, task, None).term;
            let of_term = self.watch_node(&term).await?;
            let elsewhere = self
                .latest(task)
                .await?
                .and_then(|latest| latest.record.path);
            let paths = TaskPaths::new(&self.root, task, elsewhere.as_deref());
            let watched = [&paths.term, &paths.master, &paths.failed, &paths.candidates];
            let bytes = watched.map(|path| self.chroot_bytes + path.len());
            let watchers = [
                of_term,
                self.watch_node(&paths.master).await?,
                self.watch_node(&paths.failed).await?,
                self.watch_children(&paths.candidates).await?,
            ];
            Ok::<_, NodeError>((bytes.iter().sum::<usize>(), watchers))
        });
        let mut of_tasks = stream::iter(of_tasks).buffered(READ_AT_ONCE);
        while let Some(of_task) = of_tasks.next().await {
            let (more, of_task) = of_task?;
            bytes += more;
            if bytes > WATCHED_BYTES_MAX {
                watchers.truncate(if task.is_none() { 3 } else { 2 });
                return Ok(Watched {
                    set: WatchSet::new(watchers),
                    leaves_out: tasks.len(),
                });
            }
            watchers.extend(of_task);
        }
        Ok(Watched {
            set: WatchSet::new(watchers),
            leaves_out: 0,
        })
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
