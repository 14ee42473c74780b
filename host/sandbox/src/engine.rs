//! The wasmtime engines that plugins run in, and the clock tick that interrupts guests.

pub(crate) mod cpu;
pub(crate) mod turn;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{env, fs, io};

use wasmtime::component::Component;
use wasmtime::{
    Cache, Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::bounded::describe;
use crate::load::PluginProblem;
use crate::load::cache::{self, CacheError, Kept, Key, SealedCache, check_parent};
use crate::load::compile::{CODE, COMPONENT, Told};
use crate::load::compiler::Compiler;
use crate::load::features;
use crate::load::needs::{MAX_HELD_BYTES, Needs};
use crate::load::scratch::Scratch;
use soloist_core::digest::Digest;
use soloist_core::limits::{Limits, count};

/// How often a guest that computes without a pause is interrupted: how late, at most, it sees the end of its permit.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);

/// The stack that host functions may use that a guest calls, in bytes.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// A memory's first content is written out as it is up to this size, in bytes; what is larger only if most of it is there.
const DENSE_IMAGE_BYTES: u64 = 64 << 10;

/// How many frames a reported backtrace has at most.
const BACKTRACE_FRAMES: usize = 32;

/// How many runs of one plugin may be there at once: one that has ended may still be taken apart when the next begins.
const RUNS: u32 = 2;

/// The stacks of a run besides those of calls from one of its components to another: its own calls, and the next one's.
const SPARE_STACKS: u32 = 8;

/// Where plugins can be compiled when there is no other place.
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
/// Each runs in an engine of its own, so that none can take what another needs.
pub struct PluginEngine {
    /// An engine like those that plugins run in.
    pattern: Engine,
    compiler: Compiler,
    cache: Option<SealedCache>,
    cache_directory: Option<PathBuf>,
    ticker: Ticker,
    is_poolless: Once,
}

/// What a plugin's engine finds the plugin's code by.
pub(crate) struct Obtained {
    pub(crate) needs: Needs,
    pub(crate) component: Vec<u8>,
    cache: Cache,
    /// Where the code lies, if it is not kept.
    _scratch: Option<Scratch>,
}

impl PluginEngine {
    /// Sets up what plugins run with. What was compiled is kept in the user's cache directory.
    ///
    /// Without a directory that is safe from other users, plugins are compiled anew at every start.
    ///
    /// # Errors
    /// [`EngineError`] when the machine cannot run WebAssembly at all.
    pub fn new(compiler: Compiler) -> Result<Self, EngineError> {
        Self::with_cache(compiler, cache::user_directory().as_deref())
    }

    /// As [`PluginEngine::new`], but what was compiled is kept in `directory`, which is made if it is not there; `None` is
    /// no cache.
    ///
    /// # Errors
    /// As [`PluginEngine::new`].
    pub fn with_cache(compiler: Compiler, directory: Option<&Path>) -> Result<Self, EngineError> {
        let pattern = Engine::new(&config()).map_err(EngineError::Engine)?;
        let cache =
            directory.and_then(|directory| SealedCache::open(directory).inspect_err(not_kept).ok());
        let ticker = Ticker::start().map_err(EngineError::Ticker)?;
        let cache_directory = directory.map(Path::to_owned);
        Ok(Self {
            pattern,
            compiler,
            cache,
            cache_directory,
            ticker,
            is_poolless: Once::new(),
        })
    }

    /// Where compiled plugins are kept, now or at another start, if anywhere.
    pub(crate) fn cache_directory(&self) -> Option<&Path> {
        self.cache_directory.as_deref()
    }

    /// Finds what was compiled of a file before, or has it compiled.
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
        let mut config = config_without_compiler();
        let stack = count(limits.stack);
        config
            .max_wasm_stack(stack)
            .async_stack_size(stack.saturating_add(HOST_STACK_BYTES));
        config.cache(Some(obtained.cache.clone()));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(
            limits,
            &obtained.needs,
        )));
        let engine = Engine::new(&config).or_else(|error| {
            // The pool reserves gigabytes of address space, which a limit on it (`ulimit -v`) refuses. Whatever the pool
            // would hold back is held back without it: see `needs` and `limits`.
            self.is_poolless.call_once(|| {
                tracing::warn!(
                    "no pool of instances, for want of address space (`ulimit -v`): plugins start more slowly, within the \
                     same limits: {error:#}"
                );
            });
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&config)
        });
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

    /// Guests of this engine are interrupted for as long as the returned value lives.
    pub(crate) fn tick(&self, engine: &Engine) -> Ticking {
        self.ticker.state.begin(engine);
        Ticking {
            state: Arc::clone(&self.ticker.state),
            engine: engine.weak(),
        }
    }
}

