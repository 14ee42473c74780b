//! What others on the host's runtime have of it: they start, change and stop tasks while it runs.

use std::sync::Arc;

use soloist_coordination::session::View;
use soloist_core::records::TaskPaths;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Host, Standing};
use crate::contender::{Contender, Status, Task, Work};

/// Starts, changes and stops tasks of a host. Once the host ends, nothing is started or changed any more.
#[derive(Clone, Debug)]
pub struct HostHandle(pub(super) mpsc::UnboundedSender<Request>);

/// A host does not stand for a task: it has one of that name, or still gives one back; or it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this host has a task of that name already, or still gives one back")]
pub struct Taken;

/// A place for a task in one of the host's sessions, until this is dropped. The task's contender stands in the same session.
#[derive(Debug)]
pub struct Place {
    /// Where that session is.
    pub view: watch::Receiver<View>,
    task: Arc<str>,
    asks: mpsc::UnboundedSender<Request>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let task = Arc::clone(&self.task);
        // A host that ends closes its sessions.
        let _ = self.asks.send(Request::Vacate { task });
    }
}

/// What is asked of a host.
#[derive(Debug)]
pub(super) enum Request {
    Place {
        task: Arc<str>,
        paths: Arc<TaskPaths>,
        placed: oneshot::Sender<Place>,
    },
    Vacate {
        task: Arc<str>,
    },
    Start {
        task: Arc<str>,
        paths: Arc<TaskPaths>,
        work: Arc<Work>,
        started: oneshot::Sender<Result<watch::Receiver<Status>, Taken>>,
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
    /// A place for a task in one of the host's sessions. None if the host ends.
    ///
    /// # Cancellation safety
    /// Dropped, nothing is kept.
    pub async fn place(&self, task: Arc<str>, paths: Arc<TaskPaths>) -> Option<Place> {
        let (placed, has_place) = oneshot::channel();
        let request = Request::Place {
            task,
            paths,
            placed,
        };
        self.0.send(request).ok()?;
        has_place.await.ok()
    }

    /// Stands for a task with this work. Gives where the contender is.
    ///
    /// # Errors
    /// [`Taken`].
    ///
    /// # Cancellation safety
    /// Dropped, the task may have been started.
    pub async fn start(
        &self,
        task: Arc<str>,
        paths: Arc<TaskPaths>,
        work: Arc<Work>,
    ) -> Result<watch::Receiver<Status>, Taken> {
        let (started, has_started) = oneshot::channel();
        let request = Request::Start {
            task,
            paths,
            work,
            started,
        };
        self.0.send(request).map_err(|_| Taken)?;
        has_started.await.unwrap_or(Err(Taken))
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
            Request::Place {
                task,
                paths,
                placed,
            } => {
                let place = Place {
                    view: self.come(&task, &paths),
                    task,
                    asks: self.asks.clone(),
                };
                // If nobody waits any more, the place is given up as it is dropped.
                let _ = placed.send(place);
            }
            Request::Vacate { task } => self.shards.leave(&task),
            Request::Start {
                task,
                paths,
                work,
                started,
            } => {
                if started.is_closed() {
                    return;
                }
                if self.tasks.contains_key(&task) || self.leaving.contains_key(&task) {
                    let _ = started.send(Err(Taken));
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
                    let before = standing.demote_timeout;
                    standing.demote_timeout = before.max(work.activation.demote_timeout);
                    let (before, now) = (Some(before), Some(standing.demote_timeout));
                    self.shards.demotion(&task, before, now);
                    // It is kept until the session is closed, see `forget`. The one before may be the last one's.
                    let before = std::mem::replace(&mut standing.plugin, work.plugin.clone());
                    self.plugins.handle().spawn_blocking(move || drop(before));
                    standing.contender.renew(work);
                }
            }
            Request::Stop { task, why, left } => {
                if self.deployed.contains(&task) {
                    self.withdraw(&task, &why, left);
                }
            }
        }
    }

    /// Gives a task a place in one of the host's sessions.
    fn come(&mut self, task: &Arc<str>, paths: &TaskPaths) -> watch::Receiver<View> {
        let bytes = paths.watched_bytes(self.ensemble.servers.chroot(), &self.id);
        self.shards.come(task, bytes)
    }

    /// Stands for a task with this work.
    pub(super) fn stand(&mut self, contested: Task, work: Arc<Work>) -> watch::Receiver<Status> {
        let name = Arc::clone(&contested.name);
        self.unguarded.push(Arc::clone(&contested.paths));
        let view = self.come(&name, &contested.paths);
        let (plugin, demote_timeout) = (work.plugin.clone(), work.activation.demote_timeout);
        let paths = Arc::clone(&contested.paths);
        let (contender, handle) = Contender::new(contested, work, self.plugins.handle());
        let contender = contender
            .with_duties(self.duties.clone())
            .in_turn(self.demotions.clone());
        self.members.enter(&name, &handle, &paths);
        let status = handle.status();
        let standing = Standing {
            plugin,
            demote_timeout,
            contender: handle,
        };
        let replaced = self.tasks.insert(Arc::clone(&name), standing);
        debug_assert!(replaced.is_none() && !self.leaving.contains_key(&name));
        self.shards.demotion(&name, None, Some(demote_timeout));
        self.spawn(name, contender, view);
        status
    }
}
