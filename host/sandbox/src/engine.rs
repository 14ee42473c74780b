//! The engines of wasmtime, one for each plugin; the tick that interrupts their guests; and who of them has a processor.

pub(crate) mod cpu;
pub(crate) mod features;
pub(crate) mod ticker;
pub(crate) mod turn;

use wasmtime::{
    Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use soloist_core::limits::{Limits, count};

/// How much of the host's memory all instances of a plugin may take, in bytes, besides memories and tables.
pub const MAX_HELD_BYTES: u64 = 64 << 20;

/// How much stack the functions of the host that a guest calls may use, in bytes.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// Up to this size, in bytes, the first content of a memory is kept as one image, gaps included. A larger one is only if it
/// has few gaps.
const DENSE_IMAGE_BYTES: u64 = 64 << 10;

/// How many frames a reported backtrace has at most.
pub(crate) const BACKTRACE_FRAMES: usize = 32;

/// How many runs of one plugin an engine has room for. A run that has ended may still be taken apart when the next begins.
const RUNS: u32 = 2;

/// The stacks of a run besides those for calls from one component to another.
const SPARE_STACKS: u32 = 8;

/// How many of these one run of a plugin has at the most.
pub(crate) struct Most {
    pub(crate) memories: u64,
    pub(crate) tables: u64,
    /// Calls from one of its components to another that wait: each holds a stack.
    pub(crate) calls: u64,
}

/// An engine that runs one plugin, whose code is found in `cache`, with a pool of instances if it is to have one. If the machine
/// has too little address space for that, `without_pool` is called, and the engine has none.
///
/// # Errors
/// The machine cannot run WebAssembly within these limits.
pub(crate) fn for_plugin(
    limits: &Limits,
    most: &Most,
    cache: Cache,
    has_pool: bool,
    without_pool: impl FnOnce(wasmtime::Error),
) -> wasmtime::Result<Engine> {
    let mut config = config_without_compiler();
    let stack = count(limits.stack);
    config
        .max_wasm_stack(stack)
        .async_stack_size(stack.saturating_add(HOST_STACK_BYTES));
    config.cache(Some(cache));
    if !has_pool {
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        return Engine::new(&config);
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits, most)));
    Engine::new(&config).or_else(|error| {
        // The pool reserves gigabytes of address space, which a limit on it (`ulimit -v`) refuses. Whatever the pool would hold
        // back is held back without it, when a plugin is compiled and by the limits of its store.
        without_pool(error);
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

/// The settings of every engine. Code that was compiled under others is not found in the cache.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    features::pin(&mut config);
    config
        // Contents that lie far apart are copied into a memory, not kept with all that is between them.
        .memory_guaranteed_dense_image_size(DENSE_IMAGE_BYTES)
        .epoch_interruption(true)
        // The module has the names. Line numbers would take reading a stranger's debug information.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(BACKTRACE_FRAMES.try_into().ok());
    config
}

/// The settings of an engine that runs code. It cannot compile: only the compiler's process may read what a stranger wrote.
pub(crate) fn config_without_compiler() -> Config {
    let mut config = config();
    config.enable_compiler(false);
    config
}

/// A pool with room for what the plugin can have, and no more.
fn pool(limits: &Limits, most: &Most) -> PoolingAllocationConfig {
    let counted = |needed: u64| {
        u32::try_from(needed)
            .unwrap_or(u32::MAX)
            .clamp(1, u32::MAX / RUNS)
    };
    let (memories, tables) = (counted(most.memories), counted(most.tables));
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
        .total_stacks(RUNS * (counted(most.calls) + SPARE_STACKS));
    pool
}
