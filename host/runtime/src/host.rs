//! A whole host: its sessions, one contender for each task, and a runtime of its own for the plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use crate::activation::{ActivationSettings, Demotions};
use crate::contender::{Contender, ContenderHandle, Once, Outcome, Stuck, Task, Work};
use crate::duties::Duties;
use crate::placement::{Members, Mover};
use crate::shutdown::Shutdown;
use soloist_config::{Config, EnsembleConfig, TaskConfig};
use soloist_coordination::connect::tls::TlsError;
use soloist_coordination::rights::set_right;
use soloist_coordination::session::{GaveUp, View};
use soloist_core::access::AclSetting;
use soloist_core::election;
use soloist_core::event::{About, Event};
use soloist_core::guardian::Teller;
use soloist_core::lease::{NoRoom, Timing};
use soloist_core::records::TaskPaths;
use soloist_core::restart::OnComplete;
use soloist_core::restart::PluginFailed;
use soloist_sandbox::Plugin;

mod exchange;
mod handle;
mod seats;
mod settings;
mod shards;
mod threads;

pub use handle::{HostHandle, Place, Taken};
pub use settings::ensemble;

use handle::Request;
use settings::{session_settings, warn_of};
use shards::Shards;
use threads::{PluginThreads, raise_descriptors};

/// Why a host ends, other than by a shutdown.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The system gave no threads for the plugins.
    #[error("cannot start the threads that plugins run on")]
    Threads(#[source] std::io::Error),
    /// The files of `[zookeeper.tls]` cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The ensemble could not be used within the time allowed.
    #[error(transparent)]
    GaveUp(#[from] GaveUp),
    /// A plugin could not be stopped. Only the end of the process stops it, and only the end of the session ends its term.
    #[error(
        "the plugin of task {0} cannot be stopped: this host ends without giving its task back"
    )]
    Stuck(Arc<str>),
    /// A contender panicked: a bug.
    #[error("this host has a bug: {0}")]
    Panicked(#[from] JoinError),
    /// The plugin was to run once, and has failed for good on this host.
    #[error("the plugin has failed ({}), restarted {} times: {}", .0.cause.name(), .0.restarts, .0.cause)]
    Failed(PluginFailed),
    /// The plugin was to run once, and this host was asked to stop before that.
    #[error("asked to stop before the plugin had completed")]
    Interrupted,
}

/// One host: tasks come and go while it runs.
///
/// Election and lease run on the caller's runtime, which should be a thread of its own. Plugins run on other threads, so they
/// cannot hold it up. Sessions, which renew the lease, are spawned on the runtime, and contenders in the caller's
/// [`LocalSet`](tokio::task::LocalSet): of these a few have their turn before it is the sessions' turn again. Otherwise a
/// heartbeat would wait, at each of its steps, for ten thousand contenders that have heard of something at the same moment.
#[derive(Debug)]
pub struct Host {
    ensemble: EnsembleConfig,
    /// The host's name.
    id: Arc<str>,
    shards: Shards,
    duties: Duties,
    members: Members,
    demotions: Demotions,
    once: Option<Once>,
    shutdown: Shutdown,
    plugins: PluginThreads,
    contenders: JoinSet<Ended>,
    tasks: BTreeMap<Arc<str>, Standing>,
    leaving: BTreeMap<Arc<str>, Leaving>,
    /// Those of both that were started by its handle.
    deployed: BTreeSet<Arc<str>>,
    asks: mpsc::UnboundedSender<Request>,
    asked: mpsc::UnboundedReceiver<Request>,
    /// Tasks that were started since the host last checked the rights of nodes.
    unguarded: Vec<Arc<TaskPaths>>,
    guards: JoinSet<()>,
    /// What runs beside the host as long as it does.
    companions: JoinSet<()>,
    outcome: Result<Option<Outcome>, HostError>,
}

/// A task whose contender has ended, and how.
type Ended = (Arc<str>, Result<Option<Outcome>, Stuck>);

/// A task that this host stands for.
#[derive(Debug)]
struct Standing {
    plugin: Option<Arc<Plugin>>,
    demote_timeout: Duration,
    contender: ContenderHandle,
}

/// A task that this host is giving back.
#[derive(Debug)]
struct Leaving {
    plugin: Option<Arc<Plugin>>,
    demote_timeout: Duration,
    left: oneshot::Sender<()>,
}

