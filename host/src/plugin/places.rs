//! What a granted directory would give away besides itself.
//!
//! Places are compared by device and inode, with all links followed: a directory has many names.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatFs, statfs};

use super::grants::{Access, Directory};

// Of linux/magic.h.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;

/// What a plugin could do that no grant is meant to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// It could write native code, which this host would run.
    Cache(PathBuf),
    /// It could replace the program of this host.
    Program(PathBuf),
    /// It could grant itself whatever it likes.
    Configuration(PathBuf),
    /// It could change the machine itself: the directory is this one, or lies in it.
    Machine(&'static str),
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(path) => write!(
                f,
                "compiled plugins are kept in {}, and whoever writes there has this host run native code: grant another \
                 directory, or set XDG_CACHE_HOME to one",
                path.display()
            ),
            Self::Program(path) => write!(f, "the program of this host lies in it, {}", path.display()),
            Self::Configuration(path) => write!(
                f,
                "the configuration of this host lies in it, {}, which says what plugins are granted",
                path.display()
            ),
            Self::Machine(what) => write!(f, "by {what} the machine itself can be changed"),
        }
    }
}

/// What lies on a host that no plugin may change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept<'a> {
    pub(super) cache: Option<&'a Path>,
    pub(super) configuration: Option<&'a Path>,
}

impl Kept<'_> {
    /// Says what a plugin could do with the directory that nobody can have meant.
    pub(super) fn danger(&self, directory: &Directory) -> Option<Danger> {
        if directory.access == Access::Read {
            return None;
        }
        let granted = chain(&directory.host);
        // The parts of the cache are looked at as well: each may be mounted elsewhere.
        let caches = self.cache.into_iter().flat_map(|cache| [cache.into(), cache.join("code"), cache.join("kept")]);
        for cache in caches {
            if meet(&granted, &chain(&cache)) || meet(&chain(&cache), &granted) {
                return Some(Danger::Cache(cache));
            }
        }
        let program = std::env::current_exe().ok().filter(|program| meet(&granted, &chain(program)));
        let configuration = self.configuration.filter(|file| meet(&granted, &chain(file)));
        machine(directory)
            .map(Danger::Machine)
            .or(configuration.map(|file| Danger::Configuration(file.to_owned())))
            .or(program.map(Danger::Program))
    }
}

/// What deserves a word about a directory that a plugin may read.
pub(super) fn warning(directory: &Directory) -> Option<String> {
    let what = machine(directory)?;
    Some(format!(
        "the granted directory {} gives away what is the machine's own ({what}): by it a plugin can read this host's memory \
         and variables, secrets among them, or its devices",
        directory.host.display()
    ))
}

/// The part of the machine that the directory is, or lies in.
fn machine(directory: &Directory) -> Option<&'static str> {
    let real = fs::canonicalize(&directory.host).ok()?;
    let kind = statfs(&directory.host).map_or(0, |StatFs { f_type, .. }| f_type);
    match kind {
        _ if real == Path::new("/") => Some("/"),
        PROC_SUPER_MAGIC => Some("/proc"),
        SYSFS_MAGIC => Some("/sys"),
        // Shared memory is a directory like any other.
        _ if real.starts_with("/dev") && !real.starts_with("/dev/shm") => Some("/dev"),
        _ => None,
    }
}

type Id = (u64, u64);

/// The directory or file, and all that it lies in, up to the root; of what is not there, what it would lie in.
fn chain(path: &Path) -> Vec<Id> {
    let real = path.ancestors().find_map(|path| fs::canonicalize(path).ok());
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    real.iter().flat_map(|real| real.ancestors()).filter_map(|path| fs::metadata(path).ok().map(id)).collect()
}

/// Whether the first of these chains begins somewhere in the other.
fn meet(one: &[Id], other: &[Id]) -> bool {
    one.first().is_some_and(|first| other.contains(first))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn writable(host: impl Into<PathBuf>) -> Directory {
        Directory { host: host.into(), guest: "/data".into(), access: Access::Write }
    }

    fn readable(host: impl Into<PathBuf>) -> Directory {
        Directory { access: Access::Read, ..writable(host) }
    }

    #[test]
    fn whoever_could_write_into_the_cache_is_refused_by_whatever_name() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for directory in ["home/cache/soloist/code", "home/cache/soloist/sums", "home/data", "elsewhere"] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        symlink("home", path("link")).unwrap();
        symlink(path("home/cache/soloist/code"), path("deep")).unwrap();
        let cache = path("home/cache/soloist");
        let kept = Kept { cache: Some(&cache), ..Kept::default() };
        for directory in ["", "home", "home/cache", "home/cache/soloist", "home/cache/soloist/sums", "link", "deep"] {
            let danger = kept.danger(&writable(path(directory)));
            assert!(matches!(danger, Some(Danger::Cache(_))), "{directory}: {danger:?}");
            assert_eq!(kept.danger(&readable(path(directory))), None, "{directory}");
        }
        for directory in ["home/data", "elsewhere", "link/data"] {
            assert_eq!(kept.danger(&writable(path(directory))), None, "{directory}");
        }
        // One that is still to be made counts as well.
        let cache = path("elsewhere/to/be/made");
        let kept = Kept { cache: Some(&cache), ..Kept::default() };
        assert!(kept.danger(&writable(path("elsewhere"))).is_some());
        assert_eq!(kept.danger(&writable(path("home"))), None);
    }

    #[test]
    fn the_configuration_and_the_program_are_the_operators() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("data")).unwrap();
        let file = place.path().join("soloist.toml");
        fs::write(&file, "").unwrap();
        let kept = Kept { configuration: Some(&file), ..Kept::default() };
        assert_eq!(kept.danger(&writable(place.path())), Some(Danger::Configuration(file.clone())));
        assert_eq!(kept.danger(&writable(place.path().join("data"))), None);
        let program = std::env::current_exe().unwrap();
        assert!(matches!(kept.danger(&writable(program.parent().unwrap())), Some(Danger::Program(_))));
    }

    #[test]
    fn the_machine_itself_is_not_granted_to_write_and_told_of_to_read() {
        let place = tempfile::tempdir().unwrap();
        symlink("/proc/self", place.path().join("link")).unwrap();
        for (directory, what) in [("/", "/"), ("/proc", "/proc"), ("/sys", "/sys"), ("/dev", "/dev")] {
            assert_eq!(Kept::default().danger(&writable(directory)), Some(Danger::Machine(what)));
            assert!(warning(&readable(directory)).unwrap().contains(what));
        }
        let link = place.path().join("link");
        assert_eq!(Kept::default().danger(&writable(&link)), Some(Danger::Machine("/proc")));
        assert_eq!((Kept::default().danger(&writable("/dev/shm")), warning(&readable("/dev/shm"))), (None, None));
        assert_eq!(warning(&readable(place.path())), None);
    }
}
