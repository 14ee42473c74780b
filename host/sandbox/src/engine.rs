//! The engines of wasmtime; the tick that interrupts their guests; and who of them has a processor.

pub(crate) mod cpu;
pub(crate) mod features;
pub(crate) mod ticker;
pub(crate) mod turn;

use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, WasmBacktraceDetails};

use soloist_core::limits::count;

/// How much of the host's memory all instances of a plugin may take, in bytes, besides memories and tables.
pub const MAX_HELD_BYTES: u64 = 64 << 20;

/// How much stack the functions of the host that a guest calls may use, in bytes.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// Up to this size, in bytes, the first content of a memory is kept as one image, gaps included. A larger one is only if it
/// has few gaps.
const DENSE_IMAGE_BYTES: u64 = 64 << 10;

/// How many frames a reported backtrace has at most.
pub(crate) const BACKTRACE_FRAMES: usize = 32;

/// An engine for guests with so many bytes of stack, whose code is found in `cache`. It keeps nothing that guests share: each
/// run's memories, tables and stacks are its own, so no guest can take what another needs.
///
/// # Errors
/// The machine cannot run WebAssembly within these limits.
pub(crate) fn for_guests(stack: u64, cache: Cache) -> wasmtime::Result<Engine> {
    let mut config = config_without_compiler();
    let stack = count(stack);
    config
        .max_wasm_stack(stack)
        .async_stack_size(stack.saturating_add(HOST_STACK_BYTES))
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .cache(Some(cache));
    Engine::new(&config)
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
