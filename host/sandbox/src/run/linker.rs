//! Everything that a plugin may import.

use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::imports::{
    blocking_clock, blocking_state, clocks, config, exit, files, leadership, log, schedule, state,
};
use crate::network;
use crate::run::store::InstanceData;

/// Makes the linker with everything that a plugin may import. A plugin that was not granted something has its calls refused
/// by its store, not by the linker: languages' standard libraries import more than they use.
///
/// # Errors
/// Two imports contradict each other: a bug.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<InstanceData>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    files::add_to_linker(&mut linker, InstanceData::files)?;
    network::add_to_linker(&mut linker, InstanceData::sockets)?;
    clocks::add_to_linker(&mut linker, InstanceData::clocks)?;
    exit::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    leadership::add_to_linker(&mut linker, InstanceData::leadership)?;
    log::add_to_linker(&mut linker, InstanceData::log)?;
    state::add_to_linker(&mut linker, InstanceData::state)?;
    blocking_clock::add_to_linker(&mut linker, InstanceData::blocking_clock)?;
    blocking_state::add_to_linker(&mut linker, InstanceData::blocking_state)?;
    schedule::add_to_linker(&mut linker, InstanceData::schedule)?;
    config::add_to_linker(&mut linker, InstanceData::config)?;
    Ok(linker)
}
