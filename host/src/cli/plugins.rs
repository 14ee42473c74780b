//! Loading the plugins of all tasks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use soloist_config::{Config, DeployConfig, TaskConfig, TaskSettings, TlsConfig};
use soloist_core::clock::TaskClock;
use soloist_core::digest::Digest;
use soloist_core::grants::{Directory, Grants};
use soloist_core::secret::{SecretError, others_can_read};
use soloist_deploy::Artefact;
use soloist_runtime::deployer::LoadPlugin;
use soloist_runtime::report::Hidden;
use soloist_sandbox::{
    Bucket, Compiler, Contacts, Inspection, Plugin, PluginEngine, PluginSettings, inspect,
};

use super::Failure;
use super::fetch::{self, Fetched};
use super::unbuilt::advised;

/// Runs a long job on a thread of its own: see [`soloist_runtime::apart`].
pub(super) async fn apart<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = soloist_runtime::apart::apart(job).await;
    done.context("loading the plugins has failed")
        .map_err(Failure::RunTime)?
}

/// Loads the plugin of every task, in the order of the configuration, or says of each one that is bad what is wrong. Warns of
/// what deserves a word though it can run.
pub(super) fn load(config: &Config) -> Result<(Loader, Vec<Arc<Plugin>>), Failure> {
    for file in config.zookeeper.identity_files() {
        warn_if_readable("the identity", file);
    }
    if let Some((_, key)) = config
        .zookeeper
        .tls
        .iter()
        .find_map(|tls| tls.identity.as_ref())
    {
        warn_if_readable("the key of the certificate", key);
    }
    for task in &config.tasks {
        warn_of_secrets(task);
    }
    let loader = Loader::new(config)?;
    let plugins = loader.load(config)?;
    for (task, plugin) in config.tasks.iter().zip(&plugins) {
        warn_of_plugin(task, plugin);
    }
    Ok((loader, plugins))
}

/// Loads plugins. What those of a host have in common stays the same from one configuration to the next.
#[derive(Clone)]
pub(super) struct Loader {
    engine: Arc<PluginEngine>,
    writes: Arc<Bucket>,
    clock: TaskClock,
    contacts: Option<Contacts>,
    /// Whether plugins are only tried: each has its code for itself then.
    is_trial: bool,
}

/// What a plugin must keep away from, whichever task it is of.
#[derive(Clone)]
struct Surroundings {
    files: Arc<[PathBuf]>,
    dirs: Arc<[Directory]>,
}

impl Loader {
    fn new(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            is_trial: false,
            ..Self::of_trial(config, TaskClock::system(), None)?
        })
    }

    /// For those who only try plugins, which live by this clock. With `contacts` a plugin may contact whatever it wants, and
    /// that is recorded.
    pub(super) fn of_trial(
        config: &Config,
        clock: TaskClock,
        contacts: Option<Contacts>,
    ) -> Result<Self, Failure> {
        let engine =
            PluginEngine::new(Compiler::this_program()).context("cannot run WebAssembly here");
        Ok(Self {
            engine: Arc::new(engine.map_err(Failure::RunTime)?),
            writes: Arc::new(Bucket::of_host(config.zookeeper.state_rate)),
            clock,
            contacts,
            is_trial: true,
        })
    }

    /// Loads the plugin of every task, in the order of the configuration, or says of each one that is bad what is wrong.
    pub(super) fn load(&self, config: &Config) -> Result<Vec<Arc<Plugin>>, Failure> {
        let (mut plugins, mut bad) = (Vec::new(), Vec::new());
        // As long as all that fails is what may go better later, nothing is wrong with the configuration.
        let mut kind: fn(anyhow::Error) -> Failure = Failure::RunTime;
        let fetched = fetch::plugins(&config.tasks)?;
        let around = Surroundings::new(files(config, &fetched), config, None);
        for (task, fetched) in config.tasks.iter().zip(fetched) {
            let load = |fetched| self.load_one(config, task, &fetched, &around);
            let loaded = fetched.and_then(|fetched| load(fetched).map_err(Failure::Invalid));
            match loaded {
                Ok(plugin) => plugins.push(Arc::new(plugin)),
                Err(failure) => {
                    if let Failure::Invalid(_) = failure {
                        kind = Failure::Invalid;
                    }
                    bad.push(format!("task {}: {failure}", task.name));
                }
            }
        }
        if bad.is_empty() {
            Ok(plugins)
        } else {
            Err(kind(anyhow!(bad.join("\n"))))
        }
    }

    /// Says what a plugin needs, whatever it is granted.
    pub(super) fn inspect(&self, plugin: &Path) -> Result<Inspection, Failure> {
        inspect(&self.engine, plugin).map_err(|error| Failure::Invalid(error.into()))
    }

    fn load_one(
        &self,
        config: &Config,
        task: &TaskConfig,
        fetched: &Fetched,
        around: &Surroundings,
    ) -> anyhow::Result<Plugin> {
        let secrets = task
            .grants
            .secrets
            .iter()
            .map(|source| Ok((source.name.clone(), source.read()?)));
        let settings = PluginSettings {
            config: task.config.clone(),
            grants: task.grants.clone(),
            secrets: secrets.collect::<Result<_, SecretError>>()?,
            limits: task.limits.clone(),
            sha256: fetched.sha256,
            alone: self.is_trial,
            configuration: config.file.clone(),
            host_files: Arc::clone(&around.files),
            all_dirs: Arc::clone(&around.dirs),
            host_writes: Arc::clone(&self.writes),
            clock: self.clock.clone(),
            contacts: self.contacts.clone(),
            ..PluginSettings::default()
        };
        Plugin::load(&self.engine, &fetched.path, settings)
            .map_err(|error| advised(error.into(), &fetched.path, config.file.as_deref()))
    }
}

