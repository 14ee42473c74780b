//! From a file to a plugin that is ready to run.

pub(crate) mod apart;
pub(crate) mod bounds;
pub(crate) mod cache;
pub(crate) mod circle;
pub(crate) mod compile;
pub(crate) mod compiler;
pub(crate) mod encode;
pub(crate) mod exports;
pub(crate) mod features;
pub(crate) mod needs;
pub(crate) mod scratch;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::types;

use crate::directories::places::{self, Danger, Kept};
use crate::directories::{Directories, Nested};
use crate::engine::temporary_places;
use crate::imports::writes::Writes;
use crate::load::apart::{Undone, apart};
use crate::load::bounds::{Excess, Refused};
use crate::load::compile::{MAX_CODE_BYTES, Told};
use crate::log::LogVolume;
use crate::run::linker::linker;
use crate::settings::PluginSettings;
use crate::{Plugin, PluginEngine};
use soloist_core::digest::Digest;
use soloist_core::grants::{Grants, NotGranted};
use soloist_core::limits::LimitReached;

/// How large a plugin's file may be, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// How large a plugin's file may be when it is text, in bytes: reading it takes hundreds of times its size.
pub const MAX_TEXT_BYTES: usize = 4 << 20;

/// How much longer than a compilation a whole load may take: so a compilation that takes too long is ended as such, and
/// what it has left is removed.
const BESIDE_COMPILING: Duration = Duration::from_secs(10);

/// Without this nobody opens a file.
const OPEN: &str = "[method]descriptor.open-at";

/// A plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the plugin {}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: PluginProblem,
}

