//! Watches on what an operator is shown.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use zookeeper_client::{Error, OneshotWatcher};

use super::{Asked, Observer, ObserverError, READ_AT_ONCE};
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
    /// Whether it is not watched of all tasks how often their plugins are restarted, for want of room.
    pub overlooks_restarts: bool,
}

impl Observer {
    /// Watches what [`Observer::status`] reads, but for what hosts say of generations. Called before `status`, it misses no change,
    /// if it watches all.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    pub async fn watch(&self, asked: Asked<'_>) -> Result<Watched, ObserverError> {
        let hosts = records::hosts_path(&self.root);
        let drained = records::drained_path(&self.root);
        let mut watchers = vec![
            self.watch_children(&hosts).await?,
            self.watch_children(&drained).await?,
        ];
        let mut bytes = 2 * self.chroot_bytes + hosts.len() + drained.len();
        if asked.is_open() {
            let tasks = records::tasks_path(&self.root);
            watchers.push(self.watch_children(&tasks).await?);
            bytes += self.chroot_bytes + tasks.len();
        }
        let fixed = watchers.len();
        let tasks = self.names(asked).await?;
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
                watchers.truncate(fixed);
                return Ok(Watched {
                    set: WatchSet::new(watchers),
                    leaves_out: tasks.len(),
                    overlooks_restarts: true,
                });
            }
            watchers.extend(of_task);
        }
        drop(of_tasks);
        // A restart is the least of what may change.
        let restarts = tasks
            .iter()
            .map(|task| TaskPaths::new(&self.root, task, None).restarts);
        let fits = |path: &String| {
            bytes += self.chroot_bytes + path.len();
            bytes <= WATCHED_BYTES_MAX
        };
        let watched: Vec<String> = restarts.take_while(fits).collect();
        let overlooks_restarts = watched.len() < tasks.len();
        let of_restarts = watched.iter().map(async |path| self.watch_node(path).await);
        let of_restarts = stream::iter(of_restarts).buffered(READ_AT_ONCE);
        watchers.extend(of_restarts.try_collect::<Vec<_>>().await?);
        Ok(Watched {
            set: WatchSet::new(watchers),
            leaves_out: 0,
            overlooks_restarts,
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