impl std::fmt::Debug for PluginEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEngine").finish_non_exhaustive()
    }
}

/// What decides what is compiled, and with it what of it is kept.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    features::pin(&mut config);
    config
        // What lies far apart in a memory at first is copied there, not written out with all that is between.
        .memory_guaranteed_dense_image_size(DENSE_IMAGE_BYTES)
        .epoch_interruption(true)
        // Names are in the module; reading a stranger's debug information for line numbers is not worth its cost.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(BACKTRACE_FRAMES.try_into().ok());
    config
}

/// The same for an engine that runs what was compiled. It cannot compile: what a stranger wrote is for the compiler's
/// process alone.
pub(crate) fn config_without_compiler() -> Config {
    let mut config = config();
    config.enable_compiler(false);
    config
}

/// What a plugin can have, and no more.
fn pool(limits: &Limits, needs: &Needs) -> PoolingAllocationConfig {
    let counted = |needed: u64| {
        u32::try_from(needed)
            .unwrap_or(u32::MAX)
            .clamp(1, u32::MAX / RUNS)
    };
    let (memories, tables) = (counted(needs.memories), counted(needs.tables));
    // wasmtime adds modules of its own between the components of a composed one.
    let instances = limits.instances.saturating_mul(2);
    let mut pool = PoolingAllocationConfig::default();
    // An interpreter compiled to WebAssembly is far larger than what a compiler makes of a program.
    pool.max_component_instance_size(4 << 20)
        .max_core_instance_size(count(MAX_HELD_BYTES))
        .table_elements(count(Limits::TABLE_ELEMENTS_MAX))
        .max_memories_per_module(memories)
        .max_tables_per_module(tables)
        .total_memories(RUNS * memories)
        .total_tables(RUNS * tables)
        .total_core_instances(RUNS.saturating_mul(instances))
        .total_component_instances(RUNS)
        .total_stacks(RUNS * (counted(needs.lifting) + SPARE_STACKS));
    pool
}

/// Where plugins are compiled that are not kept, the first choice first.
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

/// Advances the epoch of every engine that has guests, on a thread of its own that sleeps while there is no guest to interrupt.
struct Ticker {
    state: Arc<TickerState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct TickerState {
    live: Mutex<Live>,
    changed: Condvar,
}

#[derive(Default)]
struct Live {
    /// The engines that have guests, with how many.
    engines: Vec<(EngineWeak, usize)>,
    stopped: bool,
}

impl Live {
    fn position(&self, of: &EngineWeak) -> Option<usize> {
        let of = of.upgrade()?;
        let is_it = |engine: &EngineWeak| {
            engine
                .upgrade()
                .is_some_and(|engine| Engine::same(&engine, &of))
        };
        self.engines.iter().position(|(engine, _)| is_it(engine))
    }
}

impl TickerState {
    fn update(&self, change: impl FnOnce(&mut Live)) {
        // The counts are right whoever panicked while holding them.
        change(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn begin(&self, engine: &Engine) {
        let engine = engine.weak();
        self.update(|live| match live.position(&engine) {
            Some(at) => live.engines[at].1 += 1,
            None => live.engines.push((engine, 1)),
        });
    }

    fn end(&self, engine: &EngineWeak) {
        self.update(|live| match live.position(engine) {
            Some(at) if live.engines[at].1 > 1 => live.engines[at].1 -= 1,
            Some(at) => drop(live.engines.swap_remove(at)),
            None => live
                .engines
                .retain(|(engine, _)| engine.upgrade().is_some()),
        });
    }

    fn run(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        while !live.stopped {
            if live.engines.is_empty() {
                live = self
                    .changed
                    .wait(live)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            (live, _) = self
                .changed
                .wait_timeout(live, EPOCH_TICK)
                .unwrap_or_else(PoisonError::into_inner);
            for engine in live
                .engines
                .iter()
                .filter_map(|(engine, _)| engine.upgrade())
            {
                engine.increment_epoch();
            }
        }
    }
}

impl Ticker {
    fn start() -> std::io::Result<Self> {
        let state = Arc::new(TickerState::default());
        let thread = std::thread::Builder::new()
            .name("soloist-epoch".into())
            .spawn({
                let state = Arc::clone(&state);
                move || state.run()
            })?;
        Ok(Self {
            state,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.update(|live| live.stopped = true);
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked: it only waits and counts.
            let _ = thread.join();
        }
    }
}

/// A guest is there to be interrupted.
pub(crate) struct Ticking {
    state: Arc<TickerState>,
    engine: EngineWeak,
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.state.end(&self.engine);
    }
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
