//! Compilers and plugins to compile, and what is seen of a process from outside.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soloist_core::limits::Limits;
use soloist_dev::testbed::PATIENCE;
use soloist_sandbox::{Compiler, Plugin, PluginEngine, PluginProblem, PluginSettings};

use crate::guests::{File, guest, soloist};

/// A compiler that is a script: `$SOLOIST` is the real one.
pub(super) struct Script {
    pub(super) directory: tempfile::TempDir,
}

impl Script {
    pub(super) fn new(lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("compiler");
        let here = directory.path().display();
        fs::write(
            &path,
            format!(
                "#!/bin/sh\nHERE='{here}'\nSOLOIST='{}'\n{lines}\n",
                soloist().display()
            ),
        )
        .unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        Self { directory }
    }

    pub(super) fn engine(&self) -> Arc<PluginEngine> {
        let compiler = Compiler::Process(self.directory.path().join("compiler"));
        Arc::new(PluginEngine::with_cache(compiler, None).unwrap())
    }

    pub(super) fn load(&self, limits: Limits) -> Result<Plugin, PluginProblem> {
        let settings = PluginSettings {
            limits,
            ..PluginSettings::default()
        };
        Plugin::load(&self.engine(), &guest("hello"), settings).map_err(|error| error.problem)
    }

    pub(super) fn wrote(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }
}

/// A module of many functions: compiling it takes a while.
pub(super) fn slow() -> File {
    let functions = "(func (param i64) (result i64) (i64.mul (i64.add (local.get 0) (i64.const 3)) (local.get 0)))";
    let text = format!(
        r#"(module {} (func (export "on_elected")) (func (export "on_demoted")))"#,
        functions.repeat((4 << 20) / functions.len() - 2)
    );
    File::new("wasm", &wat::parse_str(text).unwrap())
}

pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What `/proc` says of a process after its name, field by field; the state is the first. A process that is gone has none.
pub(super) fn stat(process: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().map(str::to_owned).collect()
}

/// Whether the process is there, and not only waits for its parent to hear of its end.
pub(super) fn is_alive(process: u32) -> bool {
    stat(process).first().is_some_and(|state| state != "Z")
}
