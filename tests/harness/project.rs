//! Projects as `soloist new` makes them, built as `soloist build` does: from what this machine has, without a network.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::tools::{componentize_py, node_modules, or_skipped, run};
use crate::{build, host};

/// A project in a folder that goes with it.
#[derive(Debug)]
pub struct Project {
    _place: TempDir,
    folder: PathBuf,
}

impl Project {
    /// Makes a project with these flags.
    ///
    /// # Errors
    /// `soloist new` says what is wrong.
    pub fn new(name: &str, flags: &[&str]) -> Result<Self> {
        let place = TempDir::new()?;
        let made = soloist(place.path(), &[&["new", name], flags].concat())?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let project = Self {
            folder: place.path().join(name),
            _place: place,
        };
        project.prepare()?;
        Ok(project)
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Builds it, and returns what was printed.
    ///
    /// # Errors
    /// `soloist build` says what is wrong.
    pub fn build(&self) -> Result<String> {
        let built = soloist(&self.folder, &["build"])?;
        ensure!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        Ok(String::from_utf8(built.stdout)?)
    }

    /// The plugin that its configuration names.
    ///
    /// # Errors
    /// There is no such line.
    pub fn plugin(&self) -> Result<PathBuf> {
        let text = fs::read_to_string(self.folder.join("soloist.toml"))?;
        let path = text.lines().find_map(|line| line.strip_prefix("plugin = "));
        let path = path.context("soloist.toml names no plugin")?;
        Ok(self.folder.join(path.trim_matches('"')))
    }

    /// Has the project use the tools of its language that are installed once for all; says whether there are any.
    ///
    /// # Errors
    /// As [`or_skipped`], or they cannot be put into the project.
    pub fn find_tools(&self, lang: &str) -> Result<bool> {
        match lang {
            "python" => {
                let Some(tool) = componentize_py()? else {
                    return Ok(false);
                };
                let bin = self.folder.join("venv/bin");
                fs::create_dir_all(&bin)?;
                symlink(tool, bin.join("componentize-py"))?;
            }
            "js" => {
                let Some(modules) = node_modules(&self.folder)? else {
                    return Ok(false);
                };
                symlink(modules, self.folder.join("node_modules"))?;
            }
            "c" => return Ok(or_skipped(clang(&self.folder), "clang for WASI")?.is_some()),
            _ => {}
        }
        Ok(true)
    }

    /// Lets a crate be built without a network, and what all such crates have in common but once.
    fn prepare(&self) -> Result<()> {
        if !self.folder.join("Cargo.toml").exists() {
            return Ok(());
        }
        // The versions that this workspace has are there.
        fs::copy(
            build::workspace().join("Cargo.lock"),
            self.folder.join("Cargo.lock"),
        )?;
        let target = build::target()?.join("projects");
        fs::create_dir_all(&target)?;
        symlink(target, self.folder.join("target"))?;
        Ok(())
    }
}

/// Runs `soloist` in a folder to its end, with no network for Cargo.
///
/// # Errors
/// It cannot be started.
pub fn soloist(folder: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(&build::artifacts()?.soloist);
    host::clear_settings(&mut command);
    command
        .env("XDG_CACHE_HOME", build::target()?.join("cache"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR");
    Ok(command
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?)
}

/// Makes a plugin of nothing, for which clang needs all that is needed for WASI.
fn clang(folder: &Path) -> Result<()> {
    let reactor = ["--target=wasm32-wasi", "-mexec-model=reactor"];
    let nothing = ["-include", "stdio.h", "-x", "c", "/dev/null"];
    let args = [&reactor[..], &nothing, &["-o", "/dev/null"]].concat();
    run("clang", folder, &args)
}

/// Runs Cargo in a folder to its end, with no network; says what it said if it fails.
///
/// # Errors
/// It fails.
pub fn cargo(folder: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("cargo")
        .args(args)
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "cargo {args:?}: {said}");
    Ok(said)
}
