//! `soloist build`: a project's plugin, made by the compiler of its language.

use std::env;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use soloist_dev::build::build;

use super::Failure;
use super::inspect::{Plugin, engine};
use super::output::{print, print_error, tell_on_stderr};

/// Build the plugin of a project, and say what was made
///
/// A folder with a Cargo.toml is built by Cargo, for wasm32-wasip2, which is added to the toolchain if it is not there. A
/// folder with the contract in wit/ is built by componentize-py, if it has an app.py, or by componentize-qjs, if it has a
/// plugin.js; they run only if a source, the tool or one of its packages has changed. A folder with files of C is built by
/// clang. One file of WebAssembly text (.wat) is a plugin already. What is wrong with the code the compiler says itself.
#[derive(Debug, clap::Args)]
pub(super) struct Build {
    /// Folder of the project
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

impl Build {
    pub(super) fn execute(self, _: &ArgMatches) -> Result<(), Failure> {
        tell_on_stderr("build").map_err(Failure::RunTime)?;
        let made = make(&self.folder)?;
        // As somebody who is here would type it.
        let here = env::current_dir().unwrap_or_default();
        let file = made.strip_prefix(&here).unwrap_or(&made);
        print(&Plugin::inspect(&engine()?, file, None)?.brief()).map(drop)
    }
}

/// Makes the plugin of the project in a folder, and returns where it is.
pub(super) fn make(folder: &Path) -> Result<PathBuf, Failure> {
    build(folder, &mut print_error).map_err(|error| {
        if error.is_of_request() {
            Failure::Invalid(error.into())
        } else {
            Failure::RunTime(error.into())
        }
    })
}
