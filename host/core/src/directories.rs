//! The directories that this process relies on: where the user's cache is, and who else could exchange what lies in one.

use std::env;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// How much of the kernel's text about a descriptor is read, in bytes.
const DESCRIPTOR_BYTES: u64 = 4 << 10;

/// The directory `soloist` in the user's cache directory: in `XDG_CACHE_HOME`, or in `.cache` of `HOME`. None if neither is
/// set to an absolute path.
pub fn user_cache() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("soloist"))
}

/// The first of a directory and those above it in which others than this user and root could exchange something. None if
/// nobody else can replace the directory or put files into it; with `is_parent`, if nobody else can replace what this user
/// makes in it.
///
/// # Errors
/// The path, and why it cannot be looked at.
pub fn exposed(directory: &Path, is_parent: bool) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        |error| (path, error)
    };
    let real = fs::canonicalize(directory).map_err(at(directory))?;
    for (depth, path) in real.ancestors().enumerate() {
        let metadata = fs::metadata(path).map_err(at(path))?;
        if !is_safe(path, &metadata, is_parent || depth > 0) {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// Whether nobody but this user and root can replace the file, or what is in the directory.
///
/// In a sticky directory, such as /tmp, others can add entries but not touch ours: enough for a parent.
pub fn is_safe(path: &Path, metadata: &Metadata, is_parent: bool) -> bool {
    is_trusted(path, metadata, is_parent)
        && (!others_write(metadata) || (is_parent && metadata.mode() & 0o1000 != 0))
}

/// Whether others may write to the file, or put entries into the directory.
pub fn others_write(metadata: &Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

/// Whether the file or directory belongs to this user or to root.
pub fn is_trusted(path: &Path, metadata: &Metadata, is_parent: bool) -> bool {
    let owner = metadata.uid();
    owner == 0
        || owner == rustix::process::geteuid().as_raw()
        || (is_parent && owner_of_root(path) == Some(owner))
}

/// The owner of `/`, if the path lies on the same mount.
///
/// Within a user namespace that does not map root, everything of root's belongs to the user "nobody", `/` too. On another
/// mount nobody may be any other user whom the namespace does not map.
fn owner_of_root(path: &Path) -> Option<u32> {
    let root = Path::new("/");
    let mount = |path: &Path| mount_id(&open_to_identify(path).ok()?);
    let is_there = path == root || mount(path)? == mount(root)?;
    is_there.then(|| fs::metadata(root).ok().map(|root| root.uid()))?
}

/// Opens a file or a directory, only to identify it: the descriptor cannot read.
///
/// # Errors
/// The path does not exist, or this process may not reach it.
pub fn open_to_identify(path: &Path) -> io::Result<File> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// The number of the mount by which an open file was reached. None without /proc.
pub fn mount_id(file: &impl AsFd) -> Option<u64> {
    let mut text = String::new();
    File::open(format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd()))
        .ok()?
        .take(DESCRIPTOR_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    id.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn who_owns_the_root_is_trusted_with_its_mount_alone() {
        let owner = fs::metadata("/").ok().map(|root| root.uid());
        assert_eq!(owner_of_root(Path::new("/")), owner);
        assert_eq!(owner_of_root(Path::new("/proc")), None);
        assert_eq!(owner_of_root(Path::new("/no/such/directory")), None);
    }

    #[test]
    fn whoever_can_exchange_a_directory_on_the_way_exposes_what_lies_in_it() {
        let place = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(place.path()).unwrap();
        let inner = place.join("above/inner");
        fs::create_dir_all(&inner).unwrap();
        let above = place.join("above");
        for (mode_above, mode_inner, as_itself, as_parent) in [
            (0o755, 0o755, None, None),
            (0o775, 0o700, Some(&above), Some(&above)),
            (0o1777, 0o700, None, None),
            (0o755, 0o770, Some(&inner), Some(&inner)),
            (0o755, 0o1777, Some(&inner), None),
        ] {
            fs::set_permissions(&above, Permissions::from_mode(mode_above)).unwrap();
            fs::set_permissions(&inner, Permissions::from_mode(mode_inner)).unwrap();
            let found = [false, true].map(|is_parent| exposed(&inner, is_parent).unwrap());
            assert_eq!(
                found,
                [as_itself.cloned(), as_parent.cloned()],
                "{mode_above:o} {mode_inner:o}"
            );
        }
        let (path, _) = exposed(&place.join("gone"), false).unwrap_err();
        assert_eq!(path, place.join("gone"));
    }
}
