//! What the plugins of a host have in common: how they are compiled, where that is kept, and what interrupts them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use wasmtime::component::Component;
use wasmtime::{Cache, Engine};

use crate::bounded::describe;
use crate::engine;
use crate::engine::ticker::Ticker;
use crate::load::cache::{self, CacheError, Kept, Key, SealedCache, check_parent};
use crate::load::compile::{CODE, COMPONENT};
use crate::load::compiler::Compiler;
use crate::load::exports;
use crate::load::needs::Needs;
use crate::load::problem::{PluginProblem, Told};
use crate::load::programs::{Prepared, ProgramKey, Programs};
use crate::load::scratch::Scratch;
use crate::load::unlinked;
use crate::run::linker::linker;
use crate::run::program::Program;
use soloist_core::digest::Digest;
use soloist_core::directories::user_cache;
use soloist_core::limits::Limits;

/// Where plugins are compiled if there is no better place.
const SHARED_DIRECTORIES: [&str; 2] = ["/tmp", "/dev/shm"];

/// The engine could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses this machine or its own settings.
    #[error("the WebAssembly engine does not work on this machine")]
    Engine(#[source] wasmtime::Error),
    /// The thread that interrupts guests could not be started.
    #[error("cannot start the thread that interrupts plugins")]
    Ticker(#[source] std::io::Error),
}

/// What the plugins of a host have in common: how they are compiled, where that is kept, and the tick that interrupts them.
/// Tasks that run the same file share its code.
pub struct PluginEngine {
    /// An engine like those that plugins run in. The cache goes by its settings.
    pattern: Engine,
    compiler: Compiler,
    cache: Option<SealedCache>,
    cache_directory: Option<PathBuf>,
    ticker: Arc<Ticker>,
    programs: Programs,
}

/// A plugin's file, as it was read.
pub(crate) struct PluginFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) content: Vec<u8>,
    pub(crate) digest: Digest,
}

/// A plugin that is compiled, and where an engine finds its code.
struct Obtained {
    needs: Needs,
    component: Vec<u8>,
    cache: Cache,
    /// Where the code lies, if it is not kept.
    _scratch: Option<Scratch>,
}

impl PluginEngine {
    /// Sets up what plugins run with. Compiled plugins are kept in the user's cache directory.
    ///
    /// Without a directory that is safe from other users, plugins are compiled anew at every start.
    ///
    /// # Errors
    /// [`EngineError`] when the machine cannot run WebAssembly at all.
    pub fn new(compiler: Compiler) -> Result<Self, EngineError> {
        let directory = user_cache();
        if directory.is_none() {
            tracing::debug!(
                "compiled plugins are not kept: neither XDG_CACHE_HOME nor HOME is set"
            );
        }
        Self::with_cache(compiler, directory.as_deref())
    }

    /// As [`PluginEngine::new`], but compiled plugins are kept in `directory`, which is made if it is not there. With `None`
    /// they are not kept.
    ///
    /// # Errors
    /// As [`PluginEngine::new`].
    pub fn with_cache(compiler: Compiler, directory: Option<&Path>) -> Result<Self, EngineError> {
        let pattern = Engine::new(&engine::config()).map_err(EngineError::Engine)?;
        let cache =
            directory.and_then(|directory| SealedCache::open(directory).inspect_err(not_kept).ok());
        let ticker = Arc::new(Ticker::start().map_err(EngineError::Ticker)?);
        let cache_directory = directory.map(Path::to_owned);
        Ok(Self {
            pattern,
            compiler,
            cache,
            cache_directory,
            ticker,
            programs: Programs::default(),
        })
    }

    /// Where compiled plugins are kept, now or at another start, if anywhere: as the path was given, and where it led.
    pub(crate) fn cache_directories(&self) -> impl Iterator<Item = &Path> {
        let opened = self.cache.iter().map(SealedCache::directory);
        self.cache_directory.as_deref().into_iter().chain(opened)
    }

    /// What a file makes, for tasks with these limits: compiled and linked now, unless a plugin of the same file is there
    /// already, with as much stack. If it is to be `alone`, it is not shared with any.
    pub(crate) fn program(
        &self,
        file: PluginFile<'_>,
        limits: &Limits,
        alone: bool,
    ) -> Result<Prepared, PluginProblem> {
        let key = ProgramKey::new(file.digest, limits);
        let make = || {
            let obtained = self.obtain(file, limits)?;
            let program = self.link(&obtained, limits)?;
            Ok(Prepared {
                program: Arc::new(program),
                needs: obtained.needs,
            })
        };
        let prepared = if alone {
            make()
        } else {
            self.programs.shared(key, make)
        }?;
        // The one that it is shared with may have other limits.
        prepared.needs.check(limits).map_err(PluginProblem::Limit)?;
        Ok(prepared)
    }

