//! A directory for something that is being made.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

const PREFIX: &str = "soloist-new-";

/// One that is younger may belong to a process that has not taken hold of it yet.
const YOUNG: Duration = Duration::from_secs(60);

/// So many entries of a directory are looked at: a shared one, such as /tmp, can have any number of others.
const MAX_ENTRIES: usize = 5000;

/// How often it is tried to remove one: wasmtime may be writing a note there.
const REMOVALS: usize = 10;

/// A directory that only this user can look into, and that is gone with the value. What a process that was killed has left
/// behind is removed by the next one.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Says to others that it is in use, for as long as this process lives.
    held: File,
}

impl Scratch {
    /// Makes one in `parent`, by a name that nobody can foresee.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        remove_left_behind(parent);
        let made = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let held = File::open(made.path())?;
        // From here on it is removed here, as often as it takes.
        let scratch = Self {
            path: made.keep(),
            held,
        };
        scratch.held.lock()?;
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
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

/// Removes those whose processes have ended, as far as they are seen.
fn remove_left_behind(parent: &Path) {
    let old = SystemTime::now() - YOUNG;
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.take(MAX_ENTRIES) {
        let is_named_so = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        // Anybody can put something of that name into a shared directory: a link, or a pipe that would wait for a writer.
        let is_ours =
            |found: Metadata| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
        let is_old = |found: &Metadata| found.modified().is_ok_and(|made| made < old);
        if is_named_so
            && entry
                .metadata()
                .is_ok_and(|found| is_old(&found) && is_ours(found))
        {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags(flags.bits().cast_signed())
                .open(entry.path());
            if opened.is_ok_and(|directory| directory.try_lock().is_ok()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Makes a directory that nobody else can look into, with those above it, if it is not there.
pub(crate) fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
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
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::create_dir(path.join("modules")).unwrap();
        fs::write(path.join("modules/code"), "code").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_others_have_left_behind_is_removed_and_what_they_use_is_not() {
        let parent = Scratch::new(&std::env::temp_dir()).unwrap();
        let used = Scratch::new(parent.path()).unwrap();
        let [left, young, foreign] = [&format!("{PREFIX}1-0"), &format!("{PREFIX}1-1"), "kept"]
            .map(|name| {
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

    #[test]
    fn a_directory_with_very_many_entries_is_not_looked_through() {
        let parent = Scratch::new(&std::env::temp_dir()).unwrap();
        let old = SystemTime::now() - 2 * YOUNG;
        for number in 0..MAX_ENTRIES + 10 {
            let path = parent.path().join(format!("{PREFIX}{number}"));
            fs::create_dir(&path).unwrap();
            File::open(&path).unwrap().set_modified(old).unwrap();
        }
        remove_left_behind(parent.path());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 10);
    }

    #[test]
    fn what_only_bears_its_name_is_neither_waited_for_nor_touched() {
        let parent = Scratch::new(&std::env::temp_dir()).unwrap();
        let [pipe, link, file] =
            ["pipe", "link", "file"].map(|name| parent.path().join(format!("{PREFIX}{name}")));
        let target = parent.path().join("target");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("content"), "content").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        fs::write(&file, "content").unwrap();
        let old = rustix::fs::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let old = rustix::fs::Timestamps {
            last_access: old,
            last_modification: old,
        };
        for path in [&pipe, &link, &file, &target] {
            rustix::fs::utimensat(
                rustix::fs::CWD,
                path,
                &old,
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            )
            .unwrap();
        }
        drop(Scratch::new(parent.path()).unwrap());
        assert!(
            [&pipe, &link, &file, &target.join("content")]
                .iter()
                .all(|path| path.symlink_metadata().is_ok())
        );
    }
}
