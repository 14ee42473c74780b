//! Files made to harm whoever loads them, and files that were harmed themselves: each is refused or loaded, in a process
//! that has little memory.

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod large;

use std::process::Command;
use std::time::Duration;

use soloist::plugin::{Limits, Plugin, PluginSettings, Problem};
use support::{File, engine};

/// Ordinary use takes less than one of these; what an attack takes must have a bound, and this is it.
const MEMORY_KIB: u64 = 4_000_000;

/// The tests in `large` run here: a file that made the loader take more memory would abort the process.
#[test]
fn hostile_files_are_loaded_or_refused_in_bounded_memory() {
    let status = Command::new("sh")
        .args(["-c", &format!(r#"ulimit -v {MEMORY_KIB} && exec "$0" large:: --ignored --test-threads=1"#)])
        .arg(std::env::current_exe().unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// Loads it with the limits that a user has who says nothing, but on a machine that may be busy with other things.
fn load(extension: &str, content: &[u8]) -> Result<Plugin, Problem> {
    let file = File::new(extension, content);
    let limits = Limits { compile_timeout: Duration::from_secs(3600), ..Limits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    Plugin::load(&engine(), &file.0, settings).map_err(|error| error.problem)
}
