//! What others on the host's runtime have of it: they start, change and stop tasks while it runs.

use std::sync::Arc;

use soloist_core::records::{TaskPaths, WATCHED_BYTES_MAX, drain_path, manifests_path};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Host, Standing};
use crate::contender::{Contender, Status, Task, Work};

/// Starts, changes and stops tasks of a host. Once the host ends, nothing is started or changed any more.
#[derive(Clone, Debug)]
pub struct HostHandle(pub(super) mpsc::UnboundedSender<Request>);

/// A host does not stand for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// It has a task of that name, or still gives one back; or it ends.
    #[error("this host has a task of that name already, or still gives one back")]
    Taken,
    /// One session cannot watch so much.
    #[error(
        "the nodes that this host watches would have {found} bytes of paths together, and one session can watch {max}: shorten \
         the names of tasks, the root or the chroot, or take fewer tasks here"
    )]
    TooMuchToWatch {
        /// How many bytes there would be.
        found: usize,
        /// How many there may be.
        max: usize,
    },
}

/// What is asked of a host.
#[derive(Debug)]
pub(super) enum Request {
    Start {
        task: Arc<str>,
        paths: Arc<TaskPaths>,
        work: Arc<Work>,
        started: oneshot::Sender<Result<watch::Receiver<Status>, NotStarted>>,
    },
    Renew {
        task: Arc<str>,
        work: Arc<Work>,
    },
    Stop {
        task: Arc<str>,
        why: String,
        left: oneshot::Sender<()>,
    },
}

impl HostHandle {
    /// Stands for a task with this work. Gives where the contender is.
    ///
    /// # Errors
    /// [`NotStarted`].
    ///
    /// # Cancellation safety
    /// Dropped, the task may have been started.
    pub async fn start(
        &self,
        task: Arc<str>,
        paths: Arc<TaskPaths>,
        work: Arc<Work>,
    ) -> Result<watch::Receiver<Status>, NotStarted> {
        let (started, has_started) = oneshot::channel();
        let request = Request::Start {
            task,
            paths,
            work,
            started,
        };
        self.0.send(request).map_err(|_| NotStarted::Taken)?;
        has_started.await.unwrap_or(Err(NotStarted::Taken))
    }

    /// Gives a task that was started here other work, for every term from the next one on.
    pub fn renew(&self, task: Arc<str>, work: Arc<Work>) {
        // A host that ends does nothing.
        let _ = self.0.send(Request::Renew { task, work });
    }

    /// Withdraws from a task. What is returned resolves when everything is given back, or when the host ends; `why` goes into
    /// the history.
    pub fn stop(&self, task: Arc<str>, why: impl Into<String>) -> oneshot::Receiver<()> {
        let (left, has_left) = oneshot::channel();
        let why = why.into();
        let _ = self.0.send(Request::Stop { task, why, left });
        has_left
    }
}

impl Host {
    /// What others on this runtime have of the host.
    pub fn handle(&self) -> HostHandle {
        HostHandle(self.asks.clone())
    }

    /// Whether a task was started by [`HostHandle::start`], and is not given back yet.
    pub fn is_deployed(&self, task: &str) -> bool {
        self.deployed.contains(task)
    }

    pub(super) fn asked(&mut self, request: Request) {
        match request {
            Request::Start {
                task,
                paths,
                work,
                started,
            } => {
                if started.is_closed() {
                    return;
                }
                if let Err(refused) = self.has_place(&task, &paths) {
                    let _ = started.send(Err(refused));
                    return;
                }
                self.deployed.insert(Arc::clone(&task));
                let contested = Task {
                    name: task,
                    paths,
                    once: None,
                };
                let _ = started.send(Ok(self.stand(contested, work)));
                self.guard();
            }
            Request::Renew { task, work } => {
                let standing = self.tasks.get_mut(&task);
                if let Some(standing) = standing.filter(|_| self.deployed.contains(&task)) {
                    // The term that is under way may still need the time of the work before.
                    standing.demote_timeout =
                        standing.demote_timeout.max(work.activation.demote_timeout);
                    // It is kept until the session is closed, see `forget`. The one before may be the last one's.
                    let before = std::mem::replace(&mut standing.plugin, work.plugin.clone());
                    self.plugins.handle().spawn_blocking(move || drop(before));
                    standing.contender.renew(work);
                    self.keep_time();
                }
            }
            Request::Stop { task, why, left } => {
                if self.deployed.contains(&task) {
                    self.withdraw(&task, &why, left);
                }
            }
        }
    }

    fn has_place(&self, task: &str, paths: &TaskPaths) -> Result<(), NotStarted> {
        if self.tasks.contains_key(task) || self.leaving.contains_key(task) {
            return Err(NotStarted::Taken);
        }
        let chroot = self.ensemble.servers.chroot();
        let standing = self.tasks.values().map(|it| &it.paths);
        let leaving = self.leaving.values().map(|it| &it.paths);
        let all = standing.chain(leaving).map(|it| &**it).chain([paths]);
        let of_tasks = all.map(|it| it.watched_bytes(chroot, &self.id));
        let root = &self.ensemble.root;
        let of_host = [drain_path(root, &self.id), manifests_path(root)];
        let of_host = of_host.iter().map(|path| chroot.len() + path.len());
        let found = of_tasks.chain(of_host).sum();
        let max = WATCHED_BYTES_MAX;
        if found > max {
            return Err(NotStarted::TooMuchToWatch { found, max });
        }
        Ok(())
    }

    /// Stands for a task with this work.
    pub(super) fn stand(&mut self, contested: Task, work: Arc<Work>) -> watch::Receiver<Status> {
        let name = Arc::clone(&contested.name);
        let paths = Arc::clone(&contested.paths);
        self.unguarded.push(Arc::clone(&paths));
        let (plugin, demote_timeout) = (work.plugin.clone(), work.activation.demote_timeout);
        let (contender, handle) = Contender::new(contested, work, self.plugins.handle());
        let status = handle.status();
        let standing = Standing {
            paths,
            plugin,
            demote_timeout,
            contender: handle,
        };
        let replaced = self.tasks.insert(Arc::clone(&name), standing);
        debug_assert!(replaced.is_none() && !self.leaving.contains_key(&name));
        self.keep_time();
        self.spawn(name, contender);
        status
    }
}
