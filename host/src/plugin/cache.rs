//! Where compiled plugins are kept: native code that will be run, so nobody else may be able to write there.

use std::env;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

/// A directory that is not safe to keep native code in.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("cannot make the cache directory {path}", path = path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot look at {path}", path = path.display())]
    Inspect { path: PathBuf, source: io::Error },
    #[error("{path} can be written by other users, so what is cached there or below cannot be trusted", path = path.display())]
    Exposed { path: PathBuf },
    #[error("cannot keep a cache in {path}", path = path.display())]
    Open { path: PathBuf, source: wasmtime::Error },
}

/// `soloist` in the user's cache directory, if the user has one.
pub(super) fn user_directory() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    if base.is_none() {
        tracing::debug!("compiled plugins are not kept: neither XDG_CACHE_HOME nor HOME is set");
    }
    base.map(|base| base.join("soloist"))
}

/// Opens the cache in `directory`, which is made if it is not there.
pub(super) fn open(directory: &Path) -> Result<Cache, CacheError> {
    prepare(directory)?;
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    Cache::new(config).map_err(|source| CacheError::Open { path: directory.to_owned(), source })
}

/// Makes the directory if it is not there, and makes sure that only this user and root can put files into it.
fn prepare(directory: &Path) -> Result<(), CacheError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| CacheError::Create { path: directory.to_owned(), source })?;
    let inspect = |path: &Path, source| CacheError::Inspect { path: path.to_owned(), source };
    let real = fs::canonicalize(directory).map_err(|source| inspect(directory, source))?;
    for (depth, path) in real.ancestors().enumerate() {
        let metadata = fs::metadata(path).map_err(|source| inspect(path, source))?;
        if !is_safe(&metadata, depth > 0) {
            return Err(CacheError::Exposed { path: path.to_owned() });
        }
    }
    Ok(())
}

/// Whether nobody but this user and root can replace what is in the directory.
///
/// In a sticky directory, such as /tmp, others can add entries but not touch ours: enough for a parent.
fn is_safe(metadata: &Metadata, is_parent: bool) -> bool {
    let owner = metadata.uid();
    let trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
    let others_write = metadata.mode() & 0o022 != 0;
    let sticky = metadata.mode() & 0o1000 != 0;
    trusted && (!others_write || (is_parent && sticky))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        env::temp_dir().join(format!("soloist-cache-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_new_directory_is_ours_alone() {
        let directory = scratch("new").join("deep");
        prepare(&directory).unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_and_so_is_one_below_it() {
        let exposed = scratch("exposed");
        fs::create_dir_all(exposed.join("inner")).unwrap();
        fs::set_permissions(&exposed, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(prepare(&exposed), Err(CacheError::Exposed { .. })));
        assert!(
            matches!(prepare(&exposed.join("inner")), Err(CacheError::Exposed { path }) if path.ends_with(exposed.file_name().unwrap()))
        );
        fs::remove_dir_all(&exposed).unwrap();
    }
}
