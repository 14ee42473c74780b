//! A whole host: one session, a contender for each task, and a runtime of their own for the plugins.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::activation::ActivationSettings;
use crate::contender::{Contender, Once, Outcome, Stuck, Task};
use crate::shutdown::Shutdown;
use soloist_config::{Config, EnsembleConfig, TaskConfig};
use soloist_coordination::acl::acl;
use soloist_coordination::connect::{Credentials, Ensemble, SessionSettings};
use soloist_coordination::rights::set_right;
use soloist_coordination::session::{GaveUp, Keeper, SessionEnd};
use soloist_core::access::AclSetting;
use soloist_core::election;
use soloist_core::records::TaskPaths;
use soloist_core::restart::OnComplete;
use soloist_core::restart::PluginFailed;
use soloist_sandbox::{Plugin, be_nice, plugin_threads};

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
    Panicked(#[from] tokio::task::JoinError),
    /// A plugin that was to complete has failed for good on this host.
    #[error("the plugin has failed ({}), restarted {} times: {}", .0.cause.name(), .0.restarts, .0.cause)]
    Failed(PluginFailed),
    /// This host was asked to stop before a plugin that was to complete had.
    #[error("asked to stop before the plugin had completed")]
    Interrupted,
}

/// When a host has done what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Never: it stands until it is shut down.
    Shutdown,
    /// When the plugin of its task has completed, or failed for good on this host.
    Completion(Once),
}

/// Stands for all tasks until shutdown, or until the plugin of the only one has completed; `plugins` are theirs, in the order of the configuration.
///
/// Everything that concerns election and lease runs on the caller's runtime, which should be a thread of its own:
/// plugins run elsewhere and cannot hold it up.
///
/// # Errors
/// See [`HostError`]. Nothing that happens to the session or to a plugin ends a host that runs until shutdown.
///
/// # Cancellation safety
/// None: dropped before it has ended, the session may live on until it expires.
pub async fn run(
    config: Config,
    plugins: Vec<Arc<Plugin>>,
    until: Until,
    shutdown: Shutdown,
) -> Result<(), HostError> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .thread_name("plugin")
        .worker_threads(plugin_threads())
        .on_thread_start(be_nice)
        .enable_all()
        .build()
        .map_err(HostError::Threads)?;
    if config.zookeeper.auth.is_some() && config.zookeeper.acl.is_none() {
        tracing::warn!(
            "`auth` is set but `acl` is not: everybody may change the nodes; set acl = \"creator\""
        );
    }
    // To take a plugin apart keeps a processor busy for milliseconds, which whoever leads next has a better use for: it waits
    // until the session is closed.
    let _loaded = plugins.clone();
    raise_descriptors();
    let (keeper, view) = Keeper::new(session_settings(&config));
    let mut contenders = JoinSet::new();
    for (task, plugin) in config.tasks.iter().zip(plugins) {
        let contender = Contender::new(
            contested(task, &config.zookeeper, plugin, &until),
            threads.handle().clone(),
        );
        contenders.spawn(contender.run(view.clone(), shutdown.clone()));
    }
    let rights = guarded(&config).map(|tasks| {
        tokio::spawn(set_right(
            view.clone(),
            config.zookeeper.root.clone(),
            tasks,
        ))
    });
    drop(view);
    // The session is closed only when nobody needs it any more.
    let (all_left, stop) = oneshot::channel();
    let leave = async {
        let mut outcome = Ok(None);
        while let Some(left) = contenders.join_next().await {
            outcome = match left {
                Ok(Ok(left)) => outcome.map(|outcome| outcome.or(left)),
                Ok(Err(Stuck { task })) => {
                    shutdown.trigger();
                    Err(HostError::Stuck(task))
                }
                Err(panicked) => {
                    // What it holds goes with the session.
                    shutdown.trigger();
                    Err(HostError::Panicked(panicked))
                }
            };
        }
        if let Some(rights) = rights {
            rights.abort();
            let _ = rights.await;
        }
        let _ = all_left.send(if matches!(outcome, Err(HostError::Stuck(_))) {
            SessionEnd::Expire
        } else {
            SessionEnd::Close
        });
        outcome
    };
    let keep = async {
        let kept = keeper
            .run(async { stop.await.unwrap_or(SessionEnd::Close) })
            .await;
        // Without a session nobody can stand.
        shutdown.trigger();
        kept
    };
    let (kept, outcome) = tokio::join!(keep, leave);
    threads.shutdown_background();
    match outcome? {
        Some(Outcome::Completed | Outcome::CompletedBefore) => Ok(()),
        Some(Outcome::Failed(failed)) => Err(HostError::Failed(failed)),
        None => {
            kept?;
            if until == Until::Shutdown {
                Ok(())
            } else {
                Err(HostError::Interrupted)
            }
        }
    }
}

/// The tasks whose nodes others may be kept from. What everybody may change is not looked at.
fn guarded(config: &Config) -> Option<Vec<Arc<TaskPaths>>> {
    let EnsembleConfig { acl, root, .. } = &config.zookeeper;
    let tasks = config
        .tasks
        .iter()
        .map(|task| Arc::new(TaskPaths::new(root, &task.name, task.path.as_deref())));
    acl.as_ref()
        .filter(|acl| **acl != AclSetting::World)
        .map(|_| tasks.collect())
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
        demote_timeout: config
            .tasks
            .iter()
            .map(|task| task.demote_timeout)
            .max()
            .unwrap_or_default(),
        connect_timeout: config.zookeeper.connect_timeout,
    }
}

fn contested(
    task: &TaskConfig,
    ensemble: &EnsembleConfig,
    plugin: Arc<Plugin>,
    until: &Until,
) -> Task {
    let once = match until {
        Until::Shutdown => None,
        Until::Completion(once) => Some(once.clone()),
    };
    let name: Arc<str> = Arc::from(&*task.name);
    Task {
        paths: Arc::new(TaskPaths::new(&ensemble.root, &name, task.path.as_deref())),
        name,
        plugin,
        activation: ActivationSettings {
            demote_timeout: task.demote_timeout,
            restart: task.restart,
            // A task that is run once is given back when it has completed, whatever is to follow otherwise.
            on_complete: if once.is_some() {
                OnComplete::Resign
            } else {
                task.on_complete
            },
        },
        election: election::Settings {
            demote_timeout: task.demote_timeout,
            successor_delay: task.successor_delay,
        },
        once,
    }
}
