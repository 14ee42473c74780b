//! A whole host: one session, a contender for each task, and a runtime of their own for the plugins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::activation::ActivationSettings;
use crate::contender::{Contender, ContenderHandle, Once, Outcome, Stuck, Task};
use crate::shutdown::Shutdown;
use soloist_config::{Config, EnsembleConfig, TaskConfig};
use soloist_coordination::acl::acl;
use soloist_coordination::connect::{Credentials, Ensemble, SessionSettings};
use soloist_coordination::rights::set_right;
use soloist_coordination::session::{GaveUp, Keeper, SessionEnd, View};
use soloist_core::access::AclSetting;
use soloist_core::election;
use soloist_core::lease::{NoRoom, Timing};
use soloist_core::records::TaskPaths;
use soloist_core::restart::OnComplete;
use soloist_core::restart::PluginFailed;
use soloist_sandbox::{Plugin, be_nice, plugin_threads};

mod exchange;

/// What ends a host other than a shutdown.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The threads for the plugins could not be had.
    #[error("cannot start the threads that plugins run on")]
    Threads(#[source] std::io::Error),
    /// The ensemble could not be used within the time allowed.
    #[error(transparent)]
    GaveUp(#[from] GaveUp),
    /// A plugin could not be stopped. Only the end of the process ends it, and of the session the term.
    #[error(
        "the plugin of task {0} cannot be stopped: this host ends without giving its task back"
    )]
    Stuck(Arc<str>),
    /// A contender panicked: a bug.
    #[error("this host has a bug: {0}")]
    Panicked(#[from] JoinError),
    /// A plugin that was to complete has failed for good on this host.
    #[error("the plugin has failed ({}), restarted {} times: {}", .0.cause.name(), .0.restarts, .0.cause)]
    Failed(PluginFailed),
    /// This host was asked to stop before a plugin that was to complete had.
    #[error("asked to stop before the plugin had completed")]
    Interrupted,
}

/// One host: tasks come and go while it runs.
///
/// Everything that concerns election and lease runs on the caller's runtime, which should be a thread of its own: plugins
/// run elsewhere and cannot hold it up.
#[derive(Debug)]
pub struct Host {
    ensemble: EnsembleConfig,
    once: Option<Once>,
    shutdown: Shutdown,
    plugins: PluginThreads,
    view: watch::Receiver<View>,
    demote_timeout: watch::Sender<Duration>,
    session: JoinHandle<Result<(), GaveUp>>,
    /// How the session ended, once it has ended by itself.
    kept: Option<Result<Result<(), GaveUp>, JoinError>>,
    /// Ends the session.
    end_session: oneshot::Sender<SessionEnd>,
    contenders: JoinSet<Ended>,
    tasks: BTreeMap<Arc<str>, Standing>,
    leaving: BTreeMap<Arc<str>, Leaving>,
    /// Tasks that have been started since the rights of their nodes were last looked at.
    unguarded: Vec<Arc<TaskPaths>>,
    guards: JoinSet<()>,
    outcome: Result<Option<Outcome>, HostError>,
}

/// A task whose contender has ended, and how.
type Ended = (Arc<str>, Result<Option<Outcome>, Stuck>);

/// A task that this host stands for.
#[derive(Debug)]
struct Standing {
    plugin: Arc<Plugin>,
    demote_timeout: Duration,
    contender: ContenderHandle,
}

/// A task that is being given back.
#[derive(Debug)]
struct Leaving {
    plugin: Arc<Plugin>,
    demote_timeout: Duration,
    left: oneshot::Sender<()>,
}

