//! Where a host keeps what it has accepted: a file for each task, in a directory that one host at a time has.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ACCEPTED_BYTES_MAX, Accepted, BadRecord};

/// Why a host cannot keep, or read, what it has accepted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says what the fields are")]
pub enum StoreError {
    /// There is no such directory, and it cannot be made; or it cannot be used.
    #[error("cannot use the directory {path}, in which this host keeps what it has accepted", path = path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// Others could put an old record back, and have an old generation accepted again.
    #[error("others can write to the directory {path}, in which this host keeps what it has accepted: chmod go-w it", path = path.display())]
    Exposed { path: PathBuf },
    /// Two hosts would write over each other's records.
    #[error("another host uses the directory {path}: give each host a `directory` of its own in [deploy]", path = path.display())]
    Taken { path: PathBuf },
    /// The record of a task cannot be read.
    #[error("cannot read {path}, in which this host keeps which generation it has accepted", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The record of a task is none.
    #[error("{path} {bad}", path = path.display())]
    Bad { path: PathBuf, bad: BadRecord },
    /// The record of a task cannot be written.
    #[error("cannot write {path}, in which this host keeps which generation it has accepted", path = path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl StoreError {
    /// Whether the configuration has to be mended, or the machine, before the same can succeed.
    pub fn is_of_configuration(&self) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
        match self {
            Self::Exposed { .. } => true,
            Self::Directory { source, .. } => matches!(
                source.kind(),
                NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem
            ),
            _ => false,
        }
    }
}

/// What a host has accepted, on its disk.
///
/// All of it blocks the thread for as long as the disk takes.
#[derive(Clone, Debug)]
pub struct AcceptedStore {
    directory: PathBuf,
    /// Held as long as the store is used, so that no other host uses it.
    _lock: Arc<File>,
}

impl AcceptedStore {
    /// Opens the store in this directory, which is made if it is missing. Its parent has to be there, so that a host does not
    /// begin anew, and accept old generations, when a disk is not mounted.
    ///
    /// # Errors
    /// [`StoreError::Directory`], [`StoreError::Exposed`], [`StoreError::Taken`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory {
            path: directory.to_owned(),
            source,
        };
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        if fs::metadata(directory).map_err(failed)?.mode() & 0o022 != 0 {
            let path = directory.to_owned();
            return Err(StoreError::Exposed { path });
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(directory.join(".lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = directory.to_owned();
                return Err(StoreError::Taken { path });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self {
            directory: directory.to_owned(),
            _lock: Arc::new(lock),
        })
    }

    /// The highest generation of a task that this host has accepted, if there is one.
    ///
    /// # Errors
    /// The record is there and cannot be read: then nothing of the task is to be accepted, since anything could be old.
    pub fn read(&self, task: &str) -> Result<Option<Accepted>, StoreError> {
        let path = self.path(task);
        let failed = |source| StoreError::Read {
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut data = Vec::new();
        file.take(ACCEPTED_BYTES_MAX as u64 + 1)
            .read_to_end(&mut data)
            .map_err(failed)?;
        let read = Accepted::decode(task, &data);
        read.map(Some).map_err(|bad| StoreError::Bad { path, bad })
    }

    /// Keeps a record in the place of the one before. When this returns, it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Write`]: the record before may still be there.
    pub fn write(&self, accepted: &Accepted) -> Result<(), StoreError> {
        let path = self.path(&accepted.task);
        let written = || {
            let new = path.with_extension("new");
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(&accepted.encode())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            // The name is part of what has to last.
            File::open(&self.directory)?.sync_all()
        };
        written().map_err(|source| StoreError::Write {
            path: path.clone(),
            source,
        })
    }

    fn path(&self, task: &str) -> PathBuf {
        // A name may be `..`, or end in what a record that is being written ends in.
        self.directory.join(format!("{task}.json"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use soloist_core::digest::Digest;
    use soloist_core::records::Generation;

    use super::*;

    fn of(task: &str, number: u64) -> Accepted {
        let sha256 = Digest::of(&number.to_le_bytes());
        Accepted::new(task, Generation { number, sha256 }, None)
    }

    #[test]
    fn what_was_accepted_is_there_after_a_restart_and_damage_is_told() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("accepted");
        let store = AcceptedStore::open(&directory).unwrap();
        assert_eq!(store.read("report").unwrap(), None);
        for number in [3, 4] {
            store.write(&of("report", number)).unwrap();
        }
        store.write(&of("..", 1)).unwrap();
        drop(store);
        let store = AcceptedStore::open(&directory).unwrap();
        assert_eq!(store.read("report").unwrap(), Some(of("report", 4)));
        assert_eq!(store.read("..").unwrap(), Some(of("..", 1)));

        let file = directory.join("report.json");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let told = store.read("report").unwrap_err().to_string();
        assert!(told.contains("report.json is no record"), "{told}");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(matches!(store.read("report"), Err(StoreError::Read { .. })));
        assert!(matches!(
            store.write(&of("report", 5)),
            Err(StoreError::Write { .. })
        ));
    }

    #[test]
    fn two_hosts_do_not_share_a_store_and_none_begins_where_no_disk_is() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("accepted");
        let first = AcceptedStore::open(&directory).unwrap();
        assert!(matches!(
            AcceptedStore::open(&directory),
            Err(StoreError::Taken { .. })
        ));
        drop(first);
        AcceptedStore::open(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            AcceptedStore::open(&directory),
            Err(StoreError::Exposed { .. })
        ));
        let missing = parent.path().join("not-mounted/accepted");
        assert!(matches!(
            AcceptedStore::open(&missing),
            Err(StoreError::Directory { .. })
        ));
    }
}
