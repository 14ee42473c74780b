//! The plugin that is deployed: its bytes, its digest, where hosts fetch it, and whether it would run.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use soloist_config::{Deployment, PluginSource, TaskSettings};
use soloist_coordination::artefacts;
use soloist_core::artefact::{ArtefactSource, MAX_BYTES, OciTag};
use soloist_core::digest::Digest;

use super::super::Failure;
use super::super::fetch::one;
use super::super::plugins::check;
use super::super::unbuilt::advised;
use super::read_bounded;

/// A plugin that is at hand, and where hosts fetch it.
pub(super) struct Obtained {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) source: ArtefactSource,
}

impl Obtained {
    /// Reads or fetches the plugin, checks it unless that is not wanted, and finds out where hosts will fetch it. Blocks the
    /// thread.
    pub(super) fn new(
        deployment: &Deployment,
        source: Option<&str>,
        no_check: bool,
    ) -> Result<Self, Failure> {
        let fetched = one(&deployment.plugin, deployment.sha256)?;
        let bytes = read_bounded(&fetched.path, MAX_BYTES).map_err(|failure| match failure {
            Failure::Invalid(error) => Failure::Invalid(advised(error, &fetched.path, None)),
            failure => failure,
        })?;
        let digest = Digest::of(&bytes);
        if let Some(wanted) = fetched.sha256.filter(|wanted| *wanted != digest) {
            return Err(Failure::Invalid(anyhow!(
                "{}: its SHA-256 is {digest}, and not {wanted}",
                deployment.plugin
            )));
        }
        if !no_check {
            check(&deployment.task, &fetched.path, digest)?;
        }
        let source = match source {
            Some(text) => named(text, digest)?,
            None => fetched.from.unwrap_or(ArtefactSource::Ensemble),
        };
        if source == ArtefactSource::Ensemble {
            artefacts::check_size(&bytes)
                .with_context(|| format!("{} cannot be kept in the ensemble", deployment.plugin))
                .map_err(Failure::Invalid)?;
        }
        Ok(Self {
            bytes,
            digest,
            source,
        })
    }
}

/// Reads where hosts fetch the plugin, and sees that it is the same plugin there.
fn named(text: &str, digest: Digest) -> Result<ArtefactSource, Failure> {
    let bad = |error| Failure::Invalid(anyhow!("--source: {text}: it {error}"));
    let source = match OciTag::new(text) {
        Some(tag) => PluginSource::Tag(tag.map_err(bad)?),
        None => PluginSource::Artefact(ArtefactSource::new(text).map_err(bad)?),
    };
    match source {
        // A file is that of every host, and need not be here.
        PluginSource::Artefact(
            source @ (ArtefactSource::Ensemble | ArtefactSource::File { .. }),
        ) => Ok(source),
        source => {
            let fetched = one(&source, Some(digest));
            let fetched = fetched.map_err(|failure| failure.context("--source".to_owned()))?;
            Ok(fetched.from.unwrap_or(ArtefactSource::Ensemble))
        }
    }
}

/// Reads the plugin that goes with a manifest.
pub(super) fn beside(manifest_sha256: Digest, plugin: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read_bounded(plugin, MAX_BYTES)?;
    let found = Digest::of(&bytes);
    if found == manifest_sha256 {
        return Ok(bytes);
    }
    Err(Failure::Invalid(anyhow!(
        "{}: its SHA-256 is {found}, and the manifest names {manifest_sha256}: deploy the file that the manifest was made for",
        plugin.display()
    )))
}

/// Checks a plugin against what its manifest grants it.
pub(super) fn check_bytes(task: &TaskSettings, path: &Path, digest: Digest) -> Result<(), Failure> {
    check(task, path, digest)
}
