//! What is played: built, read and loaded, as often as its sources change.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::anyhow;
use clap::ArgMatches;
use soloist_config::{Config, EnsembleWire, Given, Written};
use soloist_core::clock::TaskClock;
use soloist_core::secret::Secret;
use soloist_dev::playground::{Made, Maker};
use soloist_runtime::reload::Setup;
use soloist_runtime::report::Hidden;

use super::check_subject;
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
    loader: OnceLock<Loader>,
}

impl Supply {
    /// Of this plugin, or the project in this folder.
    pub(in crate::cli) fn new(
        subject: &Path,
        options: TaskOptions,
        matches: ArgMatches,
        hidden: Hidden,
        clock: TaskClock,
    ) -> Result<Self, Failure> {
        check_subject(subject)?;
        let (subject, loader) = (subject.to_owned(), OnceLock::new());
        Ok(Self {
            subject,
            options,
            matches,
            hidden,
            clock,
            loader,
        })
    }

    /// Makes what is played.
    pub(in crate::cli) fn supply(&self) -> Result<Made, Failure> {
        let plugin = if self.subject.is_dir() {
            make(&self.subject)?
        } else {
            self.subject.clone()
        };
        let config = self.config(&plugin)?;
        if self.loader.get().is_none() {
            let loader = Loader::on_clock(&config, self.clock.clone())?;
            self.loader.get_or_init(|| loader);
        }
        let loader = self.loader.get();
        let mut plugins = loader
            .map(|loader| loader.load(&config))
            .transpose()?
            .unwrap_or_default();
        let (Some(plugin), [task]) = (plugins.pop(), &config.tasks[..]) else {
            return Err(Failure::RunTime(anyhow!("there is no task")));
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
        // The real ensemble's identity is of no use here, and may be out of reach.
        let auth = Some(Written::flag(
            Secret::new("digest:dev:dev".to_owned()),
            "dev",
        ));
        let zookeeper = EnsembleWire {
            auth,
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
        plugin.clone_into(&mut task.plugin);
        // What is being written is not what was released.
        task.sha256 = None;
        let zookeeper = &mut config.zookeeper;
        (
            zookeeper.auth,
            zookeeper.auth_file,
            zookeeper.acl,
            zookeeper.connect_timeout,
        ) = (None, None, None, None);
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
