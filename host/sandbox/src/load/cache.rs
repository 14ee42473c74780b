//! Where compiled plugins are kept: native code that will be run.
//!
//! ```text
//! <directory>/code/        wasmtime's own cache
//! <directory>/kept/KEY     what is known of a plugin's file: the name of its code, its digests, what it makes
//! <directory>/kept/KEY.wasm  the component that was made of the file, unless it is one
//! <directory>/new-...      a compilation under way
//! ```
//!
//! wasmtime runs what it finds in its cache. So nobody else may be able to write there: owners and modes are looked at
//! before anything is used, and with a single doubt nothing is. And since a disk, or a machine that lost its power, can
//! damage what it keeps: code whose digest is not the one noted when it was compiled is compiled anew. Only what is used
//! is looked at, however much is kept.

mod trust;

use std::env;
use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::{Cache, CacheConfig, Engine};

pub(crate) use self::trust::check_parent;
use self::trust::{check_ancestors, is_there};
use crate::load::compile::{CODE, COMPONENT, Made};
use crate::load::scratch::{Scratch, make};
use soloist_core::digest::Digest;

/// How much is kept. What was used the longest time ago goes first.
const MAX_BYTES: u64 = 256 << 20;
const MAX_FILES: usize = 1000;

/// Another process may be about to use what was used so recently.
const IN_USE: Duration = Duration::from_secs(3600);

/// How long a note of what is kept may be, in bytes.
const MAX_NOTE_BYTES: u64 = 8 << 10;

/// How deep wasmtime's cache is, with room to spare.
const MAX_DEPTH: usize = 8;

/// Grows whenever a host makes something else of the same file.
const FORMAT: u32 = 2;

/// A directory that is not safe to keep native code in.
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

/// `soloist` in the user's cache directory, if the user has one.
pub(crate) fn user_directory() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    if base.is_none() {
        tracing::debug!("compiled plugins are not kept: neither XDG_CACHE_HOME nor HOME is set");
    }
    base.map(|base| base.join("soloist"))
}

/// wasmtime's cache in a directory.
pub(crate) fn wasmtime_cache(directory: &Path) -> Result<Cache, CacheError> {
    let mut config = CacheConfig::new();
    config
        .with_directory(directory)
        // A file that is compressed anew would no longer have its digest.
        .with_optimized_compression_usage_counter_threshold(u64::MAX);
    Cache::new(config).map_err(|source| CacheError::Open {
        path: directory.to_owned(),
        source,
    })
}

/// What a file is known by to engines of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(Digest);

impl Key {
    pub(crate) fn of(file: Digest, engine: &Engine) -> Self {
        let mut hasher = Sha256Hasher(Sha256::new());
        (FORMAT, env!("CARGO_PKG_VERSION"), file).hash(&mut hasher);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(Digest::of(&hasher.0.finalize()))
    }
}

/// The name under which an engine looks for a component's code: wasmtime's cache has the same rule. Were it another one,
/// nothing would be found, and no plugin would start.
pub(crate) fn code_name(component: &[u8], engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    let (debug_information, intrinsics) = (None::<&[u8]>, None::<&str>);
    (
        engine.precompile_compatibility_hash(),
        component,
        debug_information,
        intrinsics,
    )
        .hash(&mut hasher);
    BASE64_URL_SAFE_NO_PAD.encode(hasher.0.finalize())
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        unreachable!("the digest is taken instead")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// What is noted of a file that was compiled.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Its code, below the directory of wasmtime's cache.
    code: PathBuf,
    code_sum: String,
    component_sum: Option<String>,
    /// What all of it takes.
    bytes: u64,
    made: Made,
}

/// What is kept of a plugin's file: its code is where wasmtime looks.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) made: Made,
    /// The component, if it was made of the file.
    pub(crate) component: Option<Vec<u8>>,
}

/// wasmtime's cache, with a digest of everything in it.
pub(crate) struct SealedCache {
    cache: Cache,
    directory: PathBuf,
    code: PathBuf,
    kept: PathBuf,
}

impl SealedCache {
    /// Opens the cache in `directory`, which is made if it is not there.
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

    /// Where it is, without links.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn wasmtime(&self) -> Cache {
        self.cache.clone()
    }

    /// A place to compile in, from which can be kept.
    pub(crate) fn scratch(&self) -> Result<Scratch, CacheError> {
        Scratch::new(&self.directory).map_err(|source| CacheError::Keep {
            path: self.directory.clone(),
            source,
        })
    }

    /// What is kept of a file. `None` if there is nothing, or nothing that is whole.
    pub(crate) fn find(&self, key: Key) -> Result<Option<Kept>, CacheError> {
        let path = self.note(key);
        let Some(note) = self.read_note(&path)? else {
            return Ok(None);
        };
        // Whoever tidies up from now on leaves it alone. In a cache that can only be read nobody tidies up.
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

    /// Keeps what was compiled in `scratch`, which stays as it is.
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

    /// Puts the code where wasmtime looks for it, whatever was there before.
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

    /// Removes what was used the longest time ago, as long as too much is kept, and code that nobody has noted.
    fn tidy(&self, new: Key) -> io::Result<()> {
        let mut notes = Vec::new();
        for path in entries(&self.kept)?
            .into_iter()
            .filter(|path| path.extension().is_none())
        {
            let Ok(used) = path.metadata().and_then(|metadata| metadata.modified()) else {
                continue;
            };
            // One that cannot be read has no code.
            let note = self.read_note(&path).ok().flatten();
            notes.push((used, path, note));
        }
        notes.sort_by_key(|(used, ..)| *used);
        let mut bytes: u64 = notes
            .iter()
            .flat_map(|(.., note)| note)
            .map(|note| note.bytes)
            .sum();
        let mut files = notes.len();
        let recent = SystemTime::now() - IN_USE;
        notes.retain(|(used, path, note)| {
            let stays = bytes <= MAX_BYTES && files <= MAX_FILES && note.is_some();
            if stays || *used > recent || *path == self.note(new) {
                return true;
            }
            bytes -= note.as_ref().map_or(0, |note| note.bytes);
            files -= 1;
            let _ = fs::remove_file(path);
            let _ = fs::remove_file(path.with_extension("wasm"));
            false
        });
        let known: Vec<_> = notes
            .iter()
            .flat_map(|(.., note)| note)
            .map(|note| self.code.join(&note.code))
            .collect();
        for code in code_files(&self.code, 0)? {
            let is_old = code
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|made| made < recent);
            if is_old && !known.contains(&code) {
                let _ = fs::remove_file(code.with_extension("stats"));
                let _ = fs::remove_file(code);
            }
        }
        Ok(())
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

/// Makes a directory if it is not there, and says where it is without links: these may lead elsewhere later, if others can
/// exchange one, so from then on nothing goes by them.
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

/// Writes a file that is there as a whole or not at all.
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

/// The files below a directory that wasmtime may run: they have no extension.
pub(crate) fn code_files(directory: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(directory)? {
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                found.extend(code_files(&path, depth + 1)?);
            }
            Ok(metadata) if metadata.is_file() && path.extension().is_none() => found.push(path),
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
mod tests;
