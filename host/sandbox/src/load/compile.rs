//! What a compiler's process does: from the content of a file to native code in a directory.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Validator};
use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Engine};

use crate::engine;
use crate::engine::features::FEATURES;
use crate::load::apart::{STACK_BYTES, caught};
use crate::load::bounds::{self, Refused};
use crate::load::needs::Needs;
use crate::load::problem::{PluginProblem, Told};
use crate::load::{MAX_CODE_BYTES, MAX_TEXT_BYTES};
use crate::load::{cache, encode};
use soloist_core::limits::Limits;

/// A compilation uses no more threads than this: each takes memory for the function that it is at.
pub(crate) const MAX_THREADS: usize = 4;

/// Where the code lies in the directory: wasmtime removes from its cache what it does not know.
pub(crate) const CODE: &str = "code";

/// Where the component lies that was made of a file, in the directory, unless the file is one.
pub(crate) const COMPONENT: &str = "component.wasm";

/// What was compiled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    /// What it makes when it is run.
    pub(crate) needs: Needs,
    /// Whether the component was made of the file, which is not one itself.
    pub(crate) encoded: bool,
}

/// Compiles a plugin, so that an engine without a compiler finds its code in a cache in `directory`.
///
/// # Errors
/// [`PluginProblem`] says what is wrong with it. Those that only a host can have are not among them.
pub(crate) fn compile(
    bytes: Vec<u8>,
    directory: &Path,
    limits: &Limits,
) -> Result<Made, PluginProblem> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(
            available_parallelism()
                .map_or(1, usize::from)
                .min(MAX_THREADS),
        )
        .stack_size(STACK_BYTES)
        .build()
        .map_err(|error| PluginProblem::Threads(Told::of(&error)))?;
    let made = caught(|| pool.install(|| compile_here(bytes, directory, limits)));
    made.unwrap_or_else(|message| Err(PluginProblem::Panicked { message }))
}

fn compile_here(bytes: Vec<u8>, directory: &Path, limits: &Limits) -> Result<Made, PluginProblem> {
    let failed = |error: wasmtime::Error| PluginProblem::Compile(Told::of(error.as_ref()));
    let encoded = !Parser::is_component(&bytes);
    let component = component(bytes)?;
    let needs = Needs::of(&component)?;
    needs.check(limits).map_err(PluginProblem::Limit)?;
    if encoded {
        fs::write(directory.join(COMPONENT), &component)
            .map_err(|error| PluginProblem::Write(Told::of(&error)))?;
    }
    let mut cache = CacheConfig::new();
    cache.with_directory(directory.join(CODE));
    let mut config = engine::config();
    config.cache(Some(Cache::new(cache).map_err(failed)?));
    let engine = Engine::new(&config).map_err(failed)?;
    let compiled = Component::from_binary(&engine, &component).map_err(failed)?;
    let code = compiled.image_range();
    if code.end as usize - code.start as usize > MAX_CODE_BYTES {
        return Err(PluginProblem::CodeTooLarge);
    }
    // wasmtime says nothing of code that it could not write.
    let write = |error: io::Error| PluginProblem::Write(Told::of(&error));
    let [written] = &*cache::code_files(&directory.join(CODE), 0).map_err(write)? else {
        return Err(write(io::Error::other(
            "there is no room for it, or no file may be that large",
        )));
    };
    let runner = Engine::new(&engine::config_without_compiler()).map_err(failed)?;
    fs::rename(
        written,
        written.with_file_name(cache::code_name(&component, &runner)),
    )
    .map_err(write)?;
    Ok(Made { needs, encoded })
}

/// The component that a file's content makes, valid and within the bounds of what is compiled.
///
/// # Errors
/// [`PluginProblem`] says what is wrong with it.
pub fn component(bytes: Vec<u8>) -> Result<Vec<u8>, PluginProblem> {
    let binary = binary(bytes)?;
    bounds::check(&binary)?;
    if Parser::is_component(&binary) {
        return Ok(binary);
    }
    let component = encode::component(&binary)?;
    // What the encoder adds comes from the module's metadata.
    bounds::check(&component)?;
    Ok(component)
}

/// The binary form of what was read.
fn binary(bytes: Vec<u8>) -> Result<Vec<u8>, PluginProblem> {
    if Parser::is_component(&bytes) || Parser::is_core_wasm(&bytes) {
        return Ok(bytes);
    }
    if bytes.starts_with(b"\0asm") {
        // A header without a known version: let the parser say so.
        Validator::new_with_features(FEATURES)
            .validate_all(&bytes)
            .map_err(Refused::from)?;
    }
    // Text begins with a parenthesis or a comment.
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.trim_start().starts_with(['(', ';']) => {
            if text.len() > MAX_TEXT_BYTES {
                return Err(PluginProblem::TextTooLarge);
            }
            wat::parse_str(text).map_err(|error| PluginProblem::Text(Told::of(&error)))
        }
        _ => Err(PluginProblem::NotWasm),
    }
}
