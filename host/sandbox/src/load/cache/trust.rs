//! Who can write to what the host runs: nobody but this user and root may.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::CacheError;

/// Whether the file is there. One that others could have written is an error.
pub(super) fn is_there(below: &Path, path: &Path) -> Result<bool, CacheError> {
    for path in path.ancestors().take_while(|ancestor| *ancestor != below) {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            metadata => metadata.map_err(|source| CacheError::Inspect {
                path: path.to_owned(),
                source,
            })?,
        };
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(CacheError::Foreign {
                path: path.to_owned(),
            });
        }
        if !is_safe(&metadata, false) {
            return Err(CacheError::Exposed {
                path: path.to_owned(),
            });
        }
    }
    Ok(path.is_file())
}

/// Makes sure that nobody but this user and root can replace the directory or put files into it.
pub(super) fn check_ancestors(directory: &Path) -> Result<(), CacheError> {
    check(directory, false)
}

/// Makes sure that nobody but this user and root can replace what this user makes in the directory.
pub(crate) fn check_parent(directory: &Path) -> Result<(), CacheError> {
    check(directory, true)
}

fn check(directory: &Path, is_parent: bool) -> Result<(), CacheError> {
    let inspect = |path: &Path, source| CacheError::Inspect {
        path: path.to_owned(),
        source,
    };
    let real = fs::canonicalize(directory).map_err(|source| inspect(directory, source))?;
    for (depth, path) in real.ancestors().enumerate() {
        let metadata = fs::metadata(path).map_err(|source| inspect(path, source))?;
        if !is_safe(&metadata, is_parent || depth > 0) {
            return Err(CacheError::Exposed {
                path: path.to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether nobody but this user and root can replace the file, or what is in the directory.
///
/// In a sticky directory, such as /tmp, others can add entries but not touch ours: enough for a parent.
fn is_safe(metadata: &Metadata, is_parent: bool) -> bool {
    let owner = metadata.uid();
    // Within a user namespace root's own directories can belong to somebody without a name there, as `/` does.
    let trusted = owner == 0
        || owner == rustix::process::geteuid().as_raw()
        || (is_parent && fs::metadata("/").is_ok_and(|root| root.uid() == owner));
    let others_write = metadata.mode() & 0o022 != 0;
    let sticky = metadata.mode() & 0o1000 != 0;
    trusted && (!others_write || (is_parent && sticky))
}
