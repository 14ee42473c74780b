//! The guests under test, and the plugins that are made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use soloist_core::grants::{Grants, NetworkPolicy};
use soloist_core::limits::Limits;
use soloist_dev::testbed;
use soloist_sandbox::{Bucket, Compiler, LoadError, Plugin, PluginEngine, PluginSettings};
use soloist_tests::build::artifacts;

/// A guest that was built for the tests.
pub(crate) fn guest(name: &str) -> PathBuf {
    artifacts().expect("the guests can be built").guest(name)
}

/// The program under test.
pub(crate) fn soloist() -> &'static Path {
    &artifacts().expect("the program can be built").soloist
}

/// What compiles plugins, as a host has it.
pub(crate) fn compiler() -> Compiler {
    Compiler::Process(soloist().to_owned())
}

/// One engine for all tests of a process, without a cache outside the target directory.
pub(crate) fn engine() -> Arc<PluginEngine> {
    static ENGINE: LazyLock<Arc<PluginEngine>> = LazyLock::new(|| {
        Arc::new(PluginEngine::with_cache(compiler(), None).expect("this machine runs WebAssembly"))
    });
    testbed::listen();
    Arc::clone(&ENGINE)
}

/// The guest `misbehave`, told what to do, within these limits.
pub(crate) fn limited(what: &str, limits: Limits) -> Arc<Plugin> {
    let settings = PluginSettings {
        limits,
        ..config(&[("do", what)])
    };
    Arc::new(Plugin::load(&engine(), &guest("misbehave"), settings).expect("the guest loads"))
}

pub(crate) fn config(entries: &[(&str, &str)]) -> PluginSettings {
    let config: BTreeMap<_, _> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    // Its sockets are there, and reach nothing.
    let network = NetworkPolicy {
        tcp: Some(Vec::new()),
        ..NetworkPolicy::default()
    };
    let grants = Grants {
        state: true,
        network,
        ..Grants::default()
    };
    // What one task may write is the test's business, not what the host may.
    let host_writes = Arc::new(Bucket::of_host(1 << 40));
    PluginSettings {
        config,
        grants,
        host_writes,
        ..PluginSettings::default()
    }
}

/// The guest `misbehave`, told what to do.
pub(crate) fn misbehave(what: &str) -> Arc<Plugin> {
    Arc::new(
        Plugin::load(&engine(), &guest("misbehave"), config(&[("do", what)]))
            .expect("the guest loads"),
    )
}

/// A plugin from WebAssembly text.
pub(crate) fn text(wat: &str) -> Arc<Plugin> {
    limited_text(wat, Limits::default()).unwrap_or_else(|error| panic!("{error:?}"))
}

/// A plugin from WebAssembly text, within these limits.
pub(crate) fn limited_text(wat: &str, limits: Limits) -> Result<Arc<Plugin>, LoadError> {
    let file = File::new("wat", wat.as_bytes());
    let settings = PluginSettings {
        limits,
        ..PluginSettings::default()
    };
    Plugin::load(&engine(), &file.0, settings).map(Arc::new)
}

/// A bare module that writes `text` to stdout with WASI preview 1 when it is elected, and then does `more`.
pub(crate) fn printing(text: &str, more: &str) -> String {
    let (length, text) = (text.len(), text.escape_default());
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\{length:02x}\00\00\00")
            (data (i32.const 16) "{text}")
            (func (export "on_elected")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                {more})
            (func (export "on_demoted")))"#
    )
}

/// A module as a toolchain without components makes it: the contract's types lie in a custom section.
pub(crate) fn module_with_metadata() -> Vec<u8> {
    let mut module = wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (global $free (mut i32) (i32.const 1024))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.get $free)
                (global.set $free (i32.add (global.get $free) (local.get 3))))
            ;; The outcome lies at 16, where a zero says that it is no error.
            (func (export "on-elected") (param i64 i64 i32 i32 i32 i32) (result i32) (i32.const 16))
            (func (export "on-demoted") (param i32) (if (i32.ne (local.get 0) (i32.const 1)) (then unreachable))))"#,
    )
    .unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/wit");
    let (package, _) = resolve.push_dir(contract).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .unwrap();
    module
}

/// A file that is gone when the test is over.
pub(crate) struct File(pub(crate) PathBuf);

impl File {
    pub(crate) fn new(extension: &str, content: &[u8]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("soloist-test-{}-{count}.{extension}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("the temporary directory can be written");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
