//! From where a plugin is said to be to a file of this host.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use soloist_config::{PluginSource, TaskConfig};
use soloist_core::artefact::ArtefactSource;
use soloist_core::digest::Digest;
use soloist_deploy::Artefacts;

use super::Failure;

/// A plugin's file on this host.
pub(super) struct Fetched {
    pub(super) path: PathBuf,
    /// What the SHA-256 of the file must be, whenever it is read.
    pub(super) sha256: Option<Digest>,
}

/// Fetches the plugin of a task, unless it is a file of this host. Blocks the thread.
pub(super) fn plugin(task: &TaskConfig) -> anyhow::Result<Fetched> {
    fetch(&task.plugin, task.sha256)
}

/// Fetches the plugin that is named on the command line, unless it is a file of this host. Blocks the thread.
pub(super) fn named(plugin: &Path, sha256: Option<Digest>) -> Result<Fetched, Failure> {
    let read = || {
        let source = PluginSource::read(plugin).map_err(|bad| anyhow!("PLUGIN: {bad}"))?;
        fetch(&source, sha256)
    };
    read().map_err(Failure::Invalid)
}

fn fetch(source: &PluginSource, sha256: Option<Digest>) -> anyhow::Result<Fetched> {
    let artefacts = || Artefacts::of_user().with_context(|| format!("{source} is not fetched"));
    let resolved;
    let from = match source {
        PluginSource::Path(path) => {
            return Ok(Fetched {
                path: path.clone(),
                sha256,
            });
        }
        PluginSource::Artefact(from) => from,
        PluginSource::Tag(tag) => {
            resolved = artefacts()?
                .resolve(tag)
                .with_context(|| format!("{tag} is not fetched"))?;
            tracing::info!("{tag} is {resolved} now");
            &resolved
        }
    };
    fetch_from(&artefacts()?, from, sha256).with_context(|| format!("{source} is not fetched"))
}

fn fetch_from(
    artefacts: &Artefacts,
    from: &ArtefactSource,
    sha256: Option<Digest>,
) -> anyhow::Result<Fetched> {
    let artefact = artefacts.fetch(from, sha256)?;
    Ok(Fetched {
        path: artefact.path,
        sha256: Some(artefact.digest),
    })
}
