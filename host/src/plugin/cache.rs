//! Where compiled plugins are kept: native code that will be run.
//!
//! ```text
//! <directory>/code/    wasmtime's own cache
//! <directory>/sums/    a digest of each file of code, by its name
//! ```
//!
//! wasmtime runs what it finds in its cache. So nobody else may be able to write there: owners and modes are looked at
//! whenever the cache is opened, and with a single doubt it is not used at all. And since a disk, or a machine that lost
//! its power, can damage what it keeps: code whose digest is not the one noted when it was compiled is thrown away.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

use crate::digest::Digest;

/// How much is kept. wasmtime drops what was used the longest time ago, at most once an hour.
const MAX_BYTES: u64 = 256 << 20;
const MAX_FILES: u64 = 1000;

/// How deep wasmtime's cache is, with room to spare.
const MAX_DEPTH: usize = 8;

/// A directory that is not safe to keep native code in.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("cannot make the cache directory {path}", path = path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot look at {path}", path = path.display())]
    Inspect { path: PathBuf, source: io::Error },
    #[error("{path} can be written by other users, so what is cached there or below cannot be trusted", path = path.display())]
    Exposed { path: PathBuf },
    #[error("{path} is neither a file nor a directory, or too deep: it is not from this cache, remove it", path = path.display())]
    Foreign { path: PathBuf },
    #[error("cannot remove the damaged {path}", path = path.display())]
    Remove { path: PathBuf, source: io::Error },
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

/// wasmtime's cache, with a digest of everything in it.
pub(super) struct SealedCache {
    cache: Cache,
    code: PathBuf,
    sums: PathBuf,
}

impl SealedCache {
    /// Opens the cache in `directory`, which is made if it is not there. What is damaged is removed.
    pub(super) fn open(directory: &Path) -> Result<Self, CacheError> {
        let (code, sums) = (directory.join("code"), directory.join("sums"));
        for directory in [directory, &code, &sums] {
            make(directory)?;
        }
        check_ancestors(&code)?;
        check_ancestors(&sums)?;
        check_below(&code, 0)?;
        check_below(&sums, 0)?;
        remove_damaged(&code, &sums)?;
        let mut config = CacheConfig::new();
        config
            .with_directory(&code)
            .with_files_total_size_soft_limit(MAX_BYTES)
            .with_file_count_soft_limit(MAX_FILES)
            // A file that is compressed anew would no longer have its digest.
            .with_optimized_compression_usage_counter_threshold(u64::MAX);
        let cache = Cache::new(config).map_err(|source| CacheError::Open { path: directory.to_owned(), source })?;
        Ok(Self { cache, code, sums })
    }

    pub(super) fn wasmtime(&self) -> Cache {
        self.cache.clone()
    }

    /// Notes the digest of what was compiled since; a file without one is not used again.
    pub(super) fn seal(&self) -> io::Result<()> {
        for file in code_files(&self.code)? {
            let sum = sum_of(&self.sums, &file);
            if sum.exists() {
                continue;
            }
            // The mask of this process may have let a group write.
            for directory in file.ancestors().skip(1).take_while(|path| *path != self.code) {
                fs::set_permissions(directory, Permissions::from_mode(0o700))?;
            }
            fs::set_permissions(&file, Permissions::from_mode(0o600))?;
            let digest = Digest::of_all(File::open(&file)?)?;
            let mut sum = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(sum)?;
            sum.write_all(digest.to_string().as_bytes())?;
        }
        Ok(())
    }
}

/// Makes a directory that nobody else can look into, if it is not there.
fn make(directory: &Path) -> Result<(), CacheError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| CacheError::Create { path: directory.to_owned(), source })
}

/// Makes sure that nobody but this user and root can replace the directory or put files into it.
fn check_ancestors(directory: &Path) -> Result<(), CacheError> {
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

/// Makes sure that nobody else could have written what is in the directory.
fn check_below(directory: &Path, depth: usize) -> Result<(), CacheError> {
    for path in entries(directory).map_err(|source| CacheError::Inspect { path: directory.to_owned(), source })? {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // Another process tidies up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(CacheError::Inspect { path, source }),
        };
        // What wasmtime notes beside the code is not run, and is written with whatever mask this process has.
        if metadata.is_file() && path.extension().is_some() {
            continue;
        }
        let is_known = metadata.is_file() || (metadata.is_dir() && depth < MAX_DEPTH);
        if !is_known {
            return Err(CacheError::Foreign { path });
        }
        if !is_safe(&metadata, false) {
            return Err(CacheError::Exposed { path });
        }
        if metadata.is_dir() {
            check_below(&path, depth + 1)?;
        }
    }
    Ok(())
}

/// Whether nobody but this user and root can replace the file, or what is in the directory.
///
/// In a sticky directory, such as /tmp, others can add entries but not touch ours: enough for a parent.
fn is_safe(metadata: &Metadata, is_parent: bool) -> bool {
    let owner = metadata.uid();
    let trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
    let others_write = metadata.mode() & 0o022 != 0;
    let sticky = metadata.mode() & 0o1000 != 0;
    trusted && (!others_write || (is_parent && sticky))
}

