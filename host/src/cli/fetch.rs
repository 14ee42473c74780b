//! From where plugins are said to be to files of this host.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use futures::future::join_all;
use soloist_config::{PluginSource, TaskConfig};
use soloist_core::artefact::{ArtefactSource, OciTag};
use soloist_core::digest::Digest;
use soloist_deploy::{Artefact, Artefacts, Bounds, FetchError};
use tokio::runtime;

use super::Failure;

/// How long it may take to fetch, or to push, all that a command is about.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A plugin's file on this host.
pub(super) struct Fetched {
    pub(super) path: PathBuf,
    /// What the SHA-256 of the file must be, whenever it is read.
    pub(super) sha256: Option<Digest>,
    /// Where it was fetched from, if it was: a tag is resolved.
    pub(super) from: Option<ArtefactSource>,
    /// Keeps the file where it is.
    _held: Option<Artefact>,
}

impl Fetched {
    pub(super) fn artefact(artefact: Artefact) -> Self {
        Self {
            path: artefact.path.clone(),
            sha256: Some(artefact.digest),
            from: None,
            _held: Some(artefact),
        }
    }

    fn file(path: &Path, sha256: Option<Digest>) -> Self {
        Self {
            path: path.to_owned(),
            sha256,
            from: None,
            _held: None,
        }
    }
}

/// Fetches the plugins of tasks, several at once, unless they are files of this host. Blocks the thread.
///
/// # Errors
/// Nothing can be fetched here. What is wrong with a single one stands in its place.
pub(super) fn plugins(tasks: &[TaskConfig]) -> Result<Vec<Result<Fetched, Failure>>, Failure> {
    let sources: Vec<_> = tasks
        .iter()
        .map(|task| (&task.plugin, task.sha256))
        .collect();
    all(&sources)
}

/// Fetches the plugin that is named on the command line, unless it is a file of this host. Blocks the thread.
pub(super) fn named(plugin: &Path, sha256: Option<Digest>) -> Result<Fetched, Failure> {
    let source = PluginSource::read(plugin);
    one(
        &source.map_err(|bad| Failure::Invalid(anyhow!("PLUGIN: {bad}")))?,
        sha256,
    )
}

/// Fetches a plugin, unless it is a file of this host. Blocks the thread.
pub(super) fn one(source: &PluginSource, sha256: Option<Digest>) -> Result<Fetched, Failure> {
    all(&[(source, sha256)])?.remove(0)
}

/// Puts a plugin into a registry. Blocks the thread.
pub(super) fn push(plugin: Vec<u8>, tag: &OciTag) -> anyhow::Result<ArtefactSource> {
    let artefacts = Artefacts::of_user(Bounds::default())?;
    let deadline = Instant::now() + PATIENCE;
    Ok(waited(artefacts.push(plugin, tag, deadline))??)
}

fn all(
    sources: &[(&PluginSource, Option<Digest>)],
) -> Result<Vec<Result<Fetched, Failure>>, Failure> {
    let files = sources.iter().map(|(source, sha256)| match source {
        PluginSource::Path(path) => Some(Ok(Fetched::file(path, *sha256))),
        PluginSource::Artefact(_) | PluginSource::Tag(_) => None,
    });
    // Whoever has all of them on the disk needs no cache.
    if let Some(files) = files.collect() {
        return Ok(files);
    }
    let artefacts = Artefacts::of_user(Bounds::default())
        .context("nothing can be fetched")
        .map_err(Failure::RunTime)?;
    let deadline = Instant::now() + PATIENCE;
    let fetched = sources.iter().map(async |(source, sha256)| {
        fetch(&artefacts, source, *sha256, deadline)
            .await
            .map_err(|error| failure(source, error))
    });
    waited(join_all(fetched)).map_err(Failure::RunTime)
}

async fn fetch(
    artefacts: &Artefacts,
    source: &PluginSource,
    sha256: Option<Digest>,
    deadline: Instant,
) -> Result<Fetched, FetchError> {
    let resolved;
    let from = match source {
        PluginSource::Path(path) => return Ok(Fetched::file(path, sha256)),
        PluginSource::Artefact(from) => from,
        PluginSource::Tag(tag) => {
            resolved = artefacts.resolve(tag, deadline).await?;
            tracing::info!("{tag} is {resolved} now");
            &resolved
        }
    };
    let artefact = artefacts.fetch(from, sha256, deadline).await?;
    Ok(Fetched {
        from: Some(from.clone()),
        ..Fetched::artefact(artefact)
    })
}

/// Whoever gets no answer has no bad configuration for that.
fn failure(source: &PluginSource, error: FetchError) -> Failure {
    let is_of_the_machine = matches!(error, FetchError::Cache(_));
    let kind = if error.is_transient() || is_of_the_machine {
        Failure::RunTime
    } else {
        Failure::Invalid
    };
    kind(anyhow::Error::new(error).context(format!("{source} is not fetched")))
}

fn waited<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot wait for what is fetched")?;
    Ok(runtime.block_on(work))
}
