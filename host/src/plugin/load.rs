//! From a file to a plugin that is ready to run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmparser::{BinaryReaderError, Parser, Validator, WasmFeatures};
use wasmtime::component::{Component, HasSelf, Linker};

use super::exports::Exports;
use super::store::Host;
use super::{Plugin, PluginEngine, PluginSettings, bindings, encode, network};

/// How large a plugin's file may be, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// A plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the plugin {}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a plugin's file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be opened or read.
    #[error("cannot read the file")]
    Read(#[from] io::Error),
    /// It is a directory or a device.
    #[error("it is not a file")]
    NotAFile,
    /// It is too large to be a plugin.
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// It is neither binary WebAssembly nor its text form.
    #[error("it is not WebAssembly: neither a component, nor a core module, nor the text form (.wat) of one")]
    NotWasm,
    /// It is WebAssembly text with a mistake.
    #[error("the WebAssembly text has a mistake")]
    Text(#[from] wat::Error),
    /// It begins like WebAssembly, but is cut short or broken.
    #[error("the WebAssembly is cut short or broken")]
    Malformed(#[from] BinaryReaderError),
    /// One of the two functions is not there.
    #[error("it does not export `{export}`: a plugin exports both on_elected and on_demoted")]
    MissingExport {
        /// The function's name, as a component or a bare module spells it.
        export: &'static str,
    },
    /// One of the two functions has a type that the contract does not allow.
    #[error("its export `{export}` has the wrong type: expected {expected}, found {found}")]
    WrongExport {
        /// The function's name, as a component or a bare module spells it.
        export: &'static str,
        /// The type that it should have.
        expected: &'static str,
        /// The type that it has.
        found: String,
    },
    /// A bare module imports something that is not WASI preview 1.
    #[error("it imports `{import}`, which nobody offers: a bare module can import wasi_snapshot_preview1 alone")]
    UnknownImport {
        /// The import, as `module.name`.
        import: String,
    },
    /// A component imports something that the host does not have, or not with that type.
    #[error("it imports something that this host does not offer")]
    Link(#[source] wasmtime::Error),
    /// A module cannot be made a component.
    #[error("the module cannot be made a component")]
    Encode(#[source] anyhow::Error),
    /// The compiler refuses it.
    #[error("it cannot be compiled")]
    Compile(#[source] wasmtime::Error),
    /// The host's own imports cannot be set up: a bug.
    #[error("the host cannot offer its imports")]
    Imports(#[source] wasmtime::Error),
}

impl Plugin {
    /// Reads, compiles and links a plugin: a component, a core module, or the text form of either.
    ///
    /// Blocks for as long as compilation takes, up to seconds for a large plugin; a compiled one is kept for next time.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file.
    pub fn load(engine: &Arc<PluginEngine>, path: &Path, settings: PluginSettings) -> Result<Self, LoadError> {
        let load = || {
            let component = encode::component(binary(read(path)?)?)?;
            Self::compile(engine, &component, settings)
        };
        load().map_err(|problem| LoadError { path: path.to_owned(), problem })
    }

    fn compile(engine: &Arc<PluginEngine>, component: &[u8], settings: PluginSettings) -> Result<Self, Problem> {
        let wasmtime = engine.wasmtime();
        let compiled = Component::from_binary(wasmtime, component).map_err(|error| {
            // wasmtime's error does not tell a broken file from one that it cannot compile.
            match Validator::new_with_features(WasmFeatures::all()).validate_all(component) {
                Err(malformed) => Problem::Malformed(malformed),
                Ok(_) => Problem::Compile(error),
            }
        })?;
        let exports = Exports::find(wasmtime, &compiled)?;
        let linked = linker(engine).map_err(Problem::Imports)?.instantiate_pre(&compiled).map_err(Problem::Link)?;
        Ok(Self { engine: Arc::clone(engine), linked, exports, settings: Arc::new(settings) })
    }
}

/// Everything that a plugin may import. What of it has an effect is refused by the store of a plugin that was not
/// granted it: languages' standard libraries import more than they use.
fn linker(engine: &PluginEngine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    network::add_to_linker(&mut linker)?;
    linker.allow_shadowing(false);
    bindings::leadership::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
    bindings::log::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
    bindings::state::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
    bindings::config::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
    Ok(linker)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    // Opening a pipe would wait for its other end.
    if !path.metadata()?.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Problem::TooLarge);
    }
    Ok(bytes)
}

/// The binary form of what was read.
fn binary(bytes: Vec<u8>) -> Result<Vec<u8>, Problem> {
    if Parser::is_component(&bytes) || Parser::is_core_wasm(&bytes) {
        return Ok(bytes);
    }
    if bytes.starts_with(b"\0asm") {
        // A header without a known version: let the parser say so.
        Validator::new_with_features(WasmFeatures::all()).validate_all(&bytes)?;
    }
    // Text begins with a parenthesis or a comment.
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.trim_start().starts_with(['(', ';']) => Ok(wat::parse_str(text)?),
        _ => Err(Problem::NotWasm),
    }
}
