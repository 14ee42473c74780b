//! Who can write to what the host runs: nobody but this user and root may.

use std::fs;
use std::io;
use std::path::Path;

use soloist_core::directories::{exposed, is_safe};

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
        if !is_safe(path, &metadata, false) {
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
    match exposed(directory, is_parent) {
        Ok(None) => Ok(()),
        Ok(Some(path)) => Err(CacheError::Exposed { path }),
        Err((path, source)) => Err(CacheError::Inspect { path, source }),
    }
}
