//! The artefacts that were fetched, by their SHA-256.
//!
//! ```text
//! <directory>/DIGEST        an artefact, whole and verified: whoever uses it shares its lock
//! <directory>/DIGEST.part   one that is being fetched, or of which a part was: whoever fetches it holds its lock
//! ```
//!
//! Several processes share the directory. An artefact appears by one `rename`, and is never changed. A disk can damage it, so
//! its digest is computed again whenever it is asked for. Only whoever holds the lock of a file alone removes or renames it.

mod error;
mod part;
mod room;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;
use soloist_core::artefact::MAX_BYTES;
use soloist_core::digest::Digest;
use soloist_core::directories::{exposed, user_cache};

pub use self::error::CacheError;
pub(crate) use self::part::Part;

/// How many bytes a cache holds unless it is told otherwise: four artefacts of the largest size.
const BYTES_MAX: u64 = 4 * MAX_BYTES;

/// How many artefacts and parts a cache holds unless it is told otherwise.
const FILES_MAX: usize = 100;

/// How many the cache of a host holds.
const HOST_FILES_MAX: usize = 10_000;

/// How often a file is opened that others exchange meanwhile.
const ROUNDS_MAX: usize = 10;

/// For how long a file is waited for that another process has alone, and how often it is tried.
const LOCK_TIME: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A directory of artefacts.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
    /// How many bytes it holds, with all parts.
    bytes_max: u64,
    /// How many artefacts and parts it holds.
    files_max: usize,
}

/// An artefact that is there, whole and verified. Until this is dropped, no process removes its file from the cache.
#[derive(Debug)]
pub struct Artefact {
    /// Its file. A disk can damage it: whoever reads it compares the SHA-256 of what was read once more.
    pub path: PathBuf,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its lock, which is shared.
    _file: File,
}

impl Cache {
    /// The cache of this user: `soloist/artefacts` in `XDG_CACHE_HOME`, or in `.cache` of `HOME`.
    ///
    /// # Errors
    /// The user has no such directory, or see [`Cache::open`].
    pub fn of_user() -> Result<Self, CacheError> {
        let base = user_cache().ok_or(CacheError::NoDirectory)?;
        Self::open(&base.join("artefacts"))
    }

    /// Opens the cache in a directory. Makes the directory if it is not there. Links on the way to it are followed now, and
    /// not again.
    ///
    /// # Errors
    /// The directory cannot be made, or other users can write to it or to one above it.
    pub fn open(directory: &Path) -> Result<Self, CacheError> {
        let directory = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| fs::canonicalize(directory))
            .map_err(|source| CacheError::Create {
                path: directory.to_owned(),
                source,
            })?;
        match exposed(&directory, false) {
            Ok(None) => Ok(Self {
                directory,
                bytes_max: BYTES_MAX,
                files_max: FILES_MAX,
            }),
            Ok(Some(path)) => Err(CacheError::Exposed { path }),
            Err((path, source)) => Err(CacheError::Inspect { path, source }),
        }
    }

    /// The same, with room for so many bytes, and as many files as a host may have tasks.
    #[must_use]
    pub fn with_room(self, bytes_max: u64) -> Self {
        Self {
            bytes_max,
            files_max: HOST_FILES_MAX,
            ..self
        }
    }

    /// An artefact that is there and whole. One that is damaged is removed.
    ///
    /// # Errors
    /// It cannot be looked at, or is damaged and cannot be removed.
    pub(crate) fn find(&self, digest: Digest) -> Result<Option<Artefact>, CacheError> {
        let path = self.path(digest);
        for _ in 0..ROUNDS_MAX {
            let file = match open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(CacheError::of(&path, error)),
            };
            // Whoever has it alone is about to remove it, or has just made it.
            lock_shared(&file, &path, LOCK_TIME)?;
            if !is_at(&file, &path) {
                continue;
            }
            // What was used last goes last. It is no harm if the disk can only be read.
            let _ = file.set_modified(SystemTime::now());
            if Digest::of_all(&file).is_ok_and(|found| found == digest) {
                return Ok(Some(Artefact {
                    path,
                    digest,
                    _file: file,
                }));
            }
            tracing::warn!("{} is damaged: it is fetched anew", path.display());
            // If somebody else reads it as well, the one that is fetched anew takes its place.
            if file.try_lock().is_ok() && is_at(&file, &path) {
                fs::remove_file(&path).map_err(|error| CacheError::of(&path, error))?;
            }
            return Ok(None);
        }
        Err(CacheError::restless(&path))
    }

    /// Takes hold of the part of an artefact that was fetched so far. None if another process is fetching it.
    ///
    /// # Errors
    /// There is no room for it, or no file can be made.
    pub(crate) fn begin(&self, digest: Digest) -> Result<Option<Part>, CacheError> {
        Part::begin(self.clone(), digest)
    }

    /// Keeps bytes that are at hand.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<(), CacheError> {
        let digest = Digest::of(bytes);
        // Another process that is fetching it will keep it.
        let Some(mut part) = self.begin(digest)? else {
            return Ok(());
        };
        part.restart()?;
        part.append(bytes)?;
        part.keep().map(drop)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }
}

/// Opens a file of the cache to read. A link that lies there leads out of the cache, and a pipe would wait for a writer.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Shares the lock of a file. Whoever has it alone has it for moments, unless somebody stops that process: it is waited for
/// so long.
fn lock_shared(file: &File, path: &Path, within: Duration) -> Result<(), CacheError> {
    let began = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(CacheError::of(path, error)),
            Err(TryLockError::WouldBlock) if began.elapsed() < within => sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(CacheError::Locked {
                    path: path.to_owned(),
                });
            }
        }
    }
}

/// Whether it is this very file that lies there now.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests;
