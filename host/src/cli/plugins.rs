//! Loading the plugins of all tasks.

use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, anyhow};
use soloist_config::{Config, TaskConfig};
use soloist_core::secret::{SecretError, others_can_read};
use soloist_runtime::shutdown::Shutdown;
use soloist_sandbox::{Bucket, Compiler, Plugin, PluginEngine, PluginSettings};
use tokio::sync::oneshot;

use super::Failure;

/// Loads the plugins on a thread of their own, until that is done or the host is asked to stop: then there are none.
///
/// Nor does it hold up the end of the process, with which that of a compiler ends.
pub(super) async fn load_until(
    shutdown: &Shutdown,
    config: &Config,
) -> Result<Option<Vec<Arc<Plugin>>>, Failure> {
    let (sender, loaded) = oneshot::channel();
    let config = config.clone();
    thread::Builder::new()
        .name("load".into())
        // Nobody waits for it any more when the host is asked to stop.
        .spawn(move || drop(sender.send(load(&config))))
        .context("cannot start the thread that loads plugins")
        .map_err(Failure::RunTime)?;
    tokio::select! {
        loaded = loaded => loaded.context("loading the plugins has failed").map_err(Failure::RunTime)?.map(Some),
        () = shutdown.requested() => Ok(None),
    }
}

/// Loads the plugin of every task, in the order of the configuration, or says of each one that is bad what is wrong.
pub(super) fn load(config: &Config) -> Result<Vec<Arc<Plugin>>, Failure> {
    warn_of_readable(config);
    let engine = PluginEngine::new(Compiler::this_program()).context("cannot run WebAssembly here");
    let engine = Arc::new(engine.map_err(Failure::RunTime)?);
    let writes = Arc::new(Bucket::of_host(config.zookeeper.state_rate));
    let (mut plugins, mut bad) = (Vec::new(), Vec::new());
    for task in &config.tasks {
        match load_one(config, task, &engine, &writes) {
            Ok(plugin) => {
                for warning in plugin.warnings() {
                    tracing::warn!("task {}: {warning}", task.name);
                }
                plugins.push(Arc::new(plugin));
            }
            Err(error) => bad.push(format!(
                "{:#}",
                error.context(format!("task {}", task.name))
            )),
        }
    }
    if bad.is_empty() {
        Ok(plugins)
    } else {
        Err(Failure::Invalid(anyhow!(bad.join("\n"))))
    }
}

fn load_one(
    config: &Config,
    task: &TaskConfig,
    engine: &Arc<PluginEngine>,
    writes: &Arc<Bucket>,
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
        sha256: task.sha256,
        configuration: config.file.clone(),
        all_dirs: config
            .tasks
            .iter()
            .flat_map(|task| task.grants.dirs.iter().cloned())
            .collect(),
        host_writes: Arc::clone(writes),
        ..PluginSettings::default()
    };
    Ok(Plugin::load(engine, &task.plugin, settings)?)
}

/// Warns of secrets that other users of this machine can read.
fn warn_of_readable(config: &Config) {
    let identity = config
        .zookeeper
        .auth_file
        .iter()
        .map(|file| ("the identity".to_owned(), file));
    let secrets = config.tasks.iter().flat_map(|task| {
        let sources = task.grants.secrets.iter();
        sources.filter_map(|source| {
            Some((
                format!("task {}: the secret {}", task.name, source.name),
                source.file.as_ref()?,
            ))
        })
    });
    for (what, file) in identity
        .chain(secrets)
        .filter(|(_, file)| others_can_read(file))
    {
        let file = file.display();
        tracing::warn!(
            "{what}: every user of this machine can read {file}: take that right away, with chmod o-r"
        );
    }
}
