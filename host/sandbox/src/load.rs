//! From a file to a plugin that is compiled and can be linked.

pub(crate) mod apart;
pub(crate) mod bounds;
pub(crate) mod cache;
pub(crate) mod circle;
pub(crate) mod compile;
pub(crate) mod compiler;
pub(crate) mod encode;
pub(crate) mod exports;
pub(crate) mod inspection;
pub(crate) mod needs;
pub(crate) mod plugin_engine;
pub(crate) mod problem;
pub(crate) mod programs;
pub(crate) mod scratch;
pub(crate) mod unlinked;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::types;

use crate::directories::places::{self, Kept};
use crate::directories::{Directories, Nested};
use crate::load::apart::{Undone, apart};
use crate::load::plugin_engine::{PluginEngine, PluginFile, temporary_places};
use crate::load::problem::{LoadError, PluginProblem, Told};
use crate::run::program::Program;
use crate::settings::PluginSettings;
use soloist_core::digest::Digest;
use soloist_core::grants::{Grants, NotGranted};

/// How large a plugin's file may be, in bytes.
pub use soloist_core::artefact::MAX_BYTES as MAX_FILE_BYTES;

/// How large the code of a plugin may be, in bytes, with the first content of its memories.
pub(crate) const MAX_CODE_BYTES: usize = 512 << 20;

/// How large a plugin's file may be when it is text, in bytes: reading it takes hundreds of times its size.
pub const MAX_TEXT_BYTES: usize = 4 << 20;

/// How much longer than a compilation a whole load may take. In this time the host ends a compilation that takes too long, says
/// so, and removes what it has left.
const BESIDE_COMPILING: Duration = Duration::from_secs(10);

/// A plugin that does not import this opens no file.
const OPEN: &str = "[method]descriptor.open-at";

/// A plugin that was read, compiled and linked, for one task.
pub(crate) struct Loaded {
    pub(crate) program: Arc<Program>,
    /// Those that its task grants.
    pub(crate) directories: Directories,
    /// The digest of the file.
    pub(crate) digest: Digest,
    /// What looks wrong about the plugin or its grants. It can run all the same.
    pub(crate) warnings: Vec<String>,
}

impl Loaded {
    /// Reads, compiles and links a plugin, and judges its grants: a mistake shows now, before any election.
    pub(crate) fn from_file(
        engines: &PluginEngine,
        path: &Path,
        settings: &PluginSettings,
    ) -> Result<Self, PluginProblem> {
        let directories = open_directories(engines, settings)?;
        let content = read(path)?;
        let digest = pinned(&content, settings.sha256)?;
        let file = PluginFile {
            path,
            content,
            digest,
        };
        let prepared = engines.program(file, &settings.limits, settings.alone)?;
        let program = prepared.program;
        let (engine, ty) = (&program.engine, program.pre.component().component_type());
        NotGranted::check(ty.imports(engine).map(|(name, _)| name), |grant| {
            settings.grants(grant)
        })?;
        let mut warnings: Vec<_> = directories
            .iter()
            .flat_map(|opened| {
                let mounts = &directories.mounts;
                [
                    places::warning(opened, mounts),
                    places::exposed(opened, mounts),
                ]
            })
            .flatten()
            .collect();
        warnings.extend(unused(engine, &ty, &settings.grants));
        Ok(Self {
            program,
            directories,
            digest,
            warnings,
        })
    }
}

/// Loads on a thread of its own, for not much longer than a compilation may take.
pub(crate) fn in_time<T: Send + 'static>(
    path: &Path,
    compile_timeout: Duration,
    load: impl FnOnce() -> Result<T, PluginProblem> + Send + 'static,
) -> Result<T, LoadError> {
    let problem = match apart(compile_timeout.saturating_add(BESIDE_COMPILING), load) {
        Ok(Ok(loaded)) => return Ok(loaded),
        Ok(Err(problem)) => problem,
        Err(Undone::TooSlow) => PluginProblem::TooSlow {
            limit: compile_timeout,
        },
        Err(Undone::Panicked(message)) => PluginProblem::Panicked { message },
        Err(Undone::Threads(source)) => PluginProblem::Threads(Told::of(&source)),
    };
    Err(LoadError {
        path: path.to_owned(),
        problem,
    })
}

/// Opens the granted directories, and judges each by its handle.
fn open_directories(
    engine: &PluginEngine,
    settings: &PluginSettings,
) -> Result<Directories, PluginProblem> {
    let directories = Directories::open(&settings.grants.dirs)
        .map_err(|(path, source)| PluginProblem::Directory { path, source })?;
    let nested = directories.check_nesting(&settings.all_dirs);
    nested.map_err(|Nested { path, writable }| PluginProblem::Nested { path, writable })?;
    let temporary: Vec<_> = temporary_places().collect();
    let caches: Vec<_> = engine.cache_directories().collect();
    let kept = Kept {
        caches: &caches,
        temporary: &temporary,
        configuration: settings.configuration.as_deref(),
        files: &settings.host_files,
    };
    let danger = directories.iter().find_map(|opened| {
        let danger = kept.danger(opened, &directories.mounts)?;
        Some((opened.granted.host.clone(), danger))
    });
    danger.map_or(Ok(directories), |(path, danger)| {
        Err(PluginProblem::Dangerous { path, danger })
    })
}

/// Says what a plugin imports and its task does not grant. The plugin runs all the same: the standard libraries of languages
/// import much that no plugin uses. Variables are left out, because every program asks for them.
fn unused(engine: &Engine, component: &types::Component, grants: &Grants) -> Option<String> {
    let import =
        opens_files(engine, component).filter(|_| grants.dirs.is_empty() && !grants.dirs_said)?;
    Some(format!(
        "it can open files (`{import}`), but its task grants no directory: it will find none. If it is meant to, add to its \
         [task.allow]: dirs = [{{ host = \"/DIRECTORY\", guest = \"/data\" }}] (or dirs = [], if it imports that without any \
         use, as interpreters do; or, for a single plugin, add --allow-dir /DIRECTORY:/data)"
    ))
}

/// The import by which a plugin can open files, if it has one.
fn opens_files(engine: &Engine, component: &types::Component) -> Option<String> {
    let mut opens = component.imports(engine).filter(|(name, item)| {
        let opens = |instance: &types::ComponentInstance| instance.get_export(engine, OPEN).is_some();
        name.starts_with("wasi:filesystem/types@")
            && matches!(&item.ty, types::ComponentItem::ComponentInstance(instance) if opens(instance))
    });
    opens.next().map(|(import, _)| import.to_owned())
}

/// The digest of the bytes, which is the one expected, if one is.
fn pinned(bytes: &[u8], expected: Option<Digest>) -> Result<Digest, PluginProblem> {
    let found = Digest::of(bytes);
    match expected {
        Some(expected) if expected != found => Err(PluginProblem::WrongDigest { expected, found }),
        _ => Ok(found),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PluginProblem> {
    // Opening a pipe would wait for its other end.
    if !path.metadata().map_err(PluginProblem::Read)?.is_file() {
        return Err(PluginProblem::NotAFile);
    }
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(PluginProblem::Read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(PluginProblem::TooLarge);
    }
    Ok(bytes)
}
