//! The artefacts that were fetched, by their SHA-256.
//!
//! ```text
//! <directory>/DIGEST        an artefact, whole and verified
//! <directory>/DIGEST.part   one that is being fetched, or of which a part was: whoever fetches it holds its lock
//! ```
//!
//! Several processes share the directory. An artefact appears by one `rename`, and is never changed. A disk can damage it, so
//! its digest is computed again whenever it is asked for.

mod part;
mod tidy;

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use soloist_core::digest::Digest;

pub(crate) use self::part::Part;

/// Why an artefact cannot be kept.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says what the fields are")]
pub enum CacheError {
    /// There is no directory to keep it in.
    #[error("no directory to keep artefacts in: set XDG_CACHE_HOME or HOME")]
    NoDirectory,
    /// The directory cannot be made.
    #[error("cannot make the directory {path}", path = path.display())]
    Create { path: PathBuf, source: io::Error },
    /// Other users could exchange what is in the directory.
    #[error(
        "{path} belongs to another user, or others can write to it: artefacts are not kept there. Remove it, or set XDG_CACHE_HOME",
        path = path.display()
    )]
    Exposed { path: PathBuf },
    /// There is no more room on the disk.
    #[error(
        "no room left to keep the artefact in {path}: free some, or set XDG_CACHE_HOME to a directory that has some",
        path = path.display()
    )]
    Full { path: PathBuf, source: io::Error },
    /// Reading or writing has failed otherwise.
    #[error("cannot keep the artefact in {path}", path = path.display())]
    Keep { path: PathBuf, source: io::Error },
}

impl CacheError {
    fn of(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { path, source },
            _ => Self::Keep { path, source },
        }
    }
}

/// A directory of artefacts.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The cache of this user: `soloist/artefacts` in `XDG_CACHE_HOME`, or in `.cache` of `HOME`.
    ///
    /// # Errors
    /// The user has no such directory, or see [`Cache::open`].
    pub fn of_user() -> Result<Self, CacheError> {
        let absolute = |name| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .ok_or(CacheError::NoDirectory)?;
        Self::open(&base.join("soloist/artefacts"))
    }

    /// Opens the cache in a directory. Makes the directory if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made, or other users can write to it.
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
        let found =
            fs::symlink_metadata(&directory).map_err(|error| CacheError::of(&directory, error))?;
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || found.mode() & 0o022 != 0 {
            return Err(CacheError::Exposed { path: directory });
        }
        Ok(Self { directory })
    }

    /// The path of an artefact that is there and whole. One that is damaged is removed.
    ///
    /// Other processes leave it alone for an hour from now. Whoever reads it compares the digest of what was read once more.
    ///
    /// # Errors
    /// It is damaged and cannot be removed.
    pub(crate) fn find(&self, digest: Digest) -> Result<Option<PathBuf>, CacheError> {
        let path = self.path(digest);
        let Ok(file) = File::open(&path) else {
            return Ok(None);
        };
        // Before it is read, which takes its time.
        let _ = file.set_modified(SystemTime::now());
        if Digest::of_all(file).is_ok_and(|found| found == digest) {
            return Ok(Some(path));
        }
        tracing::warn!("{} is damaged: it is fetched anew", path.display());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CacheError::of(&path, error))
            }
            _ => Ok(None),
        }
    }

    /// Takes hold of the part of an artefact that was fetched so far. None if another process is fetching it.
    ///
    /// # Errors
    /// No file can be made.
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

#[cfg(test)]
mod tests;
