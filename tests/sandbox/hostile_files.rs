//! Files made to harm whoever loads them, and files that were harmed themselves: each is refused or loaded, in a process
//! that has little memory.

mod bare;
mod broken;
mod components;
mod endless;
mod functions;
mod names;
mod sections;
mod text;

use crate::apart::{apart, is_apart};
use crate::guests::{File, engine};
use soloist_sandbox::{Excess, Plugin, PluginProblem, PluginSettings};

/// Runs a test in a process with 4 GB of address space. Ordinary use takes less than one; an attack that takes more than
/// four aborts the process, and so fails the test.
fn bounded<T: FnOnce()>(test: T) {
    apart("ulimit -v 4000000", test);
}

/// Loads it with the limits that a user has who says nothing.
fn load(extension: &str, content: &[u8]) -> Result<Plugin, PluginProblem> {
    assert!(is_apart(), "the test is not `bounded`");
    let file = File::new(extension, content);
    Plugin::load(&engine(), &file.0, PluginSettings::default()).map_err(|error| error.problem)
}

fn refused(extension: &str, content: &[u8]) -> PluginProblem {
    load(extension, content)
        .map(drop)
        .expect_err("it is refused")
}

/// It is refused for having more than `max` of something.
#[track_caller]
fn too_many(content: &[u8], max: u64) {
    let problem = refused("wasm", content);
    assert!(
        matches!(problem, PluginProblem::Excess(Excess::TooMany { max: found, .. }) if found == max),
        "{problem:?}"
    );
}
