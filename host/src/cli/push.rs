//! `soloist push`: put a plugin into a registry, for hosts to fetch.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use soloist_core::artefact::OciTag;
use soloist_core::digest::Digest;

use super::Failure;
use super::fetch;
use super::inspect::{Plugin, engine};
use super::output::{print, tell_on_stderr};

/// Put a plugin into an OCI registry, and say what to write into the configuration for it
///
/// The plugin is checked as by `soloist inspect`. The image has it as its only layer, of the type application/wasm. Credentials
/// are those of docker login.
#[derive(Debug, clap::Args)]
pub(super) struct Push {
    /// A component or a core module, in its binary form
    #[arg(value_name = "PLUGIN")]
    plugin: PathBuf,

    /// Where to put it, like oci://ghcr.io/acme/report:1.0
    #[arg(value_name = "oci://REGISTRY/REPOSITORY:TAG")]
    to: String,
}

impl Push {
    pub(super) fn execute(self, _: &ArgMatches) -> Result<(), Failure> {
        tell_on_stderr("push").map_err(Failure::RunTime)?;
        let tag = match OciTag::new(&self.to) {
            Some(tag) => tag.map_err(|error| anyhow!("{}: it {error}", self.to)),
            None => Err(anyhow!(
                "{}: is no place to push to: write oci://REGISTRY/REPOSITORY:TAG",
                self.to
            )),
        };
        let tag = tag.map_err(Failure::Invalid)?;
        let Plugin { inspection, .. } = Plugin::inspect(&engine()?, &self.plugin, None)?;
        let bytes = fs::read(&self.plugin)
            .with_context(|| self.plugin.display().to_string())
            .map_err(Failure::Invalid)?;
        let (length, digest) = (bytes.len(), Digest::of(&bytes));
        if digest != inspection.sha256 {
            return Err(Failure::Invalid(anyhow!(
                "{}: it has changed while it was read: push it again",
                self.plugin.display()
            )));
        }
        let image = fetch::push(bytes, &tag)
            .with_context(|| format!("{} is not pushed to {tag}", self.plugin.display()))
            .map_err(Failure::RunTime)?;
        let text = format!(
            "{tag}\n  image         {image}\n  plugin        {length} bytes, sha256 {digest}\n\n\
             # For soloist.toml\nplugin = \"{image}\"\n"
        );
        print(&text).map(drop)
    }
}
