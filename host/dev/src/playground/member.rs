//! One host, on a thread of its own, as a process has it. It can be killed.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use soloist_config::{Config, TaskConfig};
use soloist_core::guardian::Teller;
use soloist_runtime::host::{Host, HostError};
use soloist_runtime::reload::Setup;
use soloist_runtime::shutdown::Shutdown;
use soloist_sandbox::Plugin;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::teller::speak_as;

/// How long the threads of a killed host may take to end. Its plugin can have no effect from the beginning of that.
const DEATH_TIME: Duration = Duration::from_secs(5);

/// Why a term ends in which the plugin is exchanged.
const WHY: &str = "the plugin is exchanged";

/// Both hosts.
pub(super) const HOSTS: [&str; 2] = ["a", "b"];

/// A task with its plugin.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) setup: Setup,
    pub(super) plugin: Arc<Plugin>,
}

impl Part {
    pub(super) fn task(&self) -> &TaskConfig {
        &self.setup.task
    }
}

/// What is done to a host from outside.
enum Demand {
    /// Its plugin is exchanged; it is said when that is done.
    Exchange(Box<Part>, oneshot::Sender<()>),
    /// It ends without a word.
    Die,
}

/// A host that runs.
pub(super) struct Member {
    pub(super) name: &'static str,
    shutdown: Shutdown,
    demands: mpsc::UnboundedSender<Demand>,
    ended: oneshot::Receiver<Result<(), HostError>>,
}

impl Member {
    /// Starts a host that stands for the task.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(name: &'static str, config: &Config, part: Part) -> io::Result<Self> {
        let config = Config {
            host: name.into(),
            ..config.clone()
        };
        let shutdown = Shutdown::new();
        let (demands, demanded) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name(format!("host {name}")).spawn({
            let shutdown = shutdown.clone();
            move || {
                speak_as(name);
                // Whoever could hear of it may have gone.
                let _ = end.send(live(&config, part, shutdown, demanded));
            }
        })?;
        Ok(Self {
            name,
            shutdown,
            demands,
            ended,
        })
    }

    /// Exchanges the plugin. Returns when that is done, or the host has ended.
    pub(super) async fn exchange(&self, part: Part) {
        let (done, is_done) = oneshot::channel();
        if self
            .demands
            .send(Demand::Exchange(Box::new(part), done))
            .is_ok()
        {
            let _ = is_done.await;
        }
    }

    /// Kills the host: nothing is given back, and nobody is told. Returns when nothing of it is left.
    pub(super) async fn kill(self) {
        let _ = self.demands.send(Demand::Die);
        let _ = self.ended.await;
    }

    /// Has the host end as it does when it is asked to stop.
    ///
    /// # Errors
    /// See [`HostError`].
    pub(super) async fn end(self) -> Result<(), HostError> {
        self.shutdown.trigger();
        self.ended.await.unwrap_or(Ok(()))
    }

    /// Waits until the host has ended by itself, which it should not.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped; once it has resolved, the host is not waited for again.
    pub(super) async fn failed(&mut self) -> Result<(), HostError> {
        (&mut self.ended).await.unwrap_or(Ok(()))
    }
}

/// The life of a host.
fn live(
    config: &Config,
    part: Part,
    shutdown: Shutdown,
    demanded: mpsc::UnboundedReceiver<Demand>,
) -> Result<(), HostError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HostError::Threads)?;
    let contenders = LocalSet::new();
    let standing = contenders.run_until(stand(config, part, shutdown, demanded));
    let killed = runtime.block_on(standing)?;
    // Its session's connection ends, and its plugin's permission, before its threads do.
    drop(contenders);
    drop(runtime);
    if let Some(host) = killed {
        host.vanish(DEATH_TIME);
    }
    Ok(())
}

/// Stands for the task until the host is asked to stop. Gives the host if it is to die instead.
async fn stand(
    config: &Config,
    mut part: Part,
    shutdown: Shutdown,
    mut demanded: mpsc::UnboundedReceiver<Demand>,
) -> Result<Option<Host>, HostError> {
    let mut host = Host::new(config, None, shutdown, Teller::default())?;
    host.start(part.task(), Arc::clone(&part.plugin));
    while let Some(Some(demand)) = host.run(demanded.recv()).await {
        match demand {
            Demand::Die => return Ok(Some(host)),
            Demand::Exchange(new, done) => {
                let old = std::mem::replace(&mut part, *new);
                let starting = vec![(part.task().clone(), Arc::clone(&part.plugin))];
                if host
                    .exchange(vec![old.setup.task], starting, WHY)
                    .await
                    .is_none()
                {
                    break;
                }
                let _ = done.send(());
            }
        }
    }
    host.end().await.map(|()| None)
}
