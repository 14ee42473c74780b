//! How much the cache holds, and what goes when that is too much: parts that nobody fetches any more, then what was used the
//! longest time ago. What somebody uses or fetches stays.

use std::fs::{self, Metadata};
use std::path::PathBuf;
use std::time::SystemTime;

use soloist_core::digest::Digest;

use super::{Cache, CacheError, is_at, open};

struct Entry {
    path: PathBuf,
    digest: Digest,
    is_whole: bool,
    bytes: u64,
    used: SystemTime,
}

impl Cache {
    /// Makes room for `more` bytes of an artefact whose part is there, or will be.
    ///
    /// # Errors
    /// [`CacheError::NoRoom`], if what is in use leaves none.
    pub(super) fn make_room(&self, own: Digest, more: u64) -> Result<(), CacheError> {
        let mut entries = self.entries();
        let is_own = |entry: &Entry| entry.digest == own && !entry.is_whole;
        let mut files = entries.len() + usize::from(!entries.iter().any(is_own));
        let mut bytes = entries.iter().map(|entry| entry.bytes).sum::<u64>() + more;
        entries.sort_by_key(|entry| (entry.is_whole, entry.used));
        for entry in &entries {
            if bytes <= self.bytes_max && files <= self.files_max {
                return Ok(());
            }
            if !is_own(entry) && entry.is_removed() {
                bytes -= entry.bytes;
                files -= 1;
            }
        }
        if bytes <= self.bytes_max && files <= self.files_max {
            return Ok(());
        }
        Err(CacheError::NoRoom {
            path: self.directory.clone(),
            files: files - 1,
            bytes: bytes - more,
        })
    }

    fn entries(&self) -> Vec<Entry> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let entry = |entry: fs::DirEntry| {
            let found = entry.metadata().ok().filter(Metadata::is_file)?;
            let name = entry.file_name().into_string().ok()?;
            let (digest, is_whole) = match name.strip_suffix(".part") {
                Some(digest) => (digest, false),
                None => (&*name, true),
            };
            Some(Entry {
                path: entry.path(),
                digest: Digest::parse(digest)?,
                is_whole,
                bytes: found.len(),
                used: found.modified().ok()?,
            })
        };
        entries.filter_map(entry).collect()
    }
}

impl Entry {
    /// Removes the file, unless somebody uses or fetches it.
    fn is_removed(&self) -> bool {
        let Ok(file) = open(&self.path) else {
            return false;
        };
        // By now another file may lie there, which this lock says nothing of.
        file.try_lock().is_ok() && is_at(&file, &self.path) && fs::remove_file(&self.path).is_ok()
    }
}