impl Host {
    /// A host that stands for nothing yet; with `once`, its task is run once. It begins to look for the ensemble.
    ///
    /// # Errors
    /// [`HostError::Threads`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(config: &Config, once: Option<Once>, shutdown: Shutdown) -> Result<Self, HostError> {
        let plugins = PluginThreads::start().map_err(HostError::Threads)?;
        if config.zookeeper.auth.is_some() && config.zookeeper.acl.is_none() {
            tracing::warn!(
                "`auth` is set but `acl` is not: everybody may change the nodes; set acl = \"creator\""
            );
        }
        raise_descriptors();
        let (keeper, view) = Keeper::new(session_settings(config));
        let demote_timeout = keeper.demote_timeout();
        let (end_session, end) = oneshot::channel();
        let session = tokio::spawn(keeper.run(async { end.await.unwrap_or(SessionEnd::Close) }));
        Ok(Self {
            ensemble: config.zookeeper.clone(),
            once,
            shutdown,
            plugins,
            view,
            demote_timeout,
            session,
            kept: None,
            end_session,
            contenders: JoinSet::new(),
            tasks: BTreeMap::new(),
            leaving: BTreeMap::new(),
            unguarded: Vec::new(),
            guards: JoinSet::new(),
            outcome: Ok(None),
        })
    }

    /// Whether the present session leaves time for demotions that take so long; or the last one, if there is none now: the next
    /// is likely to be as long.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn has_room(&self, demote_timeout: Duration) -> Result<(), NoRoom> {
        let known = self.view.borrow().session_timeout;
        let session_timeout = known.unwrap_or(self.ensemble.session_timeout);
        Timing::new(session_timeout, self.ensemble.tick_time, demote_timeout).map(drop)
    }

    /// Stands for a task, whose plugin this is. A task of the same name has to have left before.
    pub fn start(&mut self, task: &TaskConfig, plugin: Arc<Plugin>) {
        let contested = self.contested(task, Arc::clone(&plugin));
        let name = Arc::clone(&contested.name);
        self.unguarded.push(Arc::clone(&contested.paths));
        let (contender, handle) = Contender::new(contested, self.plugins.handle());
        let standing = Standing {
            plugin,
            demote_timeout: task.demote_timeout,
            contender: handle,
        };
        let replaced = self.tasks.insert(Arc::clone(&name), standing);
        debug_assert!(replaced.is_none() && !self.leaving.contains_key(&name));
        self.keep_time();
        let contending = contender.run(self.view.clone(), self.shutdown.clone());
        self.contenders
            .spawn(contending.map(move |left| (name, left)));
    }

    /// Stands for a task no more. What is given resolves when its plugin has stopped and everything is given back; it never
    /// does if the host ends first.
    ///
    /// # Cancellation safety
    /// The task is given back whether or not anybody waits for it.
    pub fn stop(&mut self, task: &str, why: &str) -> impl Future<Output = ()> + use<> {
        let (left, has_left) = oneshot::channel();
        if let Some((name, standing)) = self.tasks.remove_entry(task) {
            let Standing {
                plugin,
                demote_timeout,
                contender,
            } = standing;
            contender.withdraw(why);
            let leaving = Leaving {
                plugin,
                demote_timeout,
                left,
            };
            self.leaving.insert(name, leaving);
        } else {
            let _ = left.send(());
        }
        async move {
            if has_left.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs until `until` resolves, and gives what it does; nothing if the host is to end before: then [`Host::end`] is next.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped. The host itself goes on as long as its runtime runs.
    pub async fn run<T>(&mut self, until: impl Future<Output = T>) -> Option<T> {
        self.guard();
        tokio::pin!(until);
        loop {
            tokio::select! {
                // Whoever waits for a task that has left must not be told so before the host knows.
                biased;
                Some(left) = self.contenders.join_next() => self.left(left),
                () = self.shutdown.requested() => return None,
                kept = &mut self.session, if self.kept.is_none() => {
                    self.kept = Some(kept);
                    // Without a session nobody can stand.
                    self.shutdown.trigger();
                }
                done = &mut until => return Some(done),
            }
        }
    }

    /// Gives all tasks back, closes the session, and says what came of a task that was to be run once.
    ///
    /// # Errors
    /// See [`HostError`]. Nothing that happens to the session or to a plugin ends a host that runs until shutdown.
    ///
    /// # Cancellation safety
    /// None: dropped before it has ended, the session may live on until it expires.
    pub async fn end(mut self) -> Result<(), HostError> {
        self.shutdown.trigger();
        while let Some(left) = self.contenders.join_next().await {
            self.left(left);
        }
        self.guards.shutdown().await;
        // The session is closed only when nobody needs it any more.
        let _ = self
            .end_session
            .send(if matches!(self.outcome, Err(HostError::Stuck(_))) {
                SessionEnd::Expire
            } else {
                SessionEnd::Close
            });
        let kept = match self.kept {
            Some(kept) => kept,
            None => self.session.await,
        };
        match self.outcome? {
            Some(Outcome::Completed | Outcome::CompletedBefore) => Ok(()),
            Some(Outcome::Failed(failed)) => Err(HostError::Failed(failed)),
            None => {
                kept??;
                if self.once.is_none() {
                    Ok(())
                } else {
                    Err(HostError::Interrupted)
                }
            }
        }
    }

    /// A contender has ended.
    fn left(&mut self, left: Result<Ended, JoinError>) {
        let ended = match left {
            Ok((name, Ok(None))) => return self.forget(&name),
            Ok((_, Ok(outcome))) => Ok(outcome),
            Ok((_, Err(Stuck { task }))) => Err(HostError::Stuck(task)),
            // What it holds goes with the session.
            Err(panicked) => Err(HostError::Panicked(panicked)),
        };
        if ended.is_err() || matches!(self.outcome, Ok(None)) {
            self.outcome = ended;
        }
        self.shutdown.trigger();
    }

    /// A task that was to leave has left. At a shutdown the plugins stay until the session is closed: to take one apart keeps
    /// a processor busy for milliseconds, which whoever leads next has a better use for.
    fn forget(&mut self, task: &str) {
        if let Some(Leaving { plugin, left, .. }) = self.leaving.remove(task) {
            self.plugins.handle().spawn_blocking(move || drop(plugin));
            let _ = left.send(());
            self.keep_time();
        }
    }

    /// Lets the session keep the time that the longest demotion takes.
    fn keep_time(&self) {
        let standing = self.tasks.values().map(|task| task.demote_timeout);
        let leaving = self.leaving.values().map(|task| task.demote_timeout);
        let longest = standing.chain(leaving).max().unwrap_or_default();
        self.demote_timeout.send_replace(longest);
    }

    /// Has the rights of the nodes of new tasks looked at, if others may be kept from them. What everybody may change is not
    /// looked at.
    fn guard(&mut self) {
        let tasks = std::mem::take(&mut self.unguarded);
        let EnsembleConfig { acl, root, .. } = &self.ensemble;
        if !tasks.is_empty() && acl.as_ref().is_some_and(|acl| *acl != AclSetting::World) {
            self.guards
                .spawn(set_right(self.view.clone(), root.clone(), tasks));
        }
    }

    fn contested(&self, task: &TaskConfig, plugin: Arc<Plugin>) -> Task {
        let name: Arc<str> = Arc::from(&*task.name);
        let paths = TaskPaths::new(&self.ensemble.root, &name, task.path.as_deref());
        Task {
            paths: Arc::new(paths),
            name,
            plugin,
            activation: ActivationSettings {
                demote_timeout: task.demote_timeout,
                restart: task.restart,
                // A task that is run once is given back when it has completed, whatever is to follow otherwise.
                on_complete: if self.once.is_some() {
                    OnComplete::Resign
                } else {
                    task.on_complete
                },
            },
            election: election::Settings {
                demote_timeout: task.demote_timeout,
                successor_delay: task.successor_delay,
            },
            once: self.once.clone(),
        }
    }
}

/// The threads that plugins run on. They are not waited for when this is dropped.
#[derive(Debug)]
struct PluginThreads(Option<Runtime>);

impl PluginThreads {
    fn start() -> std::io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .thread_name("plugin")
            .worker_threads(plugin_threads())
            .on_thread_start(be_nice)
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    fn handle(&self) -> tokio::runtime::Handle {
        let runtime = self.0.as_ref().expect("it is there until this is dropped");
        runtime.handle().clone()
    }
}

impl Drop for PluginThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets this process have as many files and sockets open as the system allows it: what plugins have open must not be missing
/// for the session, and what is usual is there for programs that wait in ways that this one does not.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it there are as many as there were.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}

/// Where the ensemble is, as it was configured.
pub fn ensemble(config: &EnsembleConfig) -> Ensemble {
    Ensemble {
        servers: config.servers.hosts().to_owned(),
        chroot: config.servers.chroot().to_owned(),
        root: config.root.clone(),
        session_timeout: config.session_timeout,
        auth: config.auth.as_ref().map(Credentials::from),
        acl: acl(config.acl.as_ref()),
    }
}

fn session_settings(config: &Config) -> SessionSettings {
    SessionSettings {
        ensemble: ensemble(&config.zookeeper),
        host: config.host.clone(),
        tick_time: config.zookeeper.tick_time,
        demote_timeout: Duration::ZERO,
        connect_timeout: config.zookeeper.connect_timeout,
    }
}
