//! Where a path leads, and through which directories.
//!
//! A directory has many names, by links and by mounts. So it is told by device and inode, and by its place in its file system.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use soloist_core::directories::{is_safe, is_trusted, open_to_identify, others_write};

use crate::directories::mounts::{self, Mounts, Place};

/// As many links in one path as Linux follows.
const LINKS_MAX: u32 = 40;

/// More directories than any path has names.
const DEPTH_MAX: usize = 4096;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Its device and inode. None if it is out of reach.
    id: Option<(u64, u64)>,
    /// Where it lies in its file system, and in those that this one lies on.
    places: Vec<Place>,
}

impl Spot {
    fn of(file: &File, mounts: &Mounts) -> io::Result<Self> {
        Ok(Self {
            id: Some(id_of(&file.metadata()?)),
            places: mounts.places(file),
        })
    }

    /// What the path leads to, if it is there.
    pub(crate) fn at(path: &Path, mounts: &Mounts) -> Option<Self> {
        Self::of(&open_to_identify(path).ok()?, mounts).ok()
    }

    /// All that is mounted below a path, whether it is seen or hidden by another mount.
    pub(crate) fn all_mounted_below(path: &Path, mounts: &Mounts) -> Vec<Self> {
        let spot = |(point, place)| {
            let seen = Self::at(point, mounts);
            let (id, mut places) = seen.map_or_else(Default::default, |it| (it.id, it.places));
            places.push(place);
            Self { id, places }
        };
        mounts.below(path).map(spot).collect()
    }

    /// What the path leads to, and all that is mounted in it.
    pub(crate) fn reached_by(path: &Path, mounts: &Mounts) -> Vec<Self> {
        let Ok(file) = open_to_identify(path) else {
            return Vec::new();
        };
        let inside = mounts::path(&file).map(|path| Self::all_mounted_below(&path, mounts));
        let mut reached: Vec<_> = Self::of(&file, mounts).into_iter().collect();
        reached.extend(inside.into_iter().flatten());
        reached
    }

    /// Whether it is known where it lies.
    pub(crate) fn is_known(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether the other is the same, or lies in it.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.is_same(other) || self.lies_above(other, Place::holds)
    }

    /// Whether the other lies in it, and is not the same.
    pub(crate) fn holds_strictly(&self, other: &Self) -> bool {
        !self.is_same(other)
            && self.lies_above(other, |one, other| one != other && one.holds(other))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.id.is_some() && self.id == other.id
    }

    fn lies_above(&self, other: &Self, does: impl Fn(&Place, &Place) -> bool) -> bool {
        self.places
            .iter()
            .any(|place| other.places.iter().any(|other| does(place, other)))
    }
}

/// The way along a path.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// All directories that a name of the path, or of a link in it, was looked up in. Whoever can write to one of them can
    /// make the path lead elsewhere.
    pub(crate) through: Vec<Spot>,
    /// What the path leads to; of what is not there, the directory that it would lie in.
    pub(crate) end: Option<Spot>,
    /// The first of the directories that other users can exchange an entry of, or the entry.
    pub(crate) exposed: Option<PathBuf>,
}

