//! What the plugins of a host have in common: how they are compiled, where that is kept, and what interrupts them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::{env, fs, io};

use wasmtime::component::Component;
use wasmtime::{Cache, Engine, EngineWeak};

use crate::bounded::describe;
use crate::engine::ticker::Ticker;
use crate::engine::{self, Most};
use crate::load::cache::{self, CacheError, Kept, Key, SealedCache, check_parent};
use crate::load::compile::{CODE, COMPONENT};
use crate::load::compiler::Compiler;
use crate::load::needs::Needs;
use crate::load::problem::{PluginProblem, Told};
use crate::load::scratch::Scratch;
use soloist_core::digest::Digest;
use soloist_core::directories::user_cache;
use soloist_core::limits::Limits;

/// How many plugins have a pool of instances, with which they are activated sooner. A pool takes some 40 mappings of memory whether
/// or not its plugin runs, and a process may have 65,530 (`vm.max_map_count`).
const POOLS_MAX: usize = 400;

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
/// Each plugin runs in an engine of its own, so that none can take what another needs.
pub struct PluginEngine {
    /// An engine like those that plugins run in. The cache goes by its settings.
    pattern: Engine,
    compiler: Compiler,
    cache: Option<SealedCache>,
    cache_directory: Option<PathBuf>,
    ticker: Arc<Ticker>,
    is_poolless: Once,
    /// The engines that have a pool, and perhaps some that are gone.
    pools: Mutex<Vec<EngineWeak>>,
}

/// A plugin that is compiled, and where an engine finds its code.
pub(crate) struct Obtained {
    pub(crate) needs: Needs,
    pub(crate) component: Vec<u8>,
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
            is_poolless: Once::new(),
            pools: Mutex::default(),
        })
    }

    /// Where compiled plugins are kept, now or at another start, if anywhere: as the path was given, and where it led.
    pub(crate) fn cache_directories(&self) -> impl Iterator<Item = &Path> {
        let opened = self.cache.iter().map(SealedCache::directory);
        self.cache_directory.as_deref().into_iter().chain(opened)
    }

    /// Finds what a file was compiled to before, or has it compiled.
    pub(crate) fn obtain(
        &self,
        path: &Path,
        file: Vec<u8>,
        digest: Digest,
        limits: &Limits,
    ) -> Result<Obtained, PluginProblem> {
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

    /// An engine for a plugin, with the plugin's code.
    pub(crate) fn engine(
        &self,
        obtained: &Obtained,
        limits: &Limits,
    ) -> Result<(Engine, Component), PluginProblem> {
        let needs = &obtained.needs;
        let most = Most {
            memories: needs.memories,
            tables: needs.tables,
            calls: needs.lifting,
        };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() >= POOLS_MAX {
            pools.retain(|engine| engine.upgrade().is_some());
        }
        let (cache, has_pool) = (obtained.cache.clone(), pools.len() < POOLS_MAX);
        let engine = engine::for_plugin(limits, &most, cache, has_pool, |error| {
            self.is_poolless.call_once(|| {
                tracing::warn!(
                    "no pool of instances, for want of address space (`ulimit -v`): plugins start more slowly, within the \
                     same limits: {error:#}"
                );
            });
        });
        let engine = engine.map_err(PluginProblem::Engine)?;
        if has_pool {
            pools.push(engine.weak());
        }
        drop(pools);
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

    /// What interrupts the guests of all plugins.
    pub(crate) fn ticker(&self) -> Arc<Ticker> {
        Arc::clone(&self.ticker)
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

    #[test]
    fn the_host_never_compiles_whatever_became_of_the_code() {
        let plugins = PluginEngine::with_cache(Compiler::Here, None).unwrap();
        let text = br#"(module (func (export "on_elected")) (func (export "on_demoted")))"#;
        let limits = Limits::default();
        let damages: [fn(&Path); 3] = [
            |code| fs::remove_file(code).unwrap(),
            |code| fs::write(code, "").unwrap(),
            |code| fs::write(code, &fs::read(code).unwrap()[..1000]).unwrap(),
        ];
        for damage in damages {
            let file = text.to_vec();
            let digest = Digest::of(&file);
            let obtained = plugins
                .obtain(Path::new("it.wat"), file, digest, &limits)
                .unwrap();
            plugins.engine(&obtained, &limits).map(drop).unwrap();
            let code = cache::code_files(obtained.cache.directory(), 0).unwrap();
            damage(&code[0]);
            let problem = plugins.engine(&obtained, &limits).map(drop).unwrap_err();
            assert!(matches!(problem, PluginProblem::NotFound), "{problem:?}");
        }
    }
}