/// Removes code that is not as it was when it was compiled, and digests of code that is not there.
fn remove_damaged(code: &Path, sums: &Path) -> Result<(), CacheError> {
    let inspect = |path: &Path| {
        let path = path.to_owned();
        |source| CacheError::Inspect { path, source }
    };
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CacheError::Remove { path: path.to_owned(), source })
        }
        _ => Ok(()),
    };
    let mut whole = BTreeSet::new();
    for file in code_files(code).map_err(inspect(code))? {
        let sum = sum_of(sums, &file);
        let expected = read_sum(&sum);
        if expected.is_some() && expected == File::open(&file).and_then(Digest::of_all).ok() {
            whole.insert(sum);
            continue;
        }
        tracing::debug!("{} is damaged, or was never finished: it is compiled anew", file.display());
        remove(&file)?;
    }
    for sum in entries(sums).map_err(inspect(sums))? {
        if !whole.contains(&sum) {
            remove(&sum)?;
        }
    }
    Ok(())
}

fn read_sum(path: &Path) -> Option<Digest> {
    let mut text = String::new();
    File::open(path).ok()?.take(100).read_to_string(&mut text).ok()?;
    Digest::parse(&text)
}

/// wasmtime names code by what it was compiled from, so no two have the same name.
fn sum_of(sums: &Path, code: &Path) -> PathBuf {
    sums.join(code.file_name().unwrap_or_default())
}

/// The files that wasmtime may run: those without an extension.
fn code_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(directory)? {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(code_files(&path)?),
            Ok(_) if path.extension().is_none() => found.push(path),
            _ => {}
        }
    }
    Ok(found)
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        // Another process tidies up.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read?.map(|entry| Ok(entry?.path())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        env::temp_dir().join(format!("soloist-cache-{name}-{}", std::process::id()))
    }

    fn refused(directory: &Path) -> CacheError {
        SealedCache::open(directory).map(drop).unwrap_err()
    }

    #[test]
    fn a_new_directory_is_ours_alone() {
        let directory = scratch("new").join("deep");
        SealedCache::open(&directory).map(drop).unwrap();
        for path in [directory.clone(), directory.join("code"), directory.join("sums")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
        }
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_and_so_is_one_below_it() {
        let exposed = scratch("exposed");
        fs::create_dir_all(exposed.join("inner")).unwrap();
        fs::set_permissions(&exposed, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(refused(&exposed), CacheError::Exposed { .. }));
        assert!(
            matches!(refused(&exposed.join("inner")), CacheError::Exposed { path } if path.ends_with(exposed.file_name().unwrap()))
        );
        fs::remove_dir_all(&exposed).unwrap();
    }

    #[test]
    fn what_others_could_have_written_or_nobody_knows_is_refused_by_its_name() {
        let directory = scratch("inside");
        let code = directory.join("code/modules/wasmtime-1/abc");
        fs::create_dir_all(code.parent().unwrap()).unwrap();
        fs::write(&code, "code").unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
        for path in [code.as_path(), code.parent().unwrap(), &directory.join("code"), &directory.join("sums")] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let before = fs::metadata(path).map_or(0o700, |metadata| metadata.mode() & 0o777);
            make(&directory.join("sums")).unwrap();
            fs::set_permissions(path, Permissions::from_mode(before | 0o022)).unwrap();
            assert!(matches!(refused(&directory), CacheError::Exposed { path: found } if found == path), "{path:?}");
            fs::set_permissions(path, Permissions::from_mode(before & !0o022)).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", code.with_file_name("link")).unwrap();
        assert!(matches!(refused(&directory), CacheError::Foreign { path } if path.ends_with("link")));
        fs::remove_file(code.with_file_name("link")).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&code, Some(65534), None).unwrap();
            assert!(matches!(refused(&directory), CacheError::Exposed { path } if path == code));
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn code_without_its_digest_or_with_another_one_is_removed() {
        let directory = scratch("damaged");
        let cache = SealedCache::open(&directory).unwrap();
        let modules = directory.join("code/modules/wasmtime-1");
        fs::create_dir_all(&modules).unwrap();
        for name in ["whole", "changed", "noted", "cut"] {
            fs::write(modules.join(name), name).unwrap();
        }
        cache.seal().unwrap();
        fs::write(modules.join("changed"), "chanced").unwrap();
        fs::write(modules.join("unknown"), "never sealed").unwrap();
        fs::write(directory.join("sums/cut"), "12").unwrap();
        fs::remove_file(modules.join("noted")).unwrap();
        SealedCache::open(&directory).map(drop).unwrap();
        let names = |directory: &Path| -> Vec<_> {
            entries(directory).unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&modules), ["whole"]);
        assert_eq!(names(&directory.join("sums")), ["whole"]);
        assert_eq!(fs::metadata(modules.join("whole")).unwrap().mode() & 0o777, 0o600);
        fs::remove_dir_all(&directory).unwrap();
    }
}
