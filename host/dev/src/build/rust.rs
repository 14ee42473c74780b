//! A project in Rust, built by Cargo.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::BuildError;
use super::messages::{Shape, made, native, package};
use super::tool::Tool;

/// What plugins are compiled for.
const TARGET: &str = "wasm32-wasip2";

const RUST: &str = "install Rust from https://rustup.rs";

const RUSTUP: &str = "this Rust was not installed by it, so add the target wasm32-wasip2 in its own way, or take Rust from \
                      https://rustup.rs";

pub(super) fn build(folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, BuildError> {
    // Cargo's paths are absolute.
    let folder =
        fs::canonicalize(folder).map_err(|error| BuildError::Folder(folder.to_owned(), error))?;
    let manifest = folder.join("Cargo.toml");
    let metadata = metadata(&folder, &["--no-deps"], Stdio::inherit())?;
    let package = package(&metadata, &manifest).map_err(|members| BuildError::Workspace {
        folder: folder.clone(),
        members,
    })?;
    match package.shape {
        Shape::Cdylib => {}
        Shape::Library => return Err(BuildError::NoCdylib(manifest)),
        Shape::Program => return Err(BuildError::Program(manifest)),
    }
    ensure_target(&folder, tell)?;
    compile(&folder, &package.id)
}

/// Has Cargo compile the library, and finds out where it is.
fn compile(folder: &Path, package: &str) -> Result<PathBuf, BuildError> {
    let args = [
        "build",
        "--release",
        "--lib",
        "--target",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ];
    let cargo = Tool::new("cargo", RUST);
    let mut child = cargo.start(&args, folder)?;
    let mut file = None;
    let lines = child
        .stdout
        .take()
        .map(BufReader::new)
        .into_iter()
        .flat_map(BufReader::lines);
    for line in lines.map_while(Result::ok) {
        if let Ok(message) = serde_json::from_str::<Value>(&line) {
            file = made(&message, package).or(file);
        }
    }
    let status = child
        .wait()
        .map_err(|error| BuildError::Run("cargo".into(), error))?;
    if !status.success() {
        let filter = ["--offline", "--filter-platform", TARGET];
        let whole = metadata(folder, &filter, Stdio::null()).unwrap_or_default();
        return Err(BuildError::Failed {
            command: format!("cargo build --release --target {TARGET}"),
            advice: native(&whole),
        });
    }
    file.ok_or(BuildError::Senseless("cargo build"))
}

/// Adds the target to the toolchain of the folder, if it is not there.
fn ensure_target(folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<(), BuildError> {
    let args = ["--print", "target-libdir", "--target", TARGET];
    let libraries = Tool::new("rustc", RUST).output(&args, folder, Stdio::inherit())?;
    let libraries = String::from_utf8_lossy(&libraries).trim().to_owned();
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    let args = ["target", "add", TARGET];
    tell(&format!(
        "this Rust has no target {TARGET}: adding it, with `rustup {}`",
        args.join(" ")
    ));
    Tool::new("rustup", RUSTUP).run(&args, folder)
}

fn metadata(folder: &Path, more: &[&str], errors: Stdio) -> Result<Value, BuildError> {
    let args = [&["metadata", "--format-version", "1"], more].concat();
    let said = Tool::new("cargo", RUST).output(&args, folder, errors)?;
    serde_json::from_slice(&said).map_err(|_| BuildError::Senseless("cargo metadata"))
}
