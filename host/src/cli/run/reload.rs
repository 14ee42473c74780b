//! Reading the configuration again while the host runs: what has changed is exchanged, all else goes on untouched.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_config::{Config, TaskConfig};
use soloist_core::event::{About, Event};
use soloist_core::secret::Secret;
use soloist_runtime::host::{Host, HostError};
use soloist_runtime::reload::{Changes, NeedsRestart, Setup};
use soloist_runtime::report::Hidden;
use soloist_runtime::signals::Reloads;
use soloist_sandbox::Plugin;
use tokio::sync::watch;

use super::service::Service;
use super::{Failure, Options};
use crate::cli::plugins::{self, DeployedLoader, Loader};

/// What is written of a term that ends because its task has changed.
const WHY: &str = "the configuration has changed";

/// Reads the configuration again, with the flags and the environment of the start.
pub(super) struct Reloader {
    options: Options,
    matches: ArgMatches,
    loader: Loader,
    hidden: Hidden,
    config: watch::Sender<Arc<Config>>,
    setups: Arc<[Setup]>,
}

/// A configuration that was read again, with what it changes.
struct Reloaded {
    config: Config,
    setups: Arc<[Setup]>,
    changes: Changes,
    /// The tasks that are stood for anew.
    starting: Vec<(TaskConfig, Arc<Plugin>)>,
}

impl Reloader {
    /// Begins with what was read at the start. The secrets of the plugins are hidden from here on.
    pub(super) fn new(
        options: Options,
        matches: ArgMatches,
        loader: Loader,
        hidden: Hidden,
        config: Config,
        plugins: &[Arc<Plugin>],
    ) -> Self {
        let reloader = Self {
            options,
            matches,
            loader,
            hidden,
            setups: setups(&config, plugins),
            config: watch::Sender::new(Arc::new(config)),
        };
        reloader.hide(&[]);
        reloader
    }

    /// The configuration that the host stands by, now and as it changes.
    pub(super) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// What loads the plugins of deployed tasks.
    pub(super) fn deployed_loader(&self) -> DeployedLoader {
        DeployedLoader {
            loader: self.loader.clone(),
            hidden: self.hidden.clone(),
        }
    }

    /// Runs the host to its end, and does what is asked for on the way. A request that comes during another is the next.
    pub(super) async fn run(
        mut self,
        mut host: Host,
        reloads: &Reloads,
        service: &Service,
    ) -> Result<(), HostError> {
        while host.run(reloads.next()).await.is_some() {
            tracing::info!("reading the configuration again");
            service.reloads();
            let Some(read) = host.run(self.read()).await else {
                break;
            };
            let fits = |reloaded: Reloaded| fits(&host, reloaded);
            let read = read.and_then(fits);
            let is_read = read.is_ok();
            match read {
                Ok(reloaded) => {
                    if self.apply(&mut host, reloaded).await.is_none() {
                        break;
                    }
                }
                Err(failure) => {
                    let problem = failure.to_string();
                    About::Session.report(&Event::NotReloaded { problem });
                }
            }
            service.reloaded(is_read);
        }
        host.end().await
    }

    /// Reads and loads everything as at the start, so that what is wrong is found, and told, as at the start; on a thread of
    /// its own.
    fn read(&self) -> impl Future<Output = Result<Reloaded, Failure>> + use<> {
        let (options, matches) = (self.options.clone(), self.matches.clone());
        let loader = self.loader.clone();
        let old_config = Arc::clone(&self.config.borrow());
        let old_setups = Arc::clone(&self.setups);
        plugins::apart(move || {
            let config = options.config(&matches)?;
            NeedsRestart::check(&old_config, &config)
                .map_err(|error| Failure::Invalid(error.into()))?;
            let plugins = loader.load(&config)?;
            let setups = setups(&config, &plugins);
            let changes = Changes::between(&old_setups, &setups);
            let tasks = config.tasks.iter().cloned().zip(plugins);
            let starting = tasks
                .filter(|(task, _)| changes.starts(&task.name))
                .collect();
            Ok(Reloaded {
                config,
                setups,
                changes,
                starting,
            })
        })
    }

    /// Exchanges what has changed; nothing if the host is to end before that is done.
    async fn apply(&mut self, host: &mut Host, reloaded: Reloaded) -> Option<()> {
        let Reloaded {
            config,
            setups,
            changes,
            starting,
        } = reloaded;
        let old = std::mem::replace(&mut self.setups, setups);
        // Plugins that are on their way out know the old ones.
        self.hide(&old);
        for (task, plugin) in &starting {
            plugins::warn_of_secrets(task);
            plugins::warn_of_plugin(task, plugin);
        }
        let old = self.config.send_replace(Arc::new(config));
        let leaving = old.tasks.iter().filter(|task| changes.stops(&task.name));
        host.exchange(leaving.cloned().collect(), starting, WHY)
            .await?;
        About::Session.report(&changes.done());
        Some(())
    }

    /// Keeps all secrets out of the log: those of the identities, those of the tasks, and those of `old` ones.
    fn hide(&self, old: &[Setup]) {
        let config = Arc::clone(&self.config.borrow());
        let identities = config.zookeeper.secrets();
        let of_tasks = old.iter().chain(&*self.setups);
        let secrets: Vec<&Secret> = of_tasks
            .flat_map(|setup| &setup.secrets)
            .chain(&identities)
            .chain(config.listen.iter().flat_map(|listen| &listen.token))
            .collect();
        self.hidden.set(secrets);
    }
}

/// Whether the session leaves time for the demotions of all tasks, and none of them is deployed as well.
fn fits(host: &Host, reloaded: Reloaded) -> Result<Reloaded, Failure> {
    let demotions = reloaded.config.tasks.iter().map(|task| task.demote_timeout);
    host.has_room(demotions.max().unwrap_or_default())
        .context("the ensemble agrees to a shorter session than this needs")
        .map_err(Failure::Invalid)?;
    let deployed = reloaded
        .starting
        .iter()
        .find(|(task, _)| host.is_deployed(&task.name));
    if let Some((task, _)) = deployed {
        return Err(Failure::Invalid(anyhow!(
            "task {0} is deployed to this host as well: take it out of the configuration, or `soloist undeploy {0}` first",
            task.name
        )));
    }
    Ok(reloaded)
}

fn setups(config: &Config, plugins: &[Arc<Plugin>]) -> Arc<[Setup]> {
    let setup = |(task, plugin): (&TaskConfig, &Arc<Plugin>)| Setup {
        task: task.clone(),
        digest: plugin.digest(),
        secrets: plugin.secrets().cloned().collect(),
    };
    config.tasks.iter().zip(plugins).map(setup).collect()
}
