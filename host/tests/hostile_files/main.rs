//! Files made to harm whoever loads them, and files that were harmed themselves: each is refused or loaded, in a process
//! that has little memory.

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod large;

use soloist::plugin::{Plugin, PluginSettings, Problem};
use support::{File, engine, run_apart};

/// Ordinary use takes less than one of these; what an attack takes must have a bound, and this is it.
const MEMORY_KIB: u64 = 4_000_000;

/// The tests in `large` run here: a file that made the loader take more memory would abort the process.
#[test]
fn hostile_files_are_loaded_or_refused_in_bounded_memory() {
    let bounded = format!(r#"ulimit -v {MEMORY_KIB} && exec "$0" "$@""#);
    run_apart(&["sh", "-c", &bounded], &["large::", "--test-threads=1"], &[]);
}

/// Loads it with the limits that a user has who says nothing.
fn load(extension: &str, content: &[u8]) -> Result<Plugin, Problem> {
    let file = File::new(extension, content);
    Plugin::load(&engine(), &file.0, PluginSettings::default()).map_err(|error| error.problem)
}
