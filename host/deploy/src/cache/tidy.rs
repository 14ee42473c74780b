//! What goes when the cache holds too much: what was used the longest time ago, and nothing that was used in the last hour.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use soloist_core::artefact::MAX_BYTES;

use super::Cache;

/// How many bytes the cache holds: four artefacts of the largest size.
const BYTES_MAX: u64 = 4 * MAX_BYTES;

/// How many artefacts the cache holds.
const FILES_MAX: usize = 100;

/// An artefact that was used so recently stays, because a process may be about to read it.
const IN_USE: Duration = Duration::from_secs(3600);

/// A part that nobody has added to for so long is not waited for.
const STALE: Duration = Duration::from_secs(24 * 3600);

struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Cache {
    /// Removes artefacts until the cache is within its bounds. What cannot be removed stays.
    pub(super) fn tidy(&self, new: &Path) {
        let now = SystemTime::now();
        let (parts, mut whole): (Vec<_>, Vec<_>) = self
            .entries()
            .into_iter()
            .partition(|entry| entry.path.extension().is_some());
        for part in parts.iter().filter(|part| part.used + STALE < now) {
            if File::open(&part.path).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(&part.path);
            }
        }
        whole.sort_by_key(|entry| entry.used);
        let mut bytes: u64 = whole.iter().map(|entry| entry.bytes).sum();
        let mut files = whole.len();
        for entry in whole {
            if bytes <= BYTES_MAX && files <= FILES_MAX {
                break;
            }
            let goes = entry.used + IN_USE < now && entry.path != new;
            if goes && fs::remove_file(&entry.path).is_ok() {
                bytes -= entry.bytes;
                files -= 1;
            }
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let entry = |entry: fs::DirEntry| {
            let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(Entry {
                path: entry.path(),
                bytes: found.len(),
                used: found.modified().ok()?,
            })
        };
        entries.filter_map(entry).collect()
    }
}
