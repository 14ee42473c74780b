//! What is played: built, read and loaded, as often as its sources change.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::anyhow;
use clap::ArgMatches;
use soloist_config::{Config, EnsembleWire, Given, Written};
use soloist_core::clock::TaskClock;
use soloist_core::grants::{Grant, Grants};
use soloist_core::secret::Secret;
use soloist_dev::playground::{Made, Maker};
use soloist_runtime::reload::Setup;
use soloist_runtime::report::Hidden;
use soloist_sandbox::Contacts;

use super::{check_subject, grants};
use crate::cli::Failure;
use crate::cli::build::make;
use crate::cli::options::TaskOptions;
use crate::cli::plugins::{self, Loader};

/// The tick of the ensemble where no configuration names one: the shorter, the sooner an expired session is found.
const TICK: &str = "500ms";

/// The configurations that a folder may have.
const CONFIGURATIONS: [&str; 2] = ["soloist.toml", "soloist.json"];

/// Builds, reads and loads.
pub(in crate::cli) struct Supply {
    subject: PathBuf,
    options: TaskOptions,
    matches: ArgMatches,
    hidden: Hidden,
    clock: TaskClock,
    contacts: Option<Contacts>,
    loader: OnceLock<Loader>,
    /// What the plugin that was loaded last needs, and what its task grants.
    latest: Mutex<Option<(Vec<Grant>, Grants)>>,
}

impl Supply {
    /// Of this plugin, or the project in this folder. With `contacts` the plugin may contact whatever it wants, and that is
    /// recorded.
    pub(in crate::cli) fn new(
        subject: &Path,
        options: TaskOptions,
        matches: ArgMatches,
        hidden: Hidden,
        clock: TaskClock,
        contacts: Option<Contacts>,
    ) -> Result<Self, Failure> {
        check_subject(subject)?;
        Ok(Self {
            subject: subject.to_owned(),
            options,
            matches,
            hidden,
            clock,
            contacts,
            loader: OnceLock::new(),
            latest: Mutex::default(),
        })
    }

    /// Makes what is played.
    pub(in crate::cli) fn supply(&self) -> Result<Made, Failure> {
        let plugin = if self.subject.is_dir() {
            make(&self.subject)?
        } else {
            self.subject.clone()
        };
        let mut config = self.config(&plugin)?;
        if self.loader.get().is_none() {
            let loader = Loader::of_trial(&config, self.clock.clone(), self.contacts.clone())?;
            self.loader.get_or_init(|| loader);
        }
        let loader = self.loader.get().ok_or_else(no_task)?;
        if self.contacts.is_some() {
            self.open(loader, &mut config)?;
        }
        let mut plugins = loader.load(&config)?;
        let (Some(plugin), [task]) = (plugins.pop(), &config.tasks[..]) else {
            return Err(no_task());
        };
        let secrets: Vec<Secret> = plugin.secrets().cloned().collect();
        self.hidden.set(&secrets);
        plugins::warn_of_secrets(task);
        plugins::warn_of_plugin(task, &plugin);
        let setup = Setup {
            task: task.clone(),
            digest: plugin.digest(),
            secrets,
        };
        Ok(Made {
            config,
            setup,
            plugin,
        })
    }

    /// Opens what is recorded; the import must be granted for that. Notes what the plugin needs.
    fn open(&self, loader: &Loader, config: &mut Config) -> Result<(), Failure> {
        let task = config.tasks.first_mut().ok_or_else(no_task)?;
        let plugin = task.plugin.path().ok_or_else(no_task)?;
        let needs = loader.inspect(plugin)?.grants;
        let has = task.grants.clone();
        task.grants.state |= needs.contains(&Grant::State);
        let network = &mut task.grants.network;
        for (grant, is_there) in [
            (Grant::Http, network.http.is_some()),
            (Grant::Tcp, network.tcp.is_some()),
        ] {
            match grant {
                _ if is_there || !needs.contains(&grant) => {}
                Grant::Http => network.http = Some(Vec::new()),
                _ => network.tcp = Some(Vec::new()),
            }
        }
        *self.latest() = Some((needs, has));
        Ok(())
    }

    /// The grants that cover what was contacted, if that is recorded.
    pub(super) fn grants(&self) -> Option<String> {
        let contacted = self.contacts.as_ref()?.contacted();
        let latest = self.latest();
        let (needs, has) = latest.as_ref()?;
        Some(grants::allow(needs, has, &contacted))
    }

    fn latest(&self) -> MutexGuard<'_, Option<(Vec<Grant>, Grants)>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration with this plugin as its only task.
    fn config(&self, plugin: &Path) -> Result<Config, Failure> {
        let task = self
            .options
            .clone()
            .given(&self.matches)
            .map_err(Failure::Invalid)?;
        let Some(file) = self.configuration() else {
            let zookeeper = EnsembleWire {
                tick_time: Some(Written::flag(TICK.to_owned(), "dev")),
                ..EnsembleWire::default()
            };
            return Ok(Config::load(
                plugin,
                Given {
                    zookeeper,
                    task,
                    ..Given::default()
                },
            )?);
        };
        let zookeeper = EnsembleWire {
            anonymous: true,
            ..EnsembleWire::default()
        };
        let mut config = Config::load(
            &file,
            Given {
                zookeeper,
                task,
                ..Given::default()
            },
        )?;
        let [task] = &mut config.tasks[..] else {
            let (file, tasks) = (file.display(), config.tasks.len());
            return Err(Failure::Invalid(anyhow!(
                "{file}: describes {tasks} tasks, and one is tried at a time: name the plugin instead of its folder"
            )));
        };
        task.plugin = plugin.to_owned().into();
        // What is being written is not what was released.
        task.sha256 = None;
        let zookeeper = &mut config.zookeeper;
        (zookeeper.tls, zookeeper.acl, zookeeper.connect_timeout) = (None, None, None);
        Ok(config)
    }

    fn configuration(&self) -> Option<PathBuf> {
        let files = CONFIGURATIONS.map(|name| self.subject.join(name));
        files.into_iter().find(|file| file.is_file())
    }
}

impl Maker for Supply {
    fn make(&self) -> Result<Made, String> {
        self.supply().map_err(|failure| failure.to_string())
    }

    fn builds(&self) -> bool {
        self.subject.is_dir()
    }
}

fn no_task() -> Failure {
    Failure::RunTime(anyhow!("there is no task"))
}
