//! The manifests of all deployed tasks, followed by one watch.
//!
//! They lie beside each other, and nothing else lies there: a host hears of each change of one, and of nothing else, whatever
//! the number of tasks is.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use zookeeper_client::{
    AddWatchMode, Error, EventType, PersistentWatcher, SessionState, WatchedEvent,
};

use super::error::{Doing, NodeError};
use super::session::Session;
use soloist_core::records::{self, RolloutRecord};

/// How many manifests a host reads at once.
const READS_MAX: usize = 32;

/// The manifests, as one session sees them.
#[derive(Debug)]
pub struct Manifests {
    session: Arc<Session>,
    path: String,
    watcher: PersistentWatcher,
    /// What was heard after a reconnection could not be read yet.
    is_behind: bool,
}

/// The node of a manifest, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The task.
    pub task: String,
    /// What the node says.
    pub node: Node,
}

/// What the node of a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// It is not there.
    Gone,
    /// It is there, and this host cannot read it, for this reason.
    Unreadable(String),
    /// The record that it holds, and the version of that.
    Record(Box<RolloutRecord>, i32),
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The manifests of these tasks, as they are now.
    Some(Vec<Manifest>),
    /// Whatever was missed: all manifests there are. Others are gone.
    All(Vec<Manifest>),
}

impl Manifests {
    /// Follows the manifests below `root`; also gives all there are.
    ///
    /// # Errors
    /// If the nodes cannot be made or read.
    pub async fn follow(
        session: Arc<Session>,
        root: &str,
    ) -> Result<(Self, Vec<Manifest>), NodeError> {
        let path = records::manifests_path(root);
        session
            .ensure(&path)
            .await
            .map_err(NodeError::at(Doing::Create, &path))?;
        let watcher = watch(&session, &path).await?;
        let manifests = Self {
            session,
            path,
            watcher,
            is_behind: false,
        };
        let all = manifests.all().await?;
        Ok((manifests, all))
    }

    /// Waits for changes, and reads what has changed. None once the session has ended: it must not be called again then.
    ///
    /// # Errors
    /// If a node cannot be read.
    ///
    /// # Cancellation safety
    /// None: what was heard and not read is lost.
    pub async fn changed(&mut self) -> Result<Option<Changed>, NodeError> {
        if self.is_behind {
            return self.catch_up().await.map(Some);
        }
        let mut tasks = BTreeSet::new();
        let mut next = Some(self.watcher.changed().await);
        // A hundred that change at once are read together.
        while let Some(event) = next {
            match self.heard(&event) {
                Heard::Task(task) => {
                    tasks.insert(task);
                }
                Heard::Other => {}
                Heard::Reconnection => {
                    self.is_behind = true;
                    return self.catch_up().await.map(Some);
                }
                Heard::End => return Ok(None),
            }
            next = self.watcher.changed().now_or_never();
        }
        Ok(Some(Changed::Some(self.these(tasks).await?)))
    }

    /// Watches and reads all again. The client library says that it sets watches again, and leaves these out.
    async fn catch_up(&mut self) -> Result<Changed, NodeError> {
        self.watcher = watch(&self.session, &self.path).await?;
        let all = self.all().await?;
        self.is_behind = false;
        Ok(Changed::All(all))
    }

    fn heard(&self, event: &WatchedEvent) -> Heard {
        match event.event_type {
            EventType::Session if event.session_state.is_terminated() => Heard::End,
            // What changed in between is not told: https://issues.apache.org/jira/browse/ZOOKEEPER-4698.
            EventType::Session if event.session_state == SessionState::SyncConnected => {
                Heard::Reconnection
            }
            EventType::Session => Heard::Other,
            _ => {
                let task = event.path.strip_prefix(&self.path);
                task.and_then(|task| task.strip_prefix('/'))
                    // What lies below a manifest is none.
                    .filter(|task| !task.contains('/'))
                    .map_or(Heard::Other, |task| Heard::Task(task.to_owned()))
            }
        }
    }

    async fn all(&self) -> Result<Vec<Manifest>, NodeError> {
        let tasks = self.session.client().list_children(&self.path).await;
        self.these(tasks.map_err(NodeError::at(Doing::Read, &self.path))?)
            .await
    }

    async fn these(
        &self,
        tasks: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Manifest>, NodeError> {
        let reads = tasks.into_iter().map(async |task| {
            let path = format!("{}/{task}", self.path);
            let node = match self.session.client().get_data(&path).await {
                // Decoded at once: anybody may have written a megabyte into each.
                Ok((data, stat)) => match RolloutRecord::decode(&data) {
                    Ok(record) => Node::Record(Box::new(record), stat.version),
                    Err(error) => Node::Unreadable(error.to_string()),
                },
                Err(Error::NoNode) => Node::Gone,
                // One that this host may not read must not hide the others.
                Err(error @ Error::NoAuth) => {
                    Node::Unreadable(NodeError::at(Doing::Read, &path)(error).to_string())
                }
                Err(error) => return Err(NodeError::at(Doing::Read, &path)(error)),
            };
            Ok(Manifest { task, node })
        });
        stream::iter(reads).buffered(READS_MAX).try_collect().await
    }
}

/// Watches the node and all below it.
async fn watch(session: &Session, path: &str) -> Result<PersistentWatcher, NodeError> {
    let client = session.client();
    let watch = client.watch(path, AddWatchMode::PersistentRecursive).await;
    watch.map_err(NodeError::at(Doing::Read, path))
}

/// What an event is about.
enum Heard {
    /// The manifest of a task was written or removed.
    Task(String),
    /// The session has a connection again, and may have missed something.
    Reconnection,
    /// The session has ended.
    End,
    Other,
}
