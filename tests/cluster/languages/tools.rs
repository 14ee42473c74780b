//! How the toolchains are had.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use soloist_tests::build;

/// Runs a tool in a directory.
pub(super) fn run(
    program: impl AsRef<OsStr>,
    directory: &Path,
    args: &[impl AsRef<OsStr>],
) -> Result<()> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{}: {}{}",
        program.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// What is there, or `None` where it is not to be had: said, and an error where every change is tested.
pub(super) fn or_skipped<T>(tool: Result<T>, what: &str) -> Result<Option<T>> {
    match tool {
        Ok(tool) => Ok(Some(tool)),
        Err(error) if std::env::var_os("CI").is_some() => Err(error.context(format!(
            "{what} is not to be had, which tests/setup.sh installs"
        ))),
        Err(error) => {
            println!("SKIPPED: {what} is not to be had: {error:#}");
            Ok(None)
        }
    }
}

/// Where the tools and plugins of a language are kept from one run to the next.
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