/// What is wrong with a plugin's file. What its compiler finds passes from one process to another; the rest does not.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum PluginProblem {
    /// The file cannot be opened or read.
    #[error("cannot read the file")]
    #[serde(skip)]
    Read(#[source] io::Error),
    /// It is a directory or a device.
    #[error("it is not a file")]
    #[serde(skip)]
    NotAFile,
    /// It is too large to be a plugin.
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    #[serde(skip)]
    TooLarge,
    /// It is not the file that was meant.
    #[error(
        "its sha256 is {found}, but it is pinned to {expected}: the file has changed, or is not the one that was meant"
    )]
    #[serde(skip)]
    WrongDigest {
        /// What the settings say.
        expected: Digest,
        /// What the file has.
        found: Digest,
    },
    /// It is text, and too large for that.
    #[error(
        "it is text of more than {MAX_TEXT_BYTES} bytes: make it a binary, like `wasm-tools parse` does"
    )]
    TextTooLarge,
    /// It asks more of the compiler than it may.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// It could not be compiled in time.
    #[error(
        "it could not be compiled within {limit:?}: if it may take that long, raise `limits.compile_timeout`"
    )]
    #[serde(skip)]
    TooSlow {
        /// The time it had.
        limit: Duration,
    },
    /// Something panicked over it: a bug, though not one of the plugin.
    #[error("the compiler, or what makes it ready for it, panicked: {message}")]
    Panicked {
        /// What was said.
        message: String,
    },
    /// There are no threads to compile it.
    #[error(
        "cannot start threads to compile it: raise the limit of processes and threads (`ulimit -u`, a service's TasksMax), or \
         `limits.compile_memory`"
    )]
    Threads(#[source] Told),
    /// The process that compiles cannot be started, or spoken to.
    #[error("cannot start the process that compiles it{}", advice(.0))]
    #[serde(skip)]
    Compiler(#[source] io::Error),
    /// That process could not give up what it does not need.
    #[error("the process that compiles it cannot confine itself")]
    Confine(#[source] Told),
    /// That process has ended before it was done.
    #[error(
        "the process that compiles it has ended ({status}), and said: {said}. It may have {memory} bytes: if it may take \
         more, raise `limits.compile_memory`"
    )]
    #[serde(skip)]
    Crashed {
        /// How it has ended.
        status: String,
        /// The first that it said of that.
        said: String,
        /// How much it could have, in bytes.
        memory: u64,
    },
    /// That process said something that makes no sense, and was ended: a bug.
    #[error(
        "what the process that compiles it says of it makes no sense, so it was ended; it also said: {said}"
    )]
    #[serde(skip)]
    Senseless {
        /// The first that it said besides.
        said: String,
    },
    /// There is no directory to compile it in.
    #[error(
        "there is no directory to compile it in: set XDG_CACHE_HOME or TMPDIR to one that can be written to"
    )]
    #[serde(skip)]
    Scratch(#[source] io::Error),
    /// The compiler cannot write what it has made.
    #[error("what was compiled cannot be written")]
    Write(#[source] Told),
    /// What was compiled is too large.
    #[error(
        "what the compiler makes of it is larger than {MAX_CODE_BYTES} bytes, or than a file may be (`ulimit -f`)"
    )]
    CodeTooLarge,
    /// What was compiled is not where it should be, or damaged, or too large for what memory is left.
    #[error(
        "what was compiled for it was not found again, or cannot be loaded: is there enough address space (`ulimit -v`)?"
    )]
    #[serde(skip)]
    NotFound,
    /// It cannot have an engine on this machine.
    #[error("this machine cannot run it")]
    #[serde(skip)]
    Engine(#[source] wasmtime::Error),
    /// It is neither binary WebAssembly nor its text form.
    #[error(
        "it is not WebAssembly: neither a component, nor a core module, nor the text form (.wat) of one"
    )]
    NotWasm,
    /// It is WebAssembly text with a mistake.
    #[error("the WebAssembly text has a mistake")]
    Text(#[source] Told),
    /// It begins like WebAssembly, but is cut short or broken, or is more than a plugin may use of it.
    #[error("the WebAssembly is cut short or broken, or uses what this host does not offer")]
    Malformed(#[source] Told),
    /// One of the two functions is not there.
    #[error("it does not export `{export}`: a plugin exports both on_elected and on_demoted")]
    MissingExport {
        /// The function's name, as a component or a bare module spells it.
        export: Cow<'static, str>,
    },
    /// It is made to run from its beginning to its end.
    #[error(
        "it exports `_start`, so it is a program of its own: a plugin is a library (a reactor, as with clang \
         -mexec-model=reactor) that exports both on_elected and on_demoted"
    )]
    Program,
    /// One of the two functions has a type that the contract does not allow.
    #[error("its export `{export}` has the wrong type: expected {expected}, found {found}")]
    WrongExport {
        /// The function's name, as a component or a bare module spells it.
        export: Cow<'static, str>,
        /// The type that it should have.
        expected: Cow<'static, str>,
        /// The type that it has.
        found: String,
    },
    /// A bare module imports something that is not WASI preview 1.
    #[error(
        "it imports `{import}`, which nobody offers: a bare module can import wasi_snapshot_preview1 alone"
    )]
    UnknownImport {
        /// The import, as `module.name`.
        import: String,
    },
    /// A directory that the task grants is not there.
    #[error("the granted directory {} cannot be used", path.display())]
    #[serde(skip)]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory that no plugin may write to.
    #[error("the granted directory {} must not be written to by a plugin: {danger}", path.display())]
    #[serde(skip)]
    Dangerous {
        /// The directory.
        path: PathBuf,
        /// Why not.
        danger: Danger,
    },
    /// A plugin decides where the path to a directory leads.
    #[error(
        "the path of the granted directory {} leads through {}, which a plugin of this host is granted to write: that plugin \
         could make it lead anywhere. Grant a directory that does not lie in another one, or take `write` from the outer one",
        path.display(),
        writable.display()
    )]
    #[serde(skip)]
    Nested {
        /// The directory.
        path: PathBuf,
        /// The directory that is granted to write, to this plugin or to another.
        writable: PathBuf,
    },
    /// A component imports something that its task does not grant.
    #[error(transparent)]
    #[serde(skip)]
    NotGranted(#[from] NotGranted),
    /// A component imports something that the host does not have, or not with that type.
    #[error("it imports something that this host does not offer")]
    #[serde(skip)]
    Link(#[source] wasmtime::Error),
    /// It would make more instances, memories or tables than it may.
    #[error("it cannot run within its limits")]
    Limit(#[source] LimitReached),
    /// A module cannot be made a component.
    #[error("the module cannot be made a component")]
    Encode(#[source] Told),
    /// The compiler refuses it.
    #[error("it cannot be compiled")]
    Compile(#[source] Told),
    /// The host's own imports cannot be set up: a bug.
    #[error("the host cannot offer its imports")]
    #[serde(skip)]
    Imports(#[source] wasmtime::Error),
}

impl Plugin {
    /// Reads, compiles and links a plugin: a component, a core module, or the text form of either.
    ///
    /// Blocks for as long as compilation takes, up to many seconds for a large plugin, and at most for some
    /// seconds more than [`compile_timeout`](crate::Limits::compile_timeout); a compiled one is kept for next time.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file.
    pub fn load(
        engine: &Arc<PluginEngine>,
        path: &Path,
        settings: PluginSettings,
    ) -> Result<Self, LoadError> {
        let limit = settings.limits.compile_timeout;
        let load = {
            let (engine, path) = (Arc::clone(engine), path.to_owned());
            move || {
                // Looked at now so that a mistake is heard of before any election.
                let directories = open_directories(&engine, &settings)?;
                let bytes = read(&path)?;
                let digest = pinned(&bytes, settings.sha256)?;
                Self::link(&engine, &path, bytes, digest, settings, directories)
            }
        };
        let problem = match apart(limit.saturating_add(BESIDE_COMPILING), load) {
            Ok(Ok(plugin)) => return Ok(plugin),
            Ok(Err(problem)) => problem,
            Err(Undone::TooSlow) => PluginProblem::TooSlow { limit },
            Err(Undone::Panicked(message)) => PluginProblem::Panicked { message },
            Err(Undone::Threads(source)) => PluginProblem::Threads(Told::of(&source)),
        };
        Err(LoadError {
            path: path.to_owned(),
            problem,
        })
    }

    fn link(
        shared: &Arc<PluginEngine>,
        path: &Path,
        file: Vec<u8>,
        digest: Digest,
        settings: PluginSettings,
        directories: Directories,
    ) -> Result<Self, PluginProblem> {
        let obtained = shared.obtain(path, file, digest, &settings.limits)?;
        let (engine, component) = shared.engine(&obtained, &settings.limits)?;
        let exports = exports::find(&engine, &component)?;
        let ty = component.component_type();
        NotGranted::check(ty.imports(&engine).map(|(name, _)| name), |grant| {
            settings.grants(grant)
        })?;
        let linked = linker(&engine)
            .map_err(PluginProblem::Imports)?
            .instantiate_pre(&component)
            .map_err(PluginProblem::Link)?;
        let writes = Writes::new(&settings.limits, Arc::clone(&settings.host_writes));
        let log_volume = LogVolume::new(&settings.limits);
        let mut warnings: Vec<_> = directories.iter().filter_map(places::warning).collect();
        warnings.extend(unused(&engine, &ty, &settings.grants));
        let (shared, settings) = (Arc::clone(shared), Arc::new(settings));
        Ok(Self {
            shared,
            engine,
            digest,
            linked,
            exports,
            settings,
            directories,
            writes,
            log_volume,
            warnings,
        })
    }
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
    let (cache, configuration) = (engine.cache_directory(), settings.configuration.as_deref());
    let kept = Kept {
        cache,
        temporary: &temporary,
        configuration,
    };
    let danger = directories
        .iter()
        .find_map(|opened| Some((opened.granted.host.clone(), kept.danger(opened)?)));
    danger.map_or(Ok(directories), |(path, danger)| {
        Err(PluginProblem::Dangerous { path, danger })
    })
}

/// What a plugin can do that its task grants it no place for. It runs all the same: it may do without, and much that
/// languages' libraries import is never used. Variables are not told of: every program asks for them.
fn unused(engine: &Engine, component: &types::Component, grants: &Grants) -> Option<String> {
    let mut opens = component.imports(engine).filter(|(name, item)| {
        let opens = |instance: &types::ComponentInstance| instance.get_export(engine, OPEN).is_some();
        name.starts_with("wasi:filesystem/types@")
            && matches!(&item.ty, types::ComponentItem::ComponentInstance(instance) if opens(instance))
    });
    let (import, _) = opens
        .next()
        .filter(|_| grants.dirs.is_empty() && !grants.dirs_said)?;
    Some(format!(
        "it can open files (`{import}`), but its task grants no directory: it will find none. If it is meant to, add to its \
         [task.allow]: dirs = [{{ host = \"/DIRECTORY\", guest = \"/data\" }}] (or dirs = [], if it imports that without any \
         use, as interpreters do; or, for a single plugin, add --allow-dir /DIRECTORY:/data)"
    ))
}

impl From<Refused> for PluginProblem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(error) => Self::Malformed(Told::of(&error)),
            Refused::Excess(excess) => Self::Excess(excess),
        }
    }
}

/// What to do when a process that compiles cannot be started.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (this program, which it finds in /proc: mount that)",
        io::ErrorKind::WouldBlock => {
            " (raise the limit of processes and threads: `ulimit -u`, a service's TasksMax)"
        }
        _ => "",
    }
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
