//! What goes when the cache holds too much.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Key, SealedCache};

/// How many bytes the cache holds.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// How many plugins' files the cache has notes of.
const MAX_FILES: usize = 1000;

/// A file that was used so recently stays, because another process may be about to use it.
pub(super) const IN_USE: Duration = Duration::from_secs(3600);

/// How many directories deep the host searches wasmtime's cache. The cache is less deep.
const MAX_DEPTH: usize = 8;

impl SealedCache {
    /// Removes files until the cache is within its bounds, those that were used the longest time ago first. Also removes code
    /// that has no note.
    pub(super) fn tidy(&self, new: Key) -> io::Result<()> {
        let mut notes = Vec::new();
        for path in entries(&self.kept)?
            .into_iter()
            .filter(|path| path.extension().is_none())
        {
            let Ok(used) = path.metadata().and_then(|metadata| metadata.modified()) else {
                continue;
            };
            // A note that cannot be read has no code.
            let note = self.read_note(&path).ok().flatten();
            notes.push((used, path, note));
        }
        notes.sort_by_key(|(used, ..)| *used);
        let mut bytes: u64 = notes
            .iter()
            .flat_map(|(.., note)| note)
            .map(|note| note.bytes)
            .sum();
        let mut files = notes.len();
        let recent = SystemTime::now() - IN_USE;
        notes.retain(|(used, path, note)| {
            let stays = bytes <= MAX_BYTES && files <= MAX_FILES && note.is_some();
            if stays || *used > recent || *path == self.note(new) {
                return true;
            }
            bytes -= note.as_ref().map_or(0, |note| note.bytes);
            files -= 1;
            let _ = fs::remove_file(path);
            let _ = fs::remove_file(path.with_extension("wasm"));
            false
        });
        let known: Vec<_> = notes
            .iter()
            .flat_map(|(.., note)| note)
            .map(|note| self.code.join(&note.code))
            .collect();
        for code in code_files(&self.code, 0)? {
            let is_old = code
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|made| made < recent);
            if is_old && !known.contains(&code) {
                let _ = fs::remove_file(code.with_extension("stats"));
                let _ = fs::remove_file(code);
            }
        }
        Ok(())
    }
}

/// The files of code below a directory of wasmtime's cache. They have no extension.
pub(crate) fn code_files(directory: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(directory)? {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                found.extend(code_files(&path, depth + 1)?);
            }
            Ok(metadata) if metadata.is_file() && path.extension().is_none() => found.push(path),
            _ => {}
        }
    }
    Ok(found)
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        // Another process may have removed the directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read?.map(|entry| Ok(entry?.path())).collect(),
    }
}
