//! Makes a project's plugin with the compiler of its language, as its author would.
//!
//! The compiler's errors go to stderr as they are. What is told here is what the compiler does not say: which tool is
//! missing, and which line makes a plugin of a crate that is none.

mod c;
mod ingredients;
mod js;
mod made;
mod messages;
mod python;
mod rust;
mod tool;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A plugin was not made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder cannot be looked at.
    #[error("cannot look into the folder {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// It is not a folder.
    #[error("{} is a file: name the folder of its project; `soloist inspect` says what a file is", .0.display())]
    File(PathBuf),
    /// No compiler knows what to do with it.
    #[error(
        "{} is no project: there is neither a Cargo.toml, nor an app.py or a plugin.js with the contract in wit/, nor a file of C or of \
         WebAssembly text (.wat). `soloist new NAME` makes one",
        .0.display()
    )]
    NoProject(PathBuf),
    /// There are several files of text.
    #[error("{} has more than one .wat file: `soloist inspect FILE` says what each is", .0.display())]
    Several(PathBuf),
    /// Only members of a workspace are projects.
    #[error("{} is a workspace: name the folder of a member, like {}", folder.display(), members.join(" or "))]
    Workspace {
        /// The folder of the workspace.
        folder: PathBuf,
        /// The folders of its members.
        members: Vec<String>,
    },
    /// The crate makes a program.
    #[error(
        "{} makes a program, and a plugin is a library: rename src/main.rs to src/lib.rs, export a type that implements \
         soloist_sdk::Plugin with soloist_sdk::export!, and write into Cargo.toml\n{CDYLIB}",
        .0.display()
    )]
    Program(PathBuf),
    /// The crate makes a library for Rust alone.
    #[error("{} makes no file that a host can load: write into it\n{CDYLIB}", .0.display())]
    NoCdylib(PathBuf),
    /// A tool is not installed.
    #[error("there is no `{tool}` here: {remedy}")]
    NoTool {
        /// Its name.
        tool: &'static str,
        /// What to do.
        remedy: String,
    },
    /// A tool cannot be run.
    #[error("cannot run `{0}`")]
    Run(String, #[source] io::Error),
    /// What was made cannot be put in its place.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// A tool has failed, and has said why.
    #[error("`{command}` has failed{}{}", if advice.is_empty() { "" } else { "\n" }, advice.join("\n"))]
    Failed {
        /// What was run.
        command: String,
        /// What the tool may not have said, a line each.
        advice: Vec<String>,
    },
    /// A tool has said something else than it should.
    #[error("`{0}` says nothing of a plugin that it made: is it of this Rust?")]
    Senseless(&'static str),
}

/// What makes a file of a library.
const CDYLIB: &str = "    [lib]\n    crate-type = [\"cdylib\"]";

impl BuildError {
    /// Whether nothing was begun: the project is wrong, or a tool is not there.
    pub fn is_of_request(&self) -> bool {
        !matches!(
            self,
            Self::Run(..) | Self::Write(..) | Self::Failed { .. } | Self::Senseless(_)
        )
    }
}

/// Makes the plugin of the project in a folder, and returns where it is. `tell` is told of what is done besides building, and if
/// there is nothing to do.
///
/// Blocks for as long as the compiler takes.
///
/// # Errors
/// [`BuildError`] says what to do. What the compiler says of the code, it has said on stderr.
pub fn build(folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, BuildError> {
    let metadata = fs::metadata(folder);
    let metadata = metadata.map_err(|error| BuildError::Folder(folder.to_owned(), error))?;
    if !metadata.is_dir() {
        return Err(BuildError::File(folder.to_owned()));
    }
    if folder.join("Cargo.toml").is_file() {
        return rust::build(folder, tell);
    }
    if folder.join("app.py").is_file() && folder.join("wit").is_dir() {
        return python::build(folder, tell);
    }
    if folder.join("plugin.js").is_file() && folder.join("wit").is_dir() {
        return js::build(folder, tell);
    }
    let sources = files(folder, "c")?;
    if !sources.is_empty() {
        return c::build(folder, &sources, tell);
    }
    match &*files(folder, "wat")? {
        // It is a plugin as it is.
        [text] => Ok(folder.join(text.trim_start_matches("./"))),
        [] => Err(BuildError::NoProject(folder.to_owned())),
        _ => Err(BuildError::Several(folder.to_owned())),
    }
}

/// Whether [`build`] would know what to do in a folder. Files of C count only beside a configuration: they lie in many folders.
pub fn is_project(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    // The folder of a workspace is none: its members are.
    let is_package = || {
        let text = fs::read_to_string(folder.join("Cargo.toml"));
        text.is_ok_and(|text| text.lines().any(|line| line.trim() == "[package]"))
    };
    let is_configured = || has("soloist.toml") || has("soloist.json");
    is_package()
        || has("wit") && (has("app.py") || has("plugin.js"))
        || is_configured() && files(folder, "c").is_ok_and(|sources| !sources.is_empty())
}

/// The files in a folder whose names end so, in order. A name that is no text is nobody's source.
fn files(folder: &Path, extension: &str) -> Result<Vec<String>, BuildError> {
    let failed = |error| BuildError::Folder(folder.to_owned(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|_| path.extension().is_some_and(|it| it == extension)) {
            // No compiler takes it for an option.
            found.push(format!("./{name}"));
        }
    }
    found.sort();
    Ok(found)
}
