//! Every source file belongs to a program or a library. Cargo builds without one that nobody declares, and its tests do not
//! run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Where a crate or a program begins.
const ROOTS: [&str; 3] = ["main.rs", "lib.rs", "mod.rs"];

#[test]
fn every_source_file_is_declared_by_the_one_above_it() -> Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for directory in ["host", "guest-sdk", "plugins", "tests"] {
        collect(&repository.join(directory), &mut files)?;
    }
    ensure!(files.len() > 300, "where are the sources? Found {files:?}");
    let mut lost = Vec::new();
    for file in &files {
        if !is_root(file) && !is_declared(file)? {
            lost.push(file.strip_prefix(&repository)?.display().to_string());
        }
    }
    ensure!(lost.is_empty(), "nobody declares these files: {lost:#?}");
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().display().to_string();
        if path.is_dir() && !["target", "templates"].contains(&&*name) {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether Cargo itself finds the file: the root of a crate or of a program, or a test, an example or a program of its own.
fn is_root(file: &Path) -> bool {
    let parent = file.parent().unwrap_or(Path::new(""));
    let is_in = |names: &[&str]| names.iter().any(|name| parent.ends_with(name));
    let has_manifest = parent
        .parent()
        .is_some_and(|above| above.join("Cargo.toml").is_file());
    file.file_name()
        .is_some_and(|name| ROOTS.iter().any(|root| *root == name))
        || has_manifest && is_in(&["tests", "examples", "benches"])
        || is_in(&["src/bin"])
}

fn is_declared(file: &Path) -> Result<bool> {
    let name = file.file_stem().unwrap_or_default().display().to_string();
    let parent = file.parent().context("a file lies in a directory")?;
    let beside = ROOTS.iter().map(|root| parent.join(root));
    let above = parent.with_extension("rs");
    for owner in beside.chain([above]) {
        if owner != file && owner.is_file() && declares(&fs::read_to_string(&owner)?, &name) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a source declares a module of this name that lies in a file of its own.
fn declares(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        let declared = line.trim().strip_suffix(';');
        let module = declared.and_then(|line| line.split("mod ").nth(1));
        module == Some(name) && !line.trim_start().starts_with("//")
    })
}

#[test]
fn a_declaration_is_told_from_what_looks_like_one() {
    for source in [
        "mod a;",
        "pub mod a;",
        "    pub(crate) mod a;",
        "x\nmod a;\n",
    ] {
        assert!(declares(source, "a"), "{source}");
    }
    for source in ["// mod a;", "mod ab;", "mod a {", "use a;"] {
        assert!(!declares(source, "a"), "{source}");
    }
}
