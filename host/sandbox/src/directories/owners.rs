//! Who can write to a file, or exchange what lies in a directory.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::directories::mounts;

/// Whether nobody but this user and root can replace the file, or what is in the directory.
///
/// In a sticky directory, such as /tmp, others can add entries but not touch ours: enough for a parent.
pub(crate) fn is_safe(path: &Path, metadata: &Metadata, is_parent: bool) -> bool {
    is_trusted(path, metadata, is_parent)
        && (!others_write(metadata) || (is_parent && metadata.mode() & 0o1000 != 0))
}

/// Whether others may write to the file, or put entries into the directory.
pub(crate) fn others_write(metadata: &Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

/// Whether the file or directory belongs to this user or to root.
pub(crate) fn is_trusted(path: &Path, metadata: &Metadata, is_parent: bool) -> bool {
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
    let mount = |path: &Path| mounts::mount_id(&mounts::open(path).ok()?);
    let is_there = path == root || mount(path)? == mount(root)?;
    is_there.then(|| fs::metadata(root).ok().map(|root| root.uid()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owns_the_root_is_trusted_with_its_mount_alone() {
        let owner = fs::metadata("/").ok().map(|root| root.uid());
        assert_eq!(owner_of_root(Path::new("/")), owner);
        assert_eq!(owner_of_root(Path::new("/proc")), None);
        assert_eq!(owner_of_root(Path::new("/no/such/directory")), None);
    }
}