    /// Finds what a file was compiled to before, or has it compiled.
    fn obtain(&self, file: PluginFile<'_>, limits: &Limits) -> Result<Obtained, PluginProblem> {
        let PluginFile {
            path,
            content: file,
            digest,
        } = file;
        let key = Key::of(digest, &self.pattern);
        let mut cache = self.cache.as_ref();
        match cache.map_or(Ok(None), |cache| {
            Ok(cache.find(key)?.map(|kept| (cache.wasmtime(), kept)))
        }) {
            Ok(Some((cache, Kept { made, component }))) => {
                made.needs.check(limits).map_err(PluginProblem::Limit)?;
                return Ok(Obtained {
                    needs: made.needs,
                    component: component.unwrap_or(file),
                    cache,
                    _scratch: None,
                });
            }
            Ok(None) => {}
            Err(error) => {
                not_kept(&error);
                cache = None;
            }
        }
        let in_cache = cache.and_then(|cache| cache.scratch().inspect_err(not_kept).ok());
        if in_cache.is_none() {
            cache = None;
        }
        let scratch = in_cache
            .map_or_else(|| elsewhere(temporary_places()), Ok)
            .map_err(PluginProblem::Scratch)?;
        let made = self.compiler.compile(path, &file, scratch.path(), limits)?;
        if let Some(Err(error)) = cache.map(|cache| cache.keep(key, &scratch, made)) {
            not_kept(&error);
        }
        let component = if made.encoded {
            fs::read(scratch.path().join(COMPONENT)).map_err(PluginProblem::Scratch)?
        } else {
            file
        };
        let cache = cache::wasmtime_cache(&scratch.path().join(CODE))
            .map_err(|error| PluginProblem::Scratch(io::Error::other(error)))?;
        Ok(Obtained {
            needs: made.needs,
            component,
            cache,
            _scratch: Some(scratch),
        })
    }

    /// Links a plugin, in an engine of its own.
    fn link(&self, obtained: &Obtained, limits: &Limits) -> Result<Program, PluginProblem> {
        let (engine, component) = Self::engine(obtained, limits)?;
        let exports = exports::find(&engine, &component, obtained.needs.lifts_async)?;
        let pre = linker(&engine)
            .map_err(PluginProblem::Imports)?
            .instantiate_pre(&component)
            .map_err(|error| unlinked::problem(&engine, &component, error))?;
        let pulse = self.ticker.pulse(&engine);
        Ok(Program {
            engine,
            pre,
            exports,
            pulse,
        })
    }

    /// An engine for a plugin, with the plugin's code.
    fn engine(obtained: &Obtained, limits: &Limits) -> Result<(Engine, Component), PluginProblem> {
        let engine = engine::for_guests(limits.stack, obtained.cache.clone());
        let engine = engine.map_err(PluginProblem::Engine)?;
        let hits = obtained.cache.cache_hits();
        let component = Component::from_binary(&engine, &obtained.component);
        let component = component.map_err(|error| {
            let found = obtained.cache.cache_hits() != hits;
            if found {
                PluginProblem::Compile(Told::of(error.as_ref()))
            } else {
                PluginProblem::NotFound
            }
        })?;
        Ok((engine, component))
    }
}

impl std::fmt::Debug for PluginEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEngine").finish_non_exhaustive()
    }
}

/// Where plugins are compiled if they are not kept. The first place is the best.
pub(crate) fn temporary_places() -> impl Iterator<Item = PathBuf> {
    [env::temp_dir()]
        .into_iter()
        .chain(SHARED_DIRECTORIES.map(PathBuf::from))
}

