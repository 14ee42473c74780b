//! Why an artefact cannot be kept.

use std::io;
use std::path::{Path, PathBuf};

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
    /// Nobody knows who can write to the directory.
    #[error("cannot look at {path}", path = path.display())]
    Inspect { path: PathBuf, source: io::Error },
    /// Other users could exchange what is in the directory.
    #[error(
        "{path} belongs to another user, or others can write to it: artefacts are not kept in it or below. Take that right away, or \
         set XDG_CACHE_HOME",
        path = path.display()
    )]
    Exposed { path: PathBuf },
    /// Another process has the artefact alone, and does not let go of it.
    #[error(
        "{path} is held by another process, which does not let go of it: see which one has it open, and end that",
        path = path.display()
    )]
    Locked { path: PathBuf },
    /// The cache is full of what is in use.
    #[error(
        "{path} holds as much as it may, {files} artefacts and parts with {bytes} bytes, and all are in use or being fetched: \
         try again when fewer tasks start at once",
        path = path.display()
    )]
    NoRoom {
        path: PathBuf,
        files: usize,
        bytes: u64,
    },
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
    pub(super) fn of(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { path, source },
            _ => Self::Keep { path, source },
        }
    }

    /// Others exchange the file whenever it is looked at.
    pub(super) fn restless(path: &Path) -> Self {
        Self::of(path, io::Error::other("it is never where it was opened"))
    }

    /// Whether it may be better later, without anybody changing how the cache is set up.
    pub(crate) fn is_transient(&self) -> bool {
        !matches!(self, Self::NoDirectory | Self::Exposed { .. })
    }
}
