//! The one wasmtime engine of a host, with the clock tick that interrupts guests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::cache::{self, SealedCache};
use super::failure::describe;
use super::features;
use super::limits::{Limits, count};

/// How often a guest that computes without a pause is interrupted: how late, at most, it sees the end of its permit.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);

/// The stack that host functions may use that a guest calls, in bytes.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// A memory's first content is written out as it is up to this size, in bytes; what is larger only if most of it is there.
const DENSE_IMAGE_BYTES: u64 = 64 << 10;

/// How many frames a reported backtrace has at most.
const BACKTRACE_FRAMES: usize = 32;

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

/// Compiles and runs plugins. One is enough for all tasks of a host whose plugins may use the same stack.
pub struct PluginEngine {
    engine: Engine,
    cache: Option<SealedCache>,
    cache_directory: Option<PathBuf>,
    ticker: Ticker,
    stack_bytes: u64,
}

impl PluginEngine {
    /// Sets the engine up, with wasmtime's compile cache in the user's cache directory.
    ///
    /// Without a directory that is safe from other users, plugins are compiled anew at every start.
    ///
    /// # Errors
    /// [`EngineError`] when the machine cannot run WebAssembly at all.
    pub fn new() -> Result<Self, EngineError> {
        Self::with_stack(Limits::default().stack)
    }

    /// As [`PluginEngine::new`], for plugins that may use so many bytes of stack: [`Limits::stack`].
    ///
    /// # Errors
    /// As [`PluginEngine::new`].
    pub fn with_stack(stack_bytes: u64) -> Result<Self, EngineError> {
        Self::with(cache::user_directory().as_deref(), stack_bytes)
    }

    /// Sets the engine up with its compile cache in `directory`, which is made if it is not there; `None` is no cache.
    ///
    /// # Errors
    /// As [`PluginEngine::new`].
    pub fn with_cache(directory: Option<&Path>) -> Result<Self, EngineError> {
        Self::with(directory, Limits::default().stack)
    }

    /// As [`PluginEngine::with_cache`] and [`PluginEngine::with_stack`] together.
    ///
    /// # Errors
    /// As [`PluginEngine::new`].
    pub fn with(directory: Option<&Path>, stack_bytes: u64) -> Result<Self, EngineError> {
        let mut config = config(count(stack_bytes));
        let cache = directory.and_then(open_cache);
        config.cache(cache.as_ref().map(SealedCache::wasmtime));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        let engine = Engine::new(&config).or_else(|error| {
            // The pool reserves terabytes of address space, which a limit on it (`ulimit -v`) refuses.
            tracing::debug!("no instance pool on this machine: {error:#}");
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&config)
        });
        let engine = engine.map_err(EngineError::Engine)?;
        let ticker = Ticker::start(engine.weak()).map_err(EngineError::Ticker)?;
        Ok(Self { engine, cache, cache_directory: directory.map(Path::to_owned), ticker, stack_bytes })
    }

    /// How much stack its plugins may use, in bytes.
    pub fn stack_bytes(&self) -> u64 {
        self.stack_bytes
    }

    /// Where compiled plugins are kept, now or at another start, if anywhere.
    pub(super) fn cache_directory(&self) -> Option<&Path> {
        self.cache_directory.as_deref()
    }

    pub(super) fn wasmtime(&self) -> &Engine {
        &self.engine
    }

    /// What was compiled since can be trusted by the next start.
    pub(super) fn seal_cache(&self) {
        if let Some(Err(error)) = self.cache.as_ref().map(SealedCache::seal) {
            tracing::warn!("what was compiled is not kept: {error}");
        }
    }

    /// Guests are interrupted for as long as the returned value lives.
    pub(super) fn tick(self: &Arc<Self>) -> Ticking {
        self.ticker.state.update(|live| live.guests += 1);
        Ticking(Arc::clone(&self.ticker.state))
    }
}

impl std::fmt::Debug for PluginEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEngine").finish_non_exhaustive()
    }
}

fn config(stack_bytes: usize) -> Config {
    let mut config = Config::new();
    features::pin(&mut config);
    config
        // What lies far apart in a memory at first is copied there, not written out with all that is between.
        .memory_guaranteed_dense_image_size(DENSE_IMAGE_BYTES)
        .epoch_interruption(true)
        .max_wasm_stack(stack_bytes)
        .async_stack_size(stack_bytes.saturating_add(HOST_STACK_BYTES))
        // Names are in the module; reading a stranger's debug information for line numbers is not worth its cost.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(BACKTRACE_FRAMES.try_into().ok());
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    // An interpreter compiled to WebAssembly is far larger than what a compiler makes of a program. This is address
    // space, not memory.
    pool.max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(count(Limits::TABLE_ELEMENTS_MAX));
    // One plugin alone may have a hundred instances, and there may be hundreds of plugins. Of these totals memories and
    // tables take address space (4 GiB and 8 MiB each), and instances are only counted. Stacks are left at a thousand, two
    // or more for each plugin: every one of them costs a call of the system when the host starts.
    pool.total_core_instances(100_000).total_component_instances(100_000);
    pool.total_memories(4000).total_tables(4000);
    pool.max_tables_per_module(Limits::TABLES_MAX).max_memories_per_module(Limits::MEMORIES_MAX);
    pool
}

fn open_cache(directory: &Path) -> Option<SealedCache> {
    let cache = SealedCache::open(directory);
    cache.inspect_err(|error| tracing::warn!("compiled plugins are not kept: {}", describe(error))).ok()
}

/// Advances the engine's epoch, on a thread of its own that sleeps while there is no guest to interrupt.
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
    guests: usize,
    stopped: bool,
}

impl TickerState {
    fn update(&self, change: impl FnOnce(&mut Live)) {
        // The counts are right whoever panicked while holding them.
        change(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn run(&self, engine: &EngineWeak) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        while !live.stopped {
            if live.guests == 0 {
                live = self.changed.wait(live).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            (live, _) = self.changed.wait_timeout(live, EPOCH_TICK).unwrap_or_else(PoisonError::into_inner);
            if let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
            }
        }
    }
}

impl Ticker {
    fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let state = Arc::new(TickerState::default());
        let thread = std::thread::Builder::new().name("soloist-epoch".into()).spawn({
            let state = Arc::clone(&state);
            move || state.run(&engine)
        })?;
        Ok(Self { state, thread: Some(thread) })
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
pub(super) struct Ticking(Arc<TickerState>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.update(|live| live.guests -= 1);
    }
}
