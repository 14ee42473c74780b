//! Texts to be signed, and texts that were.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use soloist_config::{MANIFEST_BYTES_MAX, Manifest};
use soloist_core::artefact::ArtefactSource;
use soloist_core::records::{Envelope, SIGNATURES_MAX};

use super::super::Failure;
use super::super::output::{print, print_error};
use super::plugin::{beside, check_bytes};
use super::{Prepared, read_bounded};

/// The longest signature that is read, in bytes. Those of minisign have some 300 and their comments.
const SIGNATURE_BYTES_MAX: u64 = 4096;

/// Where a text to sign goes.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Out<'a> {
    File(&'a Path),
    /// A file of a name that nobody has chosen: whatever is there already is not written over, nor through.
    New(&'a Path),
    Stdout,
}

/// Writes the text to sign, byte for byte as it will be deployed, and says what to do with it. `widens` says whether it may more
/// than the generation before.
pub(in crate::cli) fn sign(prepared: &Prepared, out: Out<'_>, widens: bool) -> Result<(), Failure> {
    let text = &prepared.envelope.text;
    let (file, is_new) = match out {
        Out::Stdout => return print(text).map(drop),
        Out::File(file) => (file, false),
        Out::New(file) => (file, true),
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options
        .create_new(is_new)
        .open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("{} cannot be written", file.display()))
        .map_err(Failure::RunTime)?;
    let plugin = if prepared.manifest.artefact.source == ArtefactSource::Ensemble {
        " PLUGIN"
    } else {
        ""
    };
    let accepted = if widens { " --accept-grants" } else { "" };
    let file = file.display();
    print_error(&format!(
        "generation {} of {} is written to {file}, and nothing is deployed. Sign it, and deploy it:\n\
         \x20 minisign -S -m {file}\n\
         \x20 soloist deploy{plugin} --manifest {file} --signature {file}.minisig{accepted}",
        prepared.manifest.generation, prepared.manifest.task.name
    ));
    Ok(())
}

/// A text that was signed, and its plugin, if that is at hand.
pub(super) struct Signed {
    manifest: Manifest,
    envelope: Envelope,
    plugin: Option<(PathBuf, Vec<u8>)>,
}

impl Signed {
    pub(super) fn read(
        file: &Path,
        signatures: &[PathBuf],
        plugin: Option<&Path>,
    ) -> Result<Self, Failure> {
        // Two more than there may be: what is too long is told by whoever reads it.
        let text = read_bounded(file, 16 * MANIFEST_BYTES_MAX as u64)?;
        let manifest = Manifest::read(file, &text)?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(Failure::Invalid(anyhow!(
                "--signature: {} signatures are too many: {SIGNATURES_MAX} are kept",
                signatures.len()
            )));
        }
        let signatures: Vec<String> = signatures
            .iter()
            .map(|file| signature(file))
            .collect::<Result<_, _>>()?;
        let text = String::from_utf8(text)
            .map_err(|_| Failure::Invalid(anyhow!("{} is not text in UTF-8", file.display())))?;
        let envelope = Envelope::new(text, signatures)
            .with_context(|| format!("{} cannot be deployed", file.display()))
            .map_err(Failure::Invalid)?;
        let plugin = match plugin {
            Some(path) => {
                let bytes = beside(manifest.artefact.sha256, path)?;
                Some((path.to_owned(), bytes))
            }
            None => None,
        };
        Ok(Self {
            manifest,
            envelope,
            plugin,
        })
    }

    /// Checks the plugin, if it is at hand.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some((path, _)) = &self.plugin else {
            return Ok(());
        };
        check_bytes(&self.manifest.task, path, self.manifest.artefact.sha256)
    }

    pub(super) fn prepared(self) -> Prepared {
        Prepared {
            manifest: self.manifest,
            envelope: self.envelope,
            plugin: self.plugin.map(|(_, bytes)| bytes),
        }
    }
}

fn signature(file: &Path) -> Result<String, Failure> {
    let bytes = read_bounded(file, SIGNATURE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).ok();
    let text = text.filter(|text| text.starts_with("untrusted comment:"));
    text.ok_or_else(|| {
        Failure::Invalid(anyhow!(
            "{} is no signature of minisign: name the file that `minisign -S` has written, which ends in .minisig",
            file.display()
        ))
    })
}
