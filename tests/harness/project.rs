//! Projects as `soloist new` makes them, built as `soloist build` does: from what this machine has, without a network.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::tools::{componentize_py, node_modules, or_skipped, run};
use crate::{build, host};

/// A project in a folder of its own, which goes with it.
#[derive(Debug)]
pub struct Project {
    _place: TempDir,
    folder: PathBuf,
}

/// What is kept of an example from one run of the tests to the next: what was made, and of what.
const KEPT: [&str; 2] = ["plugin.wasm", ".plugin.wasm.made"];

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

    /// An example of `plugins/` that is no crate, as somebody has it who takes its folder: links are files there.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn example(name: &str) -> Result<Self> {
        let place = TempDir::new()?;
        let folder = place.path().join(name);
        copy(&build::workspace().join("plugins").join(name), &folder)?;
        let kept = kept(name)?;
        for file in KEPT {
            if kept.join(file).exists() {
                fs::copy(kept.join(file), folder.join(file))?;
            }
        }
        Ok(Self {
            folder,
            _place: place,
        })
    }

    /// Keeps what was made, so that the next [`example`](Self::example) of that name is made of it, unless something has
    /// changed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self) -> Result<()> {
        let name = self.folder.file_name().and_then(|name| name.to_str());
        let kept = kept(name.context("the project has no name")?)?;
        for file in KEPT {
            // Nobody finds half of it. clang leaves no record.
            let draft = kept.join(format!("{file}.{}", std::process::id()));
            if self.folder.join(file).exists() {
                fs::copy(self.folder.join(file), &draft)?;
                fs::rename(&draft, kept.join(file))?;
            }
        }
        Ok(())
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

fn kept(name: &str) -> Result<PathBuf> {
    let kept = build::target()?.join("examples-kept").join(name);
    fs::create_dir_all(&kept)?;
    Ok(kept)
}

/// Copies a folder with all in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in from.read_dir()? {
        let (from, to) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Runs `soloist` in a folder to its end, with no network for Cargo.
///
/// # Errors
/// It cannot be started.
pub fn soloist(folder: &Path, args: &[&str]) -> Result<Output> {
    Ok(command(folder)?.args(args).output()?)
}

/// `soloist` in a folder, without arguments, with no network for Cargo.
///
/// # Errors
/// It cannot be built.
pub fn command(folder: &Path) -> Result<Command> {
    let mut command = Command::new(&build::artifacts()?.soloist);
    host::clear_settings(&mut command);
    command
        .env("XDG_CACHE_HOME", build::target()?.join("cache"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(folder)
        .stdin(Stdio::null());
    Ok(command)
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
