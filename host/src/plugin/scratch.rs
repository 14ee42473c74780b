//! A directory for something that is being made.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const PREFIX: &str = "soloist-new-";

/// One that is younger may belong to a process that has not taken hold of it yet.
const YOUNG: Duration = Duration::from_secs(60);

/// How often it is tried to remove one: wasmtime may be writing a note there.
const REMOVALS: usize = 10;

/// A directory that only this user can look into, and that is gone with the value. What a process that was killed has left
/// behind is removed by the next one.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    /// Says to others that it is in use, for as long as this process lives.
    _held: File,
}

impl Scratch {
    /// Makes one in `parent`.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        remove_left_behind(parent);
        loop {
            let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = parent.join(format!("{PREFIX}{process}-{count}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made?;
                    let held = File::open(&path)?;
                    held.lock()?;
                    return Ok(Self { path, _held: held });
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                _ => break,
            }
        }
    }
}

/// Removes those whose processes have ended.
fn remove_left_behind(parent: &Path) {
    let old = SystemTime::now() - YOUNG;
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let is_old = || entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|made| made < old);
        if is_one && is_old() {
            let is_held = |held: File| matches!(held.try_lock(), Err(TryLockError::WouldBlock));
            if !File::open(entry.path()).is_ok_and(is_held) {
                // One of another user stays.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Makes a directory that nobody else can look into, with those above it, if it is not there.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_ours_alone_and_gone_when_it_is_dropped() {
        let parent = std::env::temp_dir();
        let scratch = Scratch::new(&parent).unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(path.join("modules")).unwrap();
        fs::write(path.join("modules/code"), "code").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_others_have_left_behind_is_removed_and_what_they_use_is_not() {
        let parent = Scratch::new(&std::env::temp_dir()).unwrap();
        let used = Scratch::new(parent.path()).unwrap();
        let [left, young, foreign] = [&format!("{PREFIX}1-0"), &format!("{PREFIX}1-1"), "kept"].map(|name| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        });
        let old = SystemTime::now() - 2 * YOUNG;
        for path in [used.path(), &left, &foreign] {
            File::open(path).unwrap().set_modified(old).unwrap();
        }
        drop(Scratch::new(parent.path()).unwrap());
        assert!(used.path().exists() && young.exists() && foreign.exists() && !left.exists());
    }
}