impl Host {
    /// A host without tasks, which begins to look for the ensemble. With `once`, it runs its task once. `guardian` is told what
    /// the host has in the ensemble.
    ///
    /// # Errors
    /// [`HostError::Threads`], [`HostError::Tls`].
    ///
    /// # Panics
    /// Outside a Tokio runtime, or outside a `LocalSet` in it.
    pub fn new(
        config: &Config,
        once: Option<Once>,
        shutdown: Shutdown,
        guardian: Teller,
    ) -> Result<Self, HostError> {
        let plugins = PluginThreads::start().map_err(HostError::Threads)?;
        warn_of(&config.zookeeper);
        raise_descriptors();
        let shards = Shards::start(session_settings(config, guardian)?);
        let duties = Duties::new(config.placement.clone(), shards.load());
        let (members, root) = (Members::default(), config.zookeeper.root.clone());
        let view = shards.first().clone();
        let mut companions = JoinSet::new();
        companions.spawn_local(Mover::new(duties.clone(), members.clone(), root, view).run());
        let (asks, asked) = mpsc::unbounded_channel();
        Ok(Self {
            ensemble: config.zookeeper.clone(),
            id: Arc::clone(&config.host),
            shards,
            duties,
            members,
            demotions: Demotions::default(),
            once,
            shutdown,
            plugins,
            contenders: JoinSet::new(),
            tasks: BTreeMap::new(),
            leaving: BTreeMap::new(),
            deployed: BTreeSet::new(),
            asks,
            asked,
            unguarded: Vec::new(),
            guards: JoinSet::new(),
            companions,
            outcome: Ok(None),
        })
    }

    /// Has this run on the same runtime until the host ends, as the deployer does. If it panics, the host ends.
    pub fn accompany(&mut self, companion: impl Future<Output = ()> + 'static) {
        self.companions.spawn_local(companion);
    }

