//! An artefact that is being fetched.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use rustix::fs::OFlags;
use soloist_core::artefact::MAX_BYTES;
use soloist_core::digest::{Digest, Hasher};

use super::{Artefact, Cache, CacheError, ROUNDS_MAX, is_at};

/// For how many bytes room is made at once. Several processes that fetch at once can have that much each beyond the bound.
const ROOM_BYTES: u64 = 4 << 20;

/// What was fetched of an artefact so far. It stays for the next attempt when this is dropped, also in another process.
#[derive(Debug)]
pub(crate) struct Part {
    cache: Cache,
    digest: Digest,
    path: PathBuf,
    /// Locked, so that no other process writes to it.
    file: File,
    hasher: Hasher,
    length: u64,
    /// Up to which length room was made.
    room: u64,
}

impl Part {
    pub(super) fn begin(cache: Cache, digest: Digest) -> Result<Option<Self>, CacheError> {
        cache.make_room(digest, 0)?;
        let path = cache.path(digest).with_extension("part");
        for _ in 0..ROUNDS_MAX {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                // A link that lies there leads out of the cache.
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&path)
                .map_err(|error| CacheError::of(&path, error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(CacheError::of(&path, error)),
            }
            // Until the lock was ours, another process may have renamed the file to what it is now: the whole artefact.
            if is_at(&file, &path) {
                let mut part = Self {
                    cache,
                    digest,
                    path,
                    file,
                    hasher: Hasher::default(),
                    length: 0,
                    room: 0,
                };
                part.read_again()?;
                return Ok(Some(part));
            }
        }
        Err(CacheError::restless(&path))
    }

    /// How many bytes there are.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The digest of the bytes that there are.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.digest()
    }

    /// The digest that the artefact must have.
    pub(crate) fn wanted(&self) -> Digest {
        self.digest
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// They cannot be written. If the disk or the cache is full, the part is removed, so that it takes no room from others.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        let length = self.length + bytes.len() as u64;
        if length > self.room {
            let room = length + ROOM_BYTES;
            let made = self.cache.make_room(self.digest, room - self.length);
            made.inspect_err(|_| self.remove())?;
            self.room = room;
        }
        if let Err(error) = self.file.write_all(bytes) {
            let error = CacheError::of(&self.path, error);
            if matches!(error, CacheError::Full { .. }) {
                self.remove();
            }
            return Err(error);
        }
        self.hasher.update(bytes);
        self.length = length;
        Ok(())
    }

    /// Forgets what there is.
    ///
    /// # Errors
    /// The file cannot be emptied.
    pub(crate) fn restart(&mut self) -> Result<(), CacheError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| CacheError::of(&self.path, error))?;
        self.hasher = Hasher::default();
        self.length = 0;
        self.room = 0;
        Ok(())
    }

    /// Makes an artefact of the part, which is whole.
    ///
    /// # Errors
    /// It cannot be written to the disk.
    ///
    /// # Panics
    /// If it has another digest.
    pub(crate) fn keep(self) -> Result<Artefact, CacheError> {
        assert_eq!(
            self.digest(),
            self.digest,
            "it is verified before it is kept"
        );
        let whole = self.cache.path(self.digest);
        let kept = self
            .file
            .set_permissions(Permissions::from_mode(0o400))
            .and_then(|()| self.file.sync_all())
            .and_then(|()| fs::rename(&self.path, &whole));
        if let Err(error) = kept {
            let error = CacheError::of(&whole, error);
            self.remove();
            return Err(error);
        }
        // The lock that nobody could share becomes one that others can: for a moment it is nobody's.
        self.file
            .lock_shared()
            .map_err(|error| CacheError::of(&whole, error))?;
        if !is_at(&self.file, &whole) {
            return Err(CacheError::restless(&whole));
        }
        Ok(Artefact {
            path: whole,
            digest: self.digest,
            _file: self.file,
        })
    }

    /// Removes what there is: it is of no use to the next attempt.
    pub(crate) fn discard(self) {
        self.remove();
    }

    fn remove(&self) {
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Computes the digest of what an earlier attempt has left.
    fn read_again(&mut self) -> Result<(), CacheError> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = self.file.read(&mut buffer);
            match read.map_err(|error| CacheError::of(&self.path, error))? {
                0 => break,
                read => {
                    self.hasher.update(&buffer[..read]);
                    self.length += read as u64;
                }
            }
            if self.length > MAX_BYTES {
                return self.restart();
            }
        }
        self.file
            .seek(SeekFrom::End(0))
            .map_err(|error| CacheError::of(&self.path, error))?;
        Ok(())
    }
}
