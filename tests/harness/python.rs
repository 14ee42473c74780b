//! The tool that makes plugins of Python, installed once below the build directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::build;

/// The package that makes components of Python, and the version that works with the contract.
pub const COMPONENTIZE: &str = "componentize-py==0.25.1";

/// Runs a program in a directory to its end.
///
/// # Errors
/// It fails; with what it said.
pub fn run(program: impl AsRef<Path>, directory: &Path, args: &[&str]) -> Result<()> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{} {args:?}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The tool, or `None` where there is no Python or no registry of packages to have it from.
///
/// # Errors
/// It is not to be had, and `CI` is set: where every change is tested it must not be left out.
pub fn componentize() -> Result<Option<PathBuf>> {
    let target = &build::target()?.join("python");
    std::fs::create_dir_all(target)?;
    // One process installs it, and the others wait.
    let lock = File::create(target.join("install"))?;
    lock.lock()?;
    let venv = target.join("venv");
    let tool = venv.join("bin/componentize-py");
    let is_there = || {
        run(
            venv.join("bin/pip"),
            target,
            &["show", "--quiet", "componentize-py"],
        )
        .is_ok()
    };
    if tool.exists() && is_there() {
        return Ok(Some(tool));
    }
    let made = run(
        "python3",
        target,
        &["-m", "venv", "--clear", &venv.display().to_string()],
    );
    let pip = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        COMPONENTIZE,
    ];
    match made.and_then(|()| run(venv.join("bin/pip"), target, &pip)) {
        Ok(()) => Ok(Some(tool)),
        Err(error) if std::env::var_os("CI").is_some() => Err(error),
        Err(error) => {
            eprintln!("{error:#}");
            Ok(None)
        }
    }
}
