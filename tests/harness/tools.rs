//! Tools that make plugins of other languages, installed once below the build directory for all tests.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::build;

/// The package that makes components of Python, and the version that works with the contract.
pub const COMPONENTIZE: &str = "componentize-py==0.25.1";

/// Runs a program in a directory to its end.
///
/// # Errors
/// It fails; with what it said.
pub fn run(program: impl AsRef<OsStr>, directory: &Path, args: &[impl AsRef<OsStr>]) -> Result<()> {
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

/// What is there, or `None` where it is not to be had, which is said.
///
/// # Errors
/// It is not to be had, and `CI` is set: where every change is tested it must not be left out.
pub fn or_skipped<T>(tool: Result<T>, what: &str) -> Result<Option<T>> {
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

/// componentize-py, or `None` where there is no Python or no registry of packages to have it from.
///
/// # Errors
/// As [`or_skipped`].
pub fn componentize_py() -> Result<Option<PathBuf>> {
    let tool = installed("python", |place| {
        let venv = place.join("venv");
        let (tool, pip) = (venv.join("bin/componentize-py"), venv.join("bin/pip"));
        let is_there = || run(&pip, place, &["show", "--quiet", "componentize-py"]).is_ok();
        if !tool.exists() || !is_there() {
            let venv = venv.display().to_string();
            run("python3", place, &["-m", "venv", "--clear", &venv])?;
            let quiet = ["install", "--quiet", "--disable-pip-version-check"];
            run(&pip, place, &[&quiet[..], &[COMPONENTIZE]].concat())?;
        }
        Ok(tool)
    });
    or_skipped(tool, "componentize-py, by pip,")
}

/// The directory with the programs of these packages of Python, each with its version (`NAME==VERSION`), or `None` where there is no
/// Python or no registry of packages to have them from.
///
/// # Errors
/// As [`or_skipped`].
pub fn python(name: &str, packages: &[&str]) -> Result<Option<PathBuf>> {
    let tools = installed(name, |place| {
        let (venv, list) = (place.join("venv"), place.join("installed"));
        let wanted = packages.join("\n");
        if !fs::read_to_string(&list).is_ok_and(|it| it == wanted) {
            let venv = venv.display().to_string();
            run("python3", place, &["-m", "venv", "--clear", &venv])?;
            let quiet = ["install", "--quiet", "--disable-pip-version-check"];
            let pip = place.join("venv/bin/pip");
            run(&pip, place, &[&quiet[..], packages].concat())?;
            fs::write(&list, &wanted)?;
        }
        Ok(venv.join("bin"))
    });
    or_skipped(tools, &format!("{}, by pip,", packages.join(" and ")))
}

/// The `node_modules` with what a project's `package.json` needs, or `None` where there is no npm or no registry.
///
/// # Errors
/// As [`or_skipped`], or there is no such file.
pub fn node_modules(project: &Path) -> Result<Option<PathBuf>> {
    let manifest = fs::read(project.join("package.json"))?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let needs = json!({ "private": true, "devDependencies": manifest["devDependencies"] });
    let needs = needs.to_string();
    let modules = installed("javascript", |place| {
        let (installed, modules) = (place.join("package.json"), place.join("node_modules"));
        let is_there = fs::read_to_string(&installed).is_ok_and(|it| it == needs);
        if !is_there || !modules.join(".bin").exists() {
            fs::write(&installed, &needs)?;
            run("npm", place, &["install", "--no-audit", "--no-fund"])?;
        }
        Ok(modules)
    });
    or_skipped(modules, "componentize-qjs, by npm,")
}

/// Installs something in a place of its own. One process does so, and the others wait.
fn installed(name: &str, install: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<PathBuf> {
    let place = build::target()?.join("tools").join(name);
    fs::create_dir_all(&place)?;
    let lock = File::create(place.join("lock"))?;
    lock.lock()?;
    install(&place)
}