/// A directory in the first of these places that is safe from other users.
fn elsewhere(places: impl Iterator<Item = PathBuf>) -> io::Result<Scratch> {
    let make = |place: &Path| {
        // The compiler works in another directory: a relative path would be another one there.
        let place = fs::canonicalize(place)?;
        check_parent(&place).map_err(io::Error::other)?;
        Scratch::new(&place)
    };
    let mut first = None;
    for place in places {
        match make(&place) {
            Ok(scratch) => return Ok(scratch),
            Err(error) => {
                tracing::debug!(
                    "plugins are not compiled in {}: {}",
                    place.display(),
                    describe(&error)
                );
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

fn not_kept(error: &CacheError) {
    tracing::warn!("compiled plugins are not kept: {}", describe(error));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn where_others_can_exchange_what_is_compiled_nothing_is() {
        let [open, shared, closed] = [0o777, 0o1777, 0o700].map(|mode| {
            let place = tempfile::tempdir().unwrap();
            fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
            place
        });
        let below = open.path().join("below");
        fs::create_dir(&below).unwrap();
        for safe in [&shared, &closed] {
            let places =
                [open.path(), &below, Path::new("/nowhere"), safe.path()].map(Path::to_owned);
            let scratch = elsewhere(places.into_iter()).unwrap();
            assert_eq!(
                scratch.path().parent(),
                Some(&*fs::canonicalize(safe.path()).unwrap())
            );
        }
        let refused =
            elsewhere([open.path().to_owned(), "/nowhere".into()].into_iter()).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("can be written by other users"),
            "{refused}"
        );
        assert_eq!(fs::read_dir(open.path()).unwrap().count(), 1);
        let relative = elsewhere(["target".into(), ".".into()].into_iter()).unwrap();
        assert!(relative.path().is_absolute());
    }

    const BARE: &[u8] = br#"(module (func (export "on_elected")) (func (export "on_demoted")))"#;

    fn bare(
        limits: &Limits,
        alone: bool,
        plugins: &PluginEngine,
    ) -> Result<Prepared, PluginProblem> {
        let file = PluginFile {
            path: Path::new("it.wat"),
            content: BARE.to_vec(),
            digest: Digest::of(BARE),
        };
        plugins.program(file, limits, alone)
    }

    #[test]
    fn tasks_of_one_file_share_what_is_compiled_unless_the_engine_keeps_another_limit() {
        let plugins = PluginEngine::with_cache(Compiler::Here, None).unwrap();
        let program = |limits: &Limits, alone| bare(limits, alone, &plugins).unwrap().program;
        let limits = Limits::default();
        let first = program(&limits, false);
        let more_memory = Limits {
            memory: 2 * limits.memory,
            cpu: 10,
            ..Limits::default()
        };
        assert!(Arc::ptr_eq(&first, &program(&more_memory, false)));
        let more_stack = Limits {
            stack: 2 * limits.stack,
            ..Limits::default()
        };
        let with_stack = program(&more_stack, false);
        assert!(!Arc::ptr_eq(&first, &with_stack));
        assert!(Arc::ptr_eq(&with_stack, &program(&more_stack, false)));
        let alone = program(&limits, true);
        assert!(!Engine::same(&first.engine, &alone.engine));
        assert!(Arc::ptr_eq(&first, &program(&limits, false)));
    }

    #[test]
    fn a_program_goes_with_its_last_plugin_and_is_made_once_by_all_who_ask_at_once() {
        let plugins = PluginEngine::with_cache(Compiler::Here, None).unwrap();
        let limits = Limits::default();
        let load = || bare(&limits, false, &plugins).unwrap().program;
        let programs: Vec<_> = std::thread::scope(|scope| {
            let loads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            loads.into_iter().map(|load| load.join().unwrap()).collect()
        });
        assert!(programs.iter().all(|it| Arc::ptr_eq(it, &programs[0])));
        let held = Arc::downgrade(&programs[0]);
        drop(programs);
        assert!(held.upgrade().is_none());
        drop(load());
    }

    #[test]
    fn whoever_shares_a_program_keeps_to_its_own_limits() {
        let plugins = PluginEngine::with_cache(Compiler::Here, None).unwrap();
        let _first = bare(&Limits::default(), false, &plugins).unwrap();
        let none = Limits {
            instances: 0,
            ..Limits::default()
        };
        let problem = bare(&none, false, &plugins).map(drop).unwrap_err();
        assert!(matches!(problem, PluginProblem::Limit(_)), "{problem:?}");
    }

    #[test]
    fn the_host_never_compiles_whatever_became_of_the_code() {
        let plugins = PluginEngine::with_cache(Compiler::Here, None).unwrap();
        let limits = Limits::default();
        let damages: [fn(&Path); 3] = [
            |code| fs::remove_file(code).unwrap(),
            |code| fs::write(code, "").unwrap(),
            |code| fs::write(code, &fs::read(code).unwrap()[..1000]).unwrap(),
        ];
        for damage in damages {
            let file = BARE.to_vec();
            let file = PluginFile {
                path: Path::new("it.wat"),
                digest: Digest::of(&file),
                content: file,
            };
            let obtained = plugins.obtain(file, &limits).unwrap();
            PluginEngine::engine(&obtained, &limits).map(drop).unwrap();
            let code = cache::code_files(obtained.cache.directory(), 0).unwrap();
            damage(&code[0]);
            let problem = PluginEngine::engine(&obtained, &limits)
                .map(drop)
                .unwrap_err();
            assert!(matches!(problem, PluginProblem::NotFound), "{problem:?}");
        }
    }
}
