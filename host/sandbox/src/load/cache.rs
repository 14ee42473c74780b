//! The cache of compiled plugins. It holds native code, which the host will run.
//!
//! ```text
//! <directory>/code/        wasmtime's own cache
//! <directory>/kept/KEY     the note of a plugin's file: the name of its code, digests, and what it makes
//! <directory>/kept/KEY.wasm  the component that was made of the file, if the file was none
//! <directory>/new-...      a compilation under way
//! ```
//!
//! wasmtime runs the code that it finds in its cache. So no other user may be able to write there. The host checks owners and
//! modes before it uses anything, and uses nothing if it has a doubt. A disk can damage a file, and so can a loss of power. So
//! the host compares the digest of the code with the digest in the note, and compiles anew if they differ. It checks only the
//! files that it is about to use.

mod key;
mod tidy;
mod trust;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use wasmtime::{Cache, CacheConfig};

pub(crate) use self::key::{Key, code_name};
pub(crate) use self::tidy::code_files;
pub(crate) use self::trust::check_parent;
use self::trust::{check_ancestors, is_there};
use crate::load::compile::{CODE, COMPONENT, Made};
use crate::load::scratch::{Scratch, make};
use soloist_core::digest::Digest;

/// The longest note that the host reads, in bytes.
const MAX_NOTE_BYTES: u64 = 8 << 10;

/// Why a directory cannot be the cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("cannot make the directory {path}", path = path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot look at {path}", path = path.display())]
    Inspect { path: PathBuf, source: io::Error },
    #[error("{path} can be written by other users, so what is cached there or below cannot be trusted", path = path.display())]
    Exposed { path: PathBuf },
    #[error("{path} is not a file of this cache: remove it", path = path.display())]
    Foreign { path: PathBuf },
    #[error("cannot keep a cache in {path}", path = path.display())]
    Open {
        path: PathBuf,
        source: wasmtime::Error,
    },
    #[error("cannot keep what was compiled in {path}", path = path.display())]
    Keep { path: PathBuf, source: io::Error },
}

/// wasmtime's cache in a directory.
pub(crate) fn wasmtime_cache(directory: &Path) -> Result<Cache, CacheError> {
    let mut config = CacheConfig::new();
    config
        .with_directory(directory)
        // wasmtime would compress a file anew, and change its digest.
        .with_optimized_compression_usage_counter_threshold(u64::MAX);
    Cache::new(config).map_err(|source| CacheError::Open {
        path: directory.to_owned(),
        source,
    })
}

/// The note of a plugin's file that was compiled.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The path of the code, below the directory of wasmtime's cache.
    code: PathBuf,
    code_sum: String,
    component_sum: Option<String>,
    /// How many bytes the code and the component have together.
    bytes: u64,
    made: Made,
}

/// What the cache holds of a plugin's file, besides the code. wasmtime finds the code itself.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) made: Made,
    /// The component, if the file itself is none.
    pub(crate) component: Option<Vec<u8>>,
}

/// wasmtime's cache, with a note of the digests of everything in it.
pub(crate) struct SealedCache {
    cache: Cache,
    directory: PathBuf,
    code: PathBuf,
    kept: PathBuf,
}

impl SealedCache {
    /// Opens the cache in `directory`. Creates the directory if it does not exist.
    pub(crate) fn open(directory: &Path) -> Result<Self, CacheError> {
        let safe = |directory: &Path| {
            let real = real(directory)?;
            check_ancestors(&real).map(|()| real)
        };
        let directory = safe(directory)?;
        let (code, kept) = (
            safe(&directory.join("code"))?,
            safe(&directory.join("kept"))?,
        );
        Ok(Self {
            cache: wasmtime_cache(&code)?,
            directory,
            code,
            kept,
        })
    }

