//! A project in Python: componentize-py makes one file of the interpreter, `app.py` and what that imports.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use soloist_core::digest::Digest;

use super::BuildError;
use super::ingredients::Ingredients;
use super::made::replace;
use super::tool::Tool;

const TOOL: &str = "componentize-py";

const REMEDY: &str = "in the folder of the project, run `python3 -m venv venv && venv/bin/pip install \
                      componentize-py==0.25.1`, or put it on the PATH";

/// What it is run with, but for the name of the file that it makes.
const ARGS: [&str; 7] = ["-d", "wit", "-w", "plugin", "componentize", "app", "-o"];

/// Prints where Python finds packages. componentize-py asks the same where no environment is active.
const SITES: &str =
    "import site; print('\\0'.join(site.getsitepackages() + [site.getusersitepackages()]), end='')";

pub(super) fn build(folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, BuildError> {
    let made_of = |folder: &Path| made_of(folder).ok();
    replace(folder, made_of, tell, |folder, draft| {
        let args = [&ARGS[..], &[draft]].concat();
        let program = own(folder).map_or_else(|| TOOL.into(), PathBuf::into_os_string);
        Tool::at(&program, TOOL, REMEDY).run(&args, folder)
    })
}

/// The tool of the project, rather than the one on the PATH.
fn own(folder: &Path) -> Option<PathBuf> {
    let own = ["venv", ".venv"].map(|venv| folder.join(venv).join("bin").join(TOOL));
    own.into_iter().find(|path| path.is_file())
}

/// All that decides what is made: the sources, the tool with its packages, and the packages that it lets `app.py` import.
fn made_of(folder: &Path) -> io::Result<Digest> {
    let unknown = || io::Error::other("nobody knows where the packages are");
    let search = env::var_os("PATH").unwrap_or_default();
    let mut on_path = env::split_paths(&search);
    if on_path.any(|place| place.join("pipenv").is_file()) {
        // It has ways of its own.
        return Err(unknown());
    }
    let mut on_path = env::split_paths(&search).map(|place| place.join(TOOL));
    let tool = own(folder).or_else(|| on_path.find(|path| path.is_file()));
    let tool = fs::canonicalize(tool.ok_or_else(unknown)?)?;
    let mut sites = sites(tool.parent().and_then(Path::parent).ok_or_else(unknown)?);
    if sites.is_empty() {
        return Err(unknown());
    }
    match env::var_os("VIRTUAL_ENV") {
        Some(active) => sites.extend(self::sites(Path::new(&active))),
        None => sites.extend(packages_of_python(folder)),
    }
    let mut ingredients = Ingredients::of(&[&[TOOL], &ARGS[..]].concat());
    ingredients.add_sources(folder)?;
    ingredients.add_file(&tool)?;
    for site in sites.iter().filter(|site| site.exists()) {
        ingredients.add_packages(site)?;
    }
    Ok(ingredients.digest())
}

/// Where an environment, or a system, keeps its packages.
fn sites(place: &Path) -> Vec<PathBuf> {
    let pythons = fs::read_dir(place.join("lib")).into_iter().flatten();
    let mut sites: Vec<_> = pythons
        .flatten()
        .flat_map(|python| ["site-packages", "dist-packages"].map(|it| python.path().join(it)))
        .filter(|site| site.is_dir())
        .collect();
    sites.sort();
    sites
}

/// Where the Python on the PATH finds packages; nowhere, if there is none.
fn packages_of_python(folder: &Path) -> Vec<PathBuf> {
    let python = Tool::new("python3", REMEDY);
    let sites = python.output(&["-c", SITES], folder, Stdio::null());
    let sites = sites.unwrap_or_default();
    let paths = sites.split(|byte| *byte == 0).filter(|it| !it.is_empty());
    paths.map(|path| OsStr::from_bytes(path).into()).collect()
}