impl Walk {
    /// Goes along the path as it is written.
    pub(crate) fn along(path: &Path, mounts: &Mounts) -> Self {
        let Ok(path) = std::path::absolute(path) else {
            return Self::default();
        };
        let (mut at, mut walk, mut links) = (PathBuf::from("/"), Self::default(), 0);
        let mut left = names(&path);
        while let Some(name) = left.pop() {
            walk.through.extend(Spot::at(&at, mounts));
            // `at` has no links in it, so the directory above it is the one with a name less.
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(name);
            let found = next.symlink_metadata();
            if walk.exposed.is_none() {
                walk.exposed = exposed(&at, &next, found.as_ref().ok());
            }
            let Ok(found) = found else {
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
        walk.end = Spot::at(&at, mounts);
        walk
    }

    /// Whether the path leads to this directory, or through it, or into it.
    pub(crate) fn meets(&self, directory: &Spot) -> bool {
        self.end
            .iter()
            .chain(&self.through)
            .any(|spot| directory.holds(spot))
    }
}

/// The directory, if other users can exchange what it has in it; or the entry, if the directory is one that everybody may put
/// things into, and this one is not of this user.
fn exposed(directory: &Path, entry: &Path, found: Option<&Metadata>) -> Option<PathBuf> {
    let metadata = fs::metadata(directory).ok()?;
    if !is_safe(directory, &metadata, true) {
        return Some(directory.to_owned());
    }
    let is_foreign = found.is_none_or(|found| !is_trusted(entry, found, false));
    (others_write(&metadata) && is_foreign).then(|| entry.to_owned())
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

fn id_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// An open directory, and all that it lies in, up to the root.
///
/// # Errors
/// A directory above it may not be searched.
pub(crate) fn ancestry(directory: &File, mounts: &Mounts) -> io::Result<Vec<Spot>> {
    let mut at = directory.try_clone()?;
    let mut above = vec![Spot::of(&at, mounts)?];
    while above.len() < DEPTH_MAX {
        at = openat(
            &at,
            c"..",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?
        .into();
        let next = Spot::of(&at, mounts)?;
        // The root lies in itself.
        if above.last().is_some_and(|last| last.is_same(&next)) {
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

    fn id(path: &Path) -> Option<(u64, u64)> {
        Spot::at(path, &Mounts::default())?.id
    }

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
            let mounts = Mounts::read();
            let walk = Walk::along(&path(walked), &mounts);
            assert_eq!(walk.end, Spot::at(&path(end), &mounts), "{walked}");
            for directory in ["a", "a/b", "c", "c/d", "e"] {
                let spot = Spot::at(&path(directory), &mounts).unwrap();
                let seen = walk.through.contains(&spot);
                assert_eq!(
                    seen,
                    through.contains(&directory),
                    "{walked} through {directory}"
                );
            }
            for above in [place.path(), Path::new("/")] {
                assert!(walk.meets(&Spot::at(above, &mounts).unwrap()), "{walked}");
            }
            assert_eq!(walk.exposed, None, "{walked}");
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
        let above = ancestry(&open, &Mounts::default()).unwrap();
        let above: Vec<_> = above.iter().filter_map(|spot| spot.id).collect();
        let expected: Vec<_> = fs::canonicalize(path("a/old"))
            .unwrap()
            .ancestors()
            .filter_map(id)
            .collect();
        assert_eq!(above, expected);
    }

    #[test]
    fn a_path_that_others_can_make_lead_elsewhere_is_known_by_where_they_can() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("open/data")).unwrap();
        fs::create_dir_all(path("safe/data")).unwrap();
        symlink("../safe/data", path("open/link")).unwrap();
        symlink("open/link", path("outer")).unwrap();
        let set = |mode| fs::set_permissions(path("open"), fs::Permissions::from_mode(mode));
        let exposed = |name: &str| Walk::along(&path(name), &Mounts::read()).exposed;
        set(0o777).unwrap();
        for name in ["open/data", "open/link", "outer", "open/to/be/made"] {
            assert_eq!(exposed(name), Some(path("open")), "{name}");
        }
        // Nobody decides what `..` is.
        for name in ["safe/data", "open", "open/../safe"] {
            assert_eq!(exposed(name), None, "{name}");
        }
        // There nobody else can rename what is ours.
        set(0o1777).unwrap();
        for name in ["open/data", "open/link", "outer"] {
            assert_eq!(exposed(name), None, "{name}");
        }
        assert_eq!(exposed("open/to/be/made"), Some(path("open/to")));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(path("open/link"), Some(4242), None).unwrap();
            assert_eq!(exposed("outer"), Some(path("open/link")));
        }
    }
}
