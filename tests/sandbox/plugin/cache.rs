//! Compiled plugins are kept for the next start, and nothing of what is kept is trusted blindly.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use soloist_dev::testbed::wait_for_message;
use soloist_sandbox::{Plugin, PluginEngine, PluginSettings};

use super::lines_of_a_term;
use crate::guests::{File, compiler, guest};

/// A cache of its own.
struct Cache {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Cache {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache");
        Self {
            _directory: directory,
            path,
        }
    }

    /// Loads a plugin as a new process would.
    fn start(&self, plugin: &Path) -> Plugin {
        let engine = Arc::new(PluginEngine::with_cache(compiler(), Some(&self.path)).unwrap());
        Plugin::load(&engine, plugin, PluginSettings::default()).unwrap()
    }

    /// Compiled code, and when it was written.
    fn code(&self) -> Vec<(PathBuf, SystemTime)> {
        let is_code = |path: &PathBuf| path.extension().is_none();
        let written = |path: PathBuf| {
            path.metadata()
                .unwrap()
                .modified()
                .map(|at| (path, at))
                .unwrap()
        };
        files(&self.path.join("code"))
            .into_iter()
            .filter(is_code)
            .map(written)
            .collect()
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// A plugin that says a word of its own.
fn saying(word: &str) -> File {
    File::new("wat", super::printing(word, "").as_bytes())
}

#[test]
fn a_compiled_plugin_is_kept_for_the_next_start() {
    let cache = Cache::new();
    let time = || {
        let begun = Instant::now();
        cache.start(&guest("heartbeat"));
        begun.elapsed()
    };
    let cold = time();
    let kept = cache.code();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let cached = time();
    assert_eq!(cache.code(), kept, "it was compiled again");
    println!("load heartbeat: {cold:?} cold, {cached:?} cached");
}

#[test]
fn whatever_is_wrong_with_what_is_kept_the_plugin_runs() {
    let cache = Cache::new();
    let plugin = saying("first");
    cache.start(&plugin.0);
    // What is there is changed: each file in turn is damaged in the middle, cut, emptied, or taken for another.
    let mut damaged = Vec::new();
    for file in files(&cache.path) {
        // The cache has a worker that writes, renames and removes files of its own.
        let Ok(whole) = fs::read(&file) else { continue };
        let mut flipped = whole.clone();
        if let Some(byte) = flipped.get_mut(whole.len() / 2) {
            *byte ^= 0x10;
        }
        for content in [
            &flipped,
            &whole[..whole.len() / 2],
            b"",
            b"\x7fELF and nothing more",
        ] {
            fs::write(&file, content).unwrap();
            assert_eq!(
                lines_of_a_term(Arc::new(cache.start(&plugin.0))),
                ["first"],
                "{}",
                file.display()
            );
        }
        damaged.push(file);
    }
    assert!(
        cache.code().iter().all(|(code, _)| damaged.contains(code)),
        "{damaged:?}"
    );
}

#[test]
fn without_room_in_the_cache_a_plugin_is_compiled_elsewhere() {
    let cache = Cache::new();
    let plugin = saying("elsewhere");
    let engine = Arc::new(PluginEngine::with_cache(compiler(), Some(&cache.path)).unwrap());
    // Nobody can write to a directory that is gone, not even root.
    fs::remove_dir_all(&cache.path).unwrap();
    let loaded = Plugin::load(&engine, &plugin.0, PluginSettings::default()).unwrap();
    assert_eq!(lines_of_a_term(Arc::new(loaded)), ["elsewhere"]);
    wait_for_message(&format!(
        "compiled plugins are not kept: cannot keep what was compiled in {}",
        cache.path.display()
    ));
}

/// Code of one plugin in the place of another's: it would run, and do something else.
#[test]
fn code_that_was_exchanged_is_not_run() {
    let cache = Cache::new();
    let (first, second) = (saying("first"), saying("second"));
    cache.start(&first.0);
    let [(of_first, _)] = &cache.code()[..] else {
        panic!("{:?}", cache.code())
    };
    let of_first = of_first.clone();
    cache.start(&second.0);
    let of_second = cache
        .code()
        .into_iter()
        .map(|(path, _)| path)
        .find(|path| *path != of_first)
        .unwrap();
    fs::copy(&of_second, &of_first).unwrap();
    assert_eq!(lines_of_a_term(Arc::new(cache.start(&first.0))), ["first"]);
}

#[test]
fn what_others_could_have_written_is_not_used_and_the_host_says_why() {
    let cache = Cache::new();
    let plugin = saying("exposed");
    cache.start(&plugin.0);
    let kept = cache.code();
    let (code, _) = &kept[0];
    for path in [code.as_path(), code.parent().unwrap()] {
        let safe = path.metadata().unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(safe.mode() | 0o002)).unwrap();
        assert_eq!(
            lines_of_a_term(Arc::new(cache.start(&plugin.0))),
            ["exposed"]
        );
        wait_for_message(&format!(
            "compiled plugins are not kept: {} can be written by other users",
            path.display()
        ));
        fs::set_permissions(path, safe).unwrap();
    }
    cache.start(&plugin.0);
    assert_eq!(cache.code(), kept, "it is of use again");
}
