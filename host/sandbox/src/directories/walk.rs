//! Where a path leads, and through which directories.
//!
//! Directories are told by device and inode: one directory has many names.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

/// As many links in one path as Linux follows.
const LINKS_MAX: u32 = 40;

/// More directories than any path has names.
const DEPTH_MAX: usize = 4096;

/// A file or directory, by device and inode.
pub(crate) type Id = (u64, u64);

/// The way along a path.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// All directories that a name of the path, or of a link in it, was looked up in. Whoever can write to one of them can
    /// make the path lead elsewhere.
    pub(crate) through: Vec<Id>,
    /// What the path leads to; of what is not there, the directory that it would lie in.
    pub(crate) end: Option<Id>,
}

impl Walk {
    /// Goes along the path as it is written.
    pub(crate) fn along(path: &Path) -> Self {
        let Ok(path) = std::path::absolute(path) else {
            return Self::default();
        };
        let (mut at, mut through, mut links) = (PathBuf::from("/"), Vec::new(), 0);
        let mut left = names(&path);
        while let Some(name) = left.pop() {
            through.extend(id(&at));
            // `at` has no links in it, so the directory above it is the one with a name less.
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(name);
            let Ok(found) = next.symlink_metadata() else {
                break;
            };
            if !found.is_symlink() {
                at = next;
                continue;
            }
            links += 1;
            let Some(target) = fs::read_link(next).ok().filter(|_| links <= LINKS_MAX) else {
                break;
            };
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            left.extend(names(&target));
        }
        Self {
            through,
            end: id(&at),
        }
    }

    /// Whether the path leads to this directory, or through it.
    pub(crate) fn meets(&self, directory: Id) -> bool {
        self.end == Some(directory) || self.through.contains(&directory)
    }
}

/// The names in a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(name).collect()
}

/// What the path leads to, if it is there.
pub(crate) fn id(path: &Path) -> Option<Id> {
    fs::metadata(path).ok().map(|metadata| id_of(&metadata))
}

fn id_of(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

/// An open directory, and all that it lies in, up to the root.
///
/// # Errors
/// A directory above it may not be searched.
pub(crate) fn ancestry(directory: &File) -> io::Result<Vec<Id>> {
    let mut at = directory.try_clone()?;
    let mut above = vec![id_of(&at.metadata()?)];
    while above.len() < DEPTH_MAX {
        at = openat(
            &at,
            c"..",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?
        .into();
        let next = id_of(&at.metadata()?);
        // The root lies in itself.
        if above.last() == Some(&next) {
            return Ok(above);
        }
        above.push(next);
    }
    Err(io::ErrorKind::InvalidFilename.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn all_that_a_path_leads_through_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for directory in ["a/b", "c/d", "e"] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        symlink("../c/d", path("a/relative")).unwrap();
        symlink(path("a/relative"), path("e/absolute")).unwrap();
        symlink("round", path("round")).unwrap();
        for (walked, through, end) in [
            ("a/b", &["a"][..], "a/b"),
            ("a/b/../../c", &["a", "a/b"], "c"),
            ("a/relative", &["a", "c"], "c/d"),
            ("e/absolute", &["a", "c", "e"], "c/d"),
            ("e/gone/deeper", &["e"], "e"),
            ("round", &[], ""),
        ] {
            let walk = Walk::along(&path(walked));
            assert_eq!(walk.end, id(&path(end)), "{walked}");
            for directory in ["a", "a/b", "c", "c/d", "e"] {
                let seen = walk.through.contains(&id(&path(directory)).unwrap());
                assert_eq!(
                    seen,
                    through.contains(&directory),
                    "{walked} through {directory}"
                );
            }
            assert!(
                walk.meets(id(place.path()).unwrap()) && walk.meets(id(Path::new("/")).unwrap())
            );
        }
    }

    #[test]
    fn an_open_directory_lies_in_the_same_ones_whatever_its_path_leads_to_now() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        let open = File::open(path("a/b")).unwrap();
        fs::rename(path("a/b"), path("a/old")).unwrap();
        symlink("/", path("a/b")).unwrap();
        let above = ancestry(&open).unwrap();
        let expected: Vec<_> = fs::canonicalize(path("a/old"))
            .unwrap()
            .ancestors()
            .filter_map(id)
            .collect();
        assert_eq!(above, expected);
    }
}
