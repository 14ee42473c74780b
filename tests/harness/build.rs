//! The program and the guests under test, built from the sources as they are now.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// Where the crates of plugins and of the tests' guests lie, each in a folder that has its name.
const GUESTS: [&str; 2] = ["plugins", "tests/guests"];

/// Where the built things are.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The program `soloist`.
    pub soloist: PathBuf,
    programs: PathBuf,
    guests: PathBuf,
}

impl Artifacts {
    /// A program of this crate that stands beside `soloist`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The plugin built from the crate of that name.
    pub fn guest(&self, name: &str) -> PathBuf {
        self.guests
            .join(name.replace('-', "_"))
            .with_extension("wasm")
    }
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is a member of the workspace")
}

/// Builds what is not up to date, once for each process, with the profile that this very program was built with.
pub fn artifacts() -> Result<&'static Artifacts> {
    static BUILT: OnceLock<Result<Artifacts, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built
        .as_ref()
        .map_err(|error| anyhow!("cannot build what is to be tested: {error}"))
}

/// Where this very program and its like were built.
fn programs() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let programs = program.parent().map(|directory| match directory.parent() {
        // Where Cargo puts tests.
        Some(parent) if directory.ends_with("deps") => parent,
        _ => directory,
    });
    Ok(programs.context("this program is nowhere")?.to_owned())
}

/// Where everything is built: what is put there outlives a run of the tests.
///
/// # Errors
/// When this program is not where Cargo puts programs.
pub fn target() -> Result<PathBuf> {
    Ok(programs()?
        .parent()
        .context("the build directory has no parent")?
        .to_owned())
}

/// The names of all guests, in order.
fn guests() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in GUESTS {
        for entry in workspace().join(folder).read_dir()? {
            let path = entry?.path();
            if let Some(name) = path
                .file_name()
                .filter(|_| path.join("Cargo.toml").is_file())
            {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

fn build() -> Result<Artifacts> {
    let (programs, target) = (programs()?, target()?);
    let profile = match programs.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => anyhow::bail!("the build directory {} has no name", programs.display()),
    };
    cargo(
        &[
            "--profile",
            profile,
            "--bin",
            "soloist",
            "--bin",
            "contender",
        ],
        &target,
    )?;
    let guests = guests()?;
    let packages = guests.iter().flat_map(|package| ["--package", package]);
    let args: Vec<&str> = ["--release", "--target", "wasm32-wasip2"]
        .into_iter()
        .chain(packages)
        .collect();
    cargo(&args, &target)?;
    let guests = target.join("wasm32-wasip2/release");
    Ok(Artifacts {
        soloist: programs.join("soloist"),
        programs,
        guests,
    })
}

fn cargo(args: &[&str], target: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet"])
        .args(args)
        .arg("--target-dir")
        .arg(target);
    // Cargo tells tests which package they belong to. Build scripts that look at that (ring's does) would run again, and
    // all that depends on them be built again, in turns with what builds the tests.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text == "CARGO_CRATE_NAME"
        {
            command.env_remove(&name);
        }
    }
    let output = command
        .current_dir(workspace())
        .stdin(Stdio::null())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "`cargo build {}`:\n{}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
