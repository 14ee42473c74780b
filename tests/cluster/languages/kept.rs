//! Where plugins of other languages are kept, and whether they are still what their sources say.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use soloist_tests::build;

/// Where the plugins of a language are kept from one run to the next.
pub(super) fn kept(language: &str) -> Result<PathBuf> {
    let kept = build::target()?.join("languages").join(language);
    std::fs::create_dir_all(&kept)?;
    Ok(kept)
}

/// The files of the contract.
pub(super) fn contract() -> Result<Vec<PathBuf>> {
    let files = build::workspace().join("guest-sdk/wit").read_dir()?;
    files.map(|file| Ok(file?.path())).collect()
}

/// Whether what was built is newer than all that it is made of.
pub(super) fn is_fresh(built: &Path, sources: &[PathBuf]) -> Result<bool> {
    let changed = |path: &Path| Ok::<_, anyhow::Error>(path.metadata()?.modified()?);
    let Ok(built) = changed(built) else {
        return Ok(false);
    };
    for source in sources {
        if changed(source).with_context(|| source.display().to_string())? >= built {
            return Ok(false);
        }
    }
    Ok(true)
}