    /// Checks that the session timeout leaves time for a demotion that takes so long. Without a session the timeout of the last
    /// one counts, because the next one is likely to have the same.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn has_room(&self, demote_timeout: Duration) -> Result<(), NoRoom> {
        let known = self.shards.first().borrow().session_timeout;
        let session_timeout = known.unwrap_or(self.ensemble.session_timeout);
        Timing::new(session_timeout, self.ensemble.tick_time, demote_timeout).map(drop)
    }

    /// Stands for a task with this plugin. Another task of the same name must have left before.
    pub fn start(&mut self, task: &TaskConfig, plugin: Arc<Plugin>) {
        if let Some(label) = task.placement.lacks(&self.duties.placement().labels) {
            let reason = format!("this host has no label {label}, which the task requires");
            About::Task(&task.name).report(&Event::NotStanding { reason });
            return;
        }
        if self.tasks.contains_key(&*task.name) {
            tracing::error!(
                "task {0} was deployed to this host a moment ago, and that of the configuration is not started: undeploy it, and \
                 reload, or restart the host",
                task.name
            );
            return;
        }
        let work = Arc::new(self.work(task, plugin));
        self.stand(self.contested(task), work);
    }

    /// Withdraws from a task. The returned future resolves when the task's plugin has stopped and everything is given back. It
    /// never resolves if the host ends first.
    ///
    /// # Cancellation safety
    /// The task is given back whether or not anybody waits for it.
    pub fn stop(&mut self, task: &str, why: &str) -> impl Future<Output = ()> + use<> {
        let (left, has_left) = oneshot::channel();
        self.withdraw(task, why, left);
        async move {
            if has_left.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Withdraws from a task, and says on `left` when everything is given back.
    fn withdraw(&mut self, task: &str, why: &str, left: oneshot::Sender<()>) {
        let Some((name, standing)) = self.tasks.remove_entry(task) else {
            let _ = left.send(());
            return;
        };
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
    }

    fn spawn(&mut self, name: Arc<str>, contender: Contender, view: watch::Receiver<View>) {
        let contending = contender.run(view, self.shutdown.clone());
        self.contenders
            .spawn_local(contending.map(move |left| (name, left)));
    }

    /// Where the host's first session is, which stands for the host.
    pub fn view(&self) -> watch::Receiver<View> {
        self.shards.first().clone()
    }

    /// Runs until `until` resolves, and gives its value. None if the host is to end before: the caller then calls [`Host::end`].
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped. The host itself goes on as long as its runtime runs.
    pub async fn run<T>(&mut self, until: impl Future<Output = T>) -> Option<T> {
        self.guard();
        tokio::pin!(until);
        loop {
            tokio::select! {
                // A task that has left must be noted before anybody who waits for that hears of it.
                biased;
                Some(left) = self.contenders.join_next() => self.left(left),
                () = self.shutdown.requested() => return None,
                Some(Err(panicked)) = self.companions.join_next() => {
                    self.outcome = Err(HostError::Panicked(panicked));
                    self.shutdown.trigger();
                }
                // This end is held by the host itself.
                Some(request) = self.asked.recv() => self.asked(request),
                // Without a session nobody can stand.
                () = self.shards.ended(), if !self.shards.have_ended() => self.shutdown.trigger(),
                done = &mut until => return Some(done),
            }
        }
    }

    /// Gives all tasks back and closes the sessions. The result is that of a task that was to run once.
    ///
    /// # Errors
    /// See [`HostError`]. A host that runs until shutdown does not end because of its session or of a plugin's failure.
    ///
    /// # Cancellation safety
    /// None. If the future is dropped before it ends, the session may live on until it expires.
    pub async fn end(mut self) -> Result<(), HostError> {
        self.shutdown.trigger();
        // They must not hold the session open.
        self.companions.shutdown().await;
        while let Some(left) = self.contenders.join_next().await {
            self.left(left);
        }
        self.guards.shutdown().await;
        let stuck = match &self.outcome {
            Err(HostError::Stuck(task)) => Some(Arc::clone(task)),
            _ => None,
        };
        // The sessions must outlive all contenders.
        let kept = self.shards.end(stuck.as_deref()).await;
        match self.outcome? {
            Some(Outcome::Completed | Outcome::CompletedBefore) => Ok(()),
            Some(Outcome::Failed(failed)) => Err(HostError::Failed(failed)),
            None => {
                kept?;
                if self.once.is_none() {
                    Ok(())
                } else {
                    Err(HostError::Interrupted)
                }
            }
        }
    }

    /// Ends as if the process were killed: nothing is given back, nobody is told, and the session lasts until the ensemble
    /// lets it expire. Waits so long for what runs on the plugins' threads; what still runs then can have no effect.
    ///
    /// It is for those who try what a failover does, and blocks: the runtime that the host was made in must have been dropped.
    ///
    /// # Panics
    /// Within a Tokio runtime.
    pub fn vanish(self, within: Duration) {
        self.plugins.end(within);
    }

    /// A contender has ended.
    fn left(&mut self, left: Result<Ended, JoinError>) {
        let ended = match left {
            Ok((name, Ok(None))) => return self.forget(&name),
            Ok((_, Ok(outcome))) => Ok(outcome),
            Ok((_, Err(Stuck { task }))) => Err(HostError::Stuck(task)),
            // What the contender holds goes with the session.
            Err(panicked) => Err(HostError::Panicked(panicked)),
        };
        if ended.is_err() || matches!(self.outcome, Ok(None)) {
            self.outcome = ended;
        }
        self.shutdown.trigger();
    }

    /// Drops the plugin of a task that has left. At a shutdown plugins stay until the session is closed: dropping one takes
    /// milliseconds of a processor that the next leader may need.
    fn forget(&mut self, task: &str) {
        self.deployed.remove(task);
        if let Some(leaving) = self.leaving.remove(task) {
            let Leaving {
                plugin,
                demote_timeout,
                left,
                ..
            } = leaving;
            self.plugins.handle().spawn_blocking(move || drop(plugin));
            let _ = left.send(());
            self.shards.demotion(task, Some(demote_timeout), None);
            self.shards.leave(task);
        }
    }

    /// Checks the rights of the nodes of new tasks, unless the configuration lets everybody change them.
    fn guard(&mut self) {
        let tasks = std::mem::take(&mut self.unguarded);
        let EnsembleConfig { acl, root, .. } = &self.ensemble;
        if !tasks.is_empty() && acl.as_ref().is_some_and(|acl| *acl != AclSetting::World) {
            self.guards
                .spawn(set_right(self.view(), root.clone(), tasks));
        }
    }

    fn contested(&self, task: &TaskConfig) -> Task {
        let name: Arc<str> = Arc::from(&*task.name);
        let paths = TaskPaths::new(&self.ensemble.root, &name, task.path.as_deref());
        Task {
            paths: Arc::new(paths),
            name,
            once: self.once.clone(),
        }
    }

    fn work(&self, task: &TaskConfig, plugin: Arc<Plugin>) -> Work {
        Work {
            plugin: Some(plugin),
            activation: ActivationSettings {
                demote_timeout: task.demote_timeout,
                restart: task.restart,
                // A task that runs once is given back when it has completed, whatever its configuration says.
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
            placement: task.placement.clone(),
            generation: None,
            rollout: None,
        }
    }
}
