//! Files that were cut short, or in which bits are wrong.

use std::sync::{Arc, LazyLock};

use soloist_sandbox::{Compiler, Plugin, PluginEngine, PluginProblem, PluginSettings, component};
use soloist_seed::{Random, seed};

use crate::guests::{File, guest, module_with_metadata, printing};

/// Loads it; what compiles it is this very process, since there are thousands.
fn load(extension: &str, content: &[u8]) -> Result<Plugin, PluginProblem> {
    static ENGINE: LazyLock<Arc<PluginEngine>> = LazyLock::new(|| {
        Arc::new(
            PluginEngine::with_cache(Compiler::Here, None).expect("this machine runs WebAssembly"),
        )
    });
    let file = File::new(extension, content);
    Plugin::load(&ENGINE, &file.0, PluginSettings::default()).map_err(|error| error.problem)
}

/// A component of the SDK, a module with the types of the contract, and a bare module.
fn files() -> [Vec<u8>; 3] {
    let bare = wat::parse_str(printing("it prints", "")).unwrap();
    [
        std::fs::read(guest("hello")).unwrap(),
        module_with_metadata(),
        bare,
    ]
}

/// Whatever is said of it, it is not that something panicked.
#[track_caller]
fn fine<T>(loaded: &Result<T, PluginProblem>) -> bool {
    if let Err(
        problem @ (PluginProblem::Panicked { .. }
        | PluginProblem::TooSlow { .. }
        | PluginProblem::Imports(_)),
    ) = loaded
    {
        panic!("{problem:?}");
    }
    loaded.is_ok()
}

/// Where sections begin. A file that ends there may be a plugin still: one without its names, or without its data.
fn boundaries(file: &[u8]) -> Vec<usize> {
    // Modules and components alike: a header, then sections, each with its kind and its size.
    let (mut at, mut found) = (8, Vec::new());
    while at < file.len() {
        found.push(at);
        at += 1;
        let mut size = 0;
        for shift in (0..).step_by(7) {
            size |= usize::from(file[at] & 0x7f) << shift;
            at += 1;
            if file[at - 1] & 0x80 == 0 {
                break;
            }
        }
        at += size;
    }
    found
}

#[test]
fn every_truncation_within_a_section_is_refused() {
    for file in files() {
        let boundaries = boundaries(&file);
        // Of a large file, each of its beginning and some of the rest.
        let lengths = (0..file.len())
            .filter(|length| *length < 4000 || length % 31 == 0 || length + 100 > file.len());
        for length in lengths {
            let cut = &file[..length];
            // Of nearly all of them nothing reaches the compiler.
            let loads = component(cut.to_vec()).is_ok() && fine(&load("wasm", cut));
            assert!(
                !loads || boundaries.contains(&length),
                "{length} of {} bytes",
                file.len()
            );
        }
        assert!(fine(&load("wasm", &file)));
    }
}

#[test]
fn wrong_bits_are_refused_or_do_not_matter() {
    let mut random = Random::new(seed());
    for file in files() {
        let (mut refused, mut loaded) = (0, 0);
        for _ in 0..2000 {
            let mut file = file.clone();
            for _ in 0..=random.below(3) {
                let byte = usize::try_from(random.below(file.len() as u64)).unwrap();
                file[byte] ^= 1 << random.below(8);
            }
            // Compiling takes by far the longest, and nearly all of the changes are ones of code or data.
            let small = file.len() < 10_000 || random.below(40) == 0;
            let done = if small {
                load("wasm", &file).map(drop)
            } else {
                component(file).map(drop)
            };
            if fine(&done) {
                loaded += 1;
            } else {
                refused += 1;
            }
        }
        println!(
            "of {} bytes: {loaded} loaded, {refused} refused",
            file.len()
        );
        assert!(loaded > 0 && refused > 0);
    }
}