    /// The path of the cache, without links.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn wasmtime(&self) -> Cache {
        self.cache.clone()
    }

    /// A directory to compile in. It is on the file system of the cache, so that [`keep`](Self::keep) can move files.
    pub(crate) fn scratch(&self) -> Result<Scratch, CacheError> {
        Scratch::new(&self.directory).map_err(|source| CacheError::Keep {
            path: self.directory.clone(),
            source,
        })
    }

    /// What the cache holds of a file. None if it holds nothing, or if a part is missing or damaged.
    pub(crate) fn find(&self, key: Key) -> Result<Option<Kept>, CacheError> {
        let path = self.note(key);
        let Some(note) = self.read_note(&path)? else {
            return Ok(None);
        };
        // The new time keeps other processes from removing the files. This fails if the cache is read-only, and then no process
        // removes anything.
        let touched = File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        let code = self.code.join(&note.code);
        let is_whole = is_there(&self.code, &code)? && has_digest(&code, &note.code_sum);
        let component = match &note.component_sum {
            None => None,
            Some(sum) => {
                let component = self.component(key);
                if !is_there(&self.kept, &component)? {
                    return Ok(None);
                }
                match fs::read(&component) {
                    Ok(bytes) if Digest::of(&bytes).to_string() == *sum => Some(bytes),
                    _ => return Ok(None),
                }
            }
        };
        let is_gone = touched.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if !is_whole || is_gone {
            tracing::debug!(
                "{} is damaged, or was never finished: it is compiled anew",
                code.display()
            );
            return Ok(None);
        }
        Ok(Some(Kept {
            made: note.made,
            component,
        }))
    }

    /// Adds to the cache what was compiled in `scratch`. The files in `scratch` stay.
    pub(crate) fn keep(&self, key: Key, scratch: &Scratch, made: Made) -> Result<(), CacheError> {
        let keep = || {
            let (compiled, beside) = (scratch.path().join(COMPONENT), scratch.path().join("kept"));
            let component = made.encoded.then(|| fs::read(compiled)).transpose()?;
            let note = self.keep_code(scratch, made, component.as_deref())?;
            if let Some(bytes) = &component {
                write(&beside, bytes, &self.component(key))?;
            }
            let text = serde_json::to_string(&note)?;
            write(
                &beside,
                format!("{}\n{text}", Digest::of(text.as_bytes())).as_bytes(),
                &self.note(key),
            )?;
            self.tidy(key)
        };
        keep().map_err(|source| CacheError::Keep {
            path: self.directory.clone(),
            source,
        })
    }

    /// Puts the code where wasmtime looks for it. Replaces a file that is there.
    fn keep_code(
        &self,
        scratch: &Scratch,
        made: Made,
        component: Option<&[u8]>,
    ) -> io::Result<Note> {
        let made_in = scratch.path().join(CODE);
        let [compiled] = &*code_files(&made_in, 0)? else {
            return Err(io::Error::other(
                "the compiler did not leave one file of code",
            ));
        };
        let code = compiled
            .strip_prefix(&made_in)
            .map_err(io::Error::other)?
            .to_owned();
        fs::set_permissions(compiled, Permissions::from_mode(0o600))?;
        let sum = Digest::of_all(File::open(compiled)?)?;
        let bytes =
            compiled.metadata()?.len() + component.map_or(0, |component| component.len() as u64);
        let (beside, to) = (scratch.path().join("linked"), self.code.join(&code));
        to.parent().map_or(Ok(()), make)?;
        fs::hard_link(compiled, &beside)?;
        fs::rename(beside, to)?;
        let component_sum = component.map(|component| Digest::of(component).to_string());
        Ok(Note {
            code,
            code_sum: sum.to_string(),
            component_sum,
            bytes,
            made,
        })
    }

    fn note(&self, key: Key) -> PathBuf {
        self.kept.join(key.0.to_string())
    }

    fn component(&self, key: Key) -> PathBuf {
        self.note(key).with_extension("wasm")
    }

    fn read_note(&self, path: &Path) -> Result<Option<Note>, CacheError> {
        if !is_there(&self.kept, path)? {
            return Ok(None);
        }
        let read = || -> io::Result<String> {
            let mut text = String::new();
            File::open(path)?
                .take(MAX_NOTE_BYTES)
                .read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().unwrap_or_default();
        let whole = text
            .split_once('\n')
            .filter(|(sum, text)| Digest::of(text.as_bytes()).to_string() == *sum);
        Ok(whole.and_then(|(_, text)| serde_json::from_str(text).ok()))
    }
}

/// Creates a directory if it does not exist, and gives its path without links. Another user may be able to exchange a link
/// later, so the host uses only this path from then on.
fn real(directory: &Path) -> Result<PathBuf, CacheError> {
    make(directory)
        .and_then(|()| fs::canonicalize(directory))
        .map_err(|source| CacheError::Create {
            path: directory.to_owned(),
            source,
        })
}

fn has_digest(path: &Path, sum: &str) -> bool {
    File::open(path)
        .and_then(Digest::of_all)
        .is_ok_and(|digest| digest.to_string() == sum)
}

/// Writes a file at once: other processes see all of it or nothing.
fn write(beside: &Path, content: &[u8], path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(beside)?
        .write_all(content)?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests;
