//! Loading the plugins of all tasks.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use soloist::config::{Config, TaskConfig};
use soloist::plugin::{Plugin, PluginEngine, PluginSettings};

use super::Failure;

/// Loads the plugin of every task, in the order of the configuration, or says of each one that is bad what is wrong.
pub(super) fn load(config: &Config) -> Result<Vec<Arc<Plugin>>, Failure> {
    let engine = PluginEngine::new().map(Arc::new).context("cannot run WebAssembly here").map_err(Failure::RunTime)?;
    let load = |task: &TaskConfig| {
        let settings =
            PluginSettings { config: task.config.clone(), grants: task.grants.clone(), ..PluginSettings::default() };
        Plugin::load(&engine, &task.plugin, settings)
    };
    let (mut plugins, mut bad) = (Vec::new(), Vec::new());
    for task in &config.tasks {
        match load(task) {
            Ok(plugin) => plugins.push(Arc::new(plugin)),
            Err(error) => bad.push(format!("{:#}", anyhow::Error::new(error).context(format!("task {}", task.name)))),
        }
    }
    if bad.is_empty() { Ok(plugins) } else { Err(Failure::Invalid(anyhow!(bad.join("\n")))) }
}
