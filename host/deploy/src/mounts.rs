//! File systems, each with its own slots: one that does not answer keeps none of the others from being read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// How many files of one file system are read at once. A thread that the system holds keeps its slot, so there are never more of
/// them either.
pub(crate) const FILES_MAX: usize = 2;

/// The slots of each file system that is read from. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts(Arc<Mutex<BTreeMap<PathBuf, Arc<Semaphore>>>>);

impl Mounts {
    /// The slots of the file system that a path names. It is not looked at, as it may not answer: a symbolic link that leads to
    /// another file system counts where it lies.
    pub(crate) fn slots(&self, path: &Path) -> Arc<Semaphore> {
        let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mount = mount_of(path, &table);
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody reads from is as good as new.
        slots.retain(|_, slots| Arc::strong_count(slots) > 1);
        Arc::clone(
            slots
                .entry(mount)
                .or_insert_with(|| Arc::new(Semaphore::new(FILES_MAX))),
        )
    }
}

/// Where the file system of a path is mounted, by a table as in `/proc/self/mountinfo`: the root if the table does not say.
fn mount_of(path: &Path, table: &[u8]) -> PathBuf {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsStr::from_bytes(&unescaped(field))))
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.components().count())
        .unwrap_or_else(|| PathBuf::from("/"))
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let escaped = digits.and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            &after[3..]
        } else {
            after
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_the_file_system_that_is_mounted_nearest_above_it() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            23 22 0:5 / /srv rw - nfs a:/srv rw\n\
            24 22 0:6 / /srv/my\\040plugins rw shared:2 - nfs b:/ rw\nnonsense\n";
        for (path, mount) in [
            ("/srv/report.wasm", "/srv"),
            ("/srv/my plugins/report.wasm", "/srv/my plugins"),
            ("/srvs/report.wasm", "/"),
            ("/report.wasm", "/"),
        ] {
            assert_eq!(mount_of(Path::new(path), table), Path::new(mount), "{path}");
            assert_eq!(mount_of(Path::new(path), b""), Path::new("/"), "{path}");
        }
        assert_eq!(unescaped(b"a\\134b\\09\\"), b"a\\b\\09\\");
    }

    #[test]
    fn slots_are_shared_while_somebody_has_one_and_bounded_by_those() {
        let mounts = Mounts::default();
        let (one, two) = (mounts.slots(Path::new("/a")), mounts.slots(Path::new("/b")));
        assert!(Arc::ptr_eq(&one, &two), "both lie in the root");
        let proc = mounts.slots(Path::new("/proc/self/stat"));
        assert!(!Arc::ptr_eq(&one, &proc));
        drop((one, two, proc));
        mounts.slots(Path::new("/a"));
        assert_eq!(mounts.0.lock().unwrap().len(), 1);
    }
}
