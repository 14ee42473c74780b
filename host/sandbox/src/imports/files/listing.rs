//! Reading a granted directory, a bounded part of it at a time: wasmtime would have all of it in memory at once.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, openat, statat};

/// How much the system is asked for at once, in bytes: thirty entries with the longest names, three hundred with the
/// shortest.
const PART_BYTES: usize = 8 * 1024;

/// What is in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name, if that is text.
    pub(super) name: Option<String>,
    /// What it is; a link is a link.
    pub(super) kind: FileType,
}

/// A directory that is being read.
#[derive(Debug)]
pub(super) struct Listing {
    directory: Arc<File>,
    entries: VecDeque<Entry>,
}

impl Listing {
    /// Begins at the beginning, by a handle of its own: it leads to the same directory as the one that is there.
    pub(super) fn open(directory: &File) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let own = openat(directory, c".", flags, Mode::empty())?;
        Ok(Self {
            directory: Arc::new(own.into()),
            entries: VecDeque::new(),
        })
    }

    /// What it holds open.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.directory
    }

    /// The next entry; none when it is at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        while self.entries.is_empty() {
            if !self.read_part()? {
                return Ok(None);
            }
        }
        Ok(self.entries.pop_front())
    }

    /// Reads on, and says whether there was anything.
    fn read_part(&mut self) -> io::Result<bool> {
        let mut buffer = Vec::with_capacity(PART_BYTES);
        let mut part = RawDir::new(&*self.directory, buffer.spare_capacity_mut());
        while let Some(entry) = part.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                let kind = self.kind(name, entry.file_type());
                self.entries.push_back(Entry {
                    name: name.to_str().ok().map(str::to_owned),
                    kind,
                });
            }
            if part.is_buffer_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Not every file system says what an entry is.
    fn kind(&self, name: &CStr, said: FileType) -> FileType {
        if said != FileType::Unknown {
            return said;
        }
        let found = statat(&*self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        found.map_or(FileType::Unknown, |found| {
            FileType::from_raw_mode(found.st_mode)
        })
    }
}