/// Loads the plugins of deployed tasks, and has their secrets hidden.
pub(super) struct DeployedLoader {
    pub(super) loader: Loader,
    pub(super) hidden: Hidden,
}

impl LoadPlugin for DeployedLoader {
    fn load(
        &self,
        config: &Config,
        task: &TaskConfig,
        artefact: Artefact,
    ) -> Result<Plugin, String> {
        warn_of_secrets(task);
        let fetched = Fetched::artefact(artefact);
        let mut files = files(config, &[]);
        files.extend(task.grants.secrets.iter().filter_map(|it| it.file.clone()));
        files.push(fetched.path.clone());
        let around = Surroundings::new(files, config, Some(task));
        let loaded = self.loader.load_one(config, task, &fetched, &around);
        let plugin = loaded.map_err(|error| format!("{error:#}"))?;
        self.hidden.add(plugin.secrets());
        warn_of_plugin(task, &plugin);
        Ok(plugin)
    }
}

/// Checks that a plugin could run with these settings on any host that has what they name: its contract, its imports and what is
/// granted of them. Directories and secrets are those of the hosts, and are not looked at.
pub(super) fn check(task: &TaskSettings, path: &Path, sha256: Digest) -> Result<(), Failure> {
    let grants = Grants {
        // Whether the hosts have them is for them to see. That there are any is all that matters here.
        dirs: Vec::new(),
        dirs_said: task.grants.dirs_said || !task.grants.dirs.is_empty(),
        ..task.grants.clone()
    };
    let settings = PluginSettings {
        config: task.config.clone(),
        grants,
        limits: task.limits.clone(),
        sha256: Some(sha256),
        ..PluginSettings::default()
    };
    let engine = super::inspect::engine()?;
    let checked = || -> anyhow::Result<()> {
        let plugin = Plugin::load(&engine, path, settings)?;
        for warning in plugin.warnings() {
            tracing::warn!("task {}: {warning}", task.name);
        }
        Ok(())
    };
    checked()
        .with_context(|| format!("task {}", task.name))
        .map_err(Failure::Invalid)
}

impl Surroundings {
    /// These files, and the directories that are granted by the configuration and by a task that is not in it.
    fn new(mut files: Vec<PathBuf>, config: &Config, another: Option<&TaskConfig>) -> Self {
        // A thousand tasks may run the same plugin.
        files.sort_unstable();
        files.dedup();
        let tasks = another.into_iter().chain(&config.tasks);
        let dirs = tasks.flat_map(|task| task.settings.grants.dirs.iter().cloned());
        Self {
            files: files.into(),
            dirs: dirs.collect(),
        }
    }
}

/// The files that a host with this configuration reads besides the configuration, and what it keeps.
fn files(config: &Config, fetched: &[Result<Fetched, Failure>]) -> Vec<PathBuf> {
    let mut files: Vec<_> = config.zookeeper.identity_files().cloned().collect();
    if let Some(TlsConfig { ca, identity, .. }) = &config.zookeeper.tls {
        files.push(ca.clone());
        files.extend(
            identity
                .iter()
                .flat_map(|(certificate, key)| [certificate.clone(), key.clone()]),
        );
    }
    if let Some(listen) = &config.listen {
        files.extend(listen.files().cloned());
    }
    files.extend(config.deploy.iter().map(DeployConfig::accepted));
    let deploy = config.deploy.iter();
    files.extend(deploy.flat_map(|deploy| deploy.key_files.iter().cloned()));
    for task in &config.tasks {
        let secrets = task.grants.secrets.iter();
        files.extend(secrets.filter_map(|source| source.file.clone()));
    }
    files.extend(fetched.iter().flatten().map(|it| it.path.clone()));
    files
}

/// Warns of secrets of a task that other users of this machine can read.
pub(super) fn warn_of_secrets(task: &TaskConfig) {
    for secret in &task.grants.secrets {
        if let Some(file) = &secret.file {
            warn_if_readable(
                &format!("task {}: the secret {}", task.name, secret.name),
                file,
            );
        }
    }
}

/// Says what deserves a word about a plugin and its grants, though it can run.
pub(super) fn warn_of_plugin(task: &TaskConfig, plugin: &Plugin) {
    for warning in plugin.warnings() {
        tracing::warn!("task {}: {warning}", task.name);
    }
}

/// Warns of a file with a secret, named `what`, that every user of this machine can read.
pub(super) fn warn_if_readable(what: &str, file: &Path) {
    if others_can_read(file) {
        let file = file.display();
        tracing::warn!(
            "{what}: every user of this machine can read {file}: take that right away, with chmod o-r"
        );
    }
}
