//! Which change of the sources is one to build for.
//!
//! The files are looked at again and again rather than watched: what an editor does to save (rename, truncate, write twice)
//! makes no difference, it works on every file system, and there is no limit to run into. A look at a project takes a
//! millisecond.
//!
//! The build's own output is not looked at. Should a build change a source nonetheless, time and again, that file is left
//! out from then on, so that nothing is built for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use soloist_core::digest::Digest;

/// How many files are looked at. A project has fewer.
const FILES_MAX: usize = 10_000;
/// How deep folders are looked into.
const DEPTH_MAX: usize = 32;
/// How much of a file is compared, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How many builds in a row may change a file before it is taken for something that the build writes.
const BUILDS_MAX: u32 = 3;

/// Folders that no source is in, wherever they lie. No other folder is known by its name alone, but Cargo's output.
const NO_SOURCES: [&str; 2] = ["node_modules", "__pycache__"];
/// Where Cargo writes in the folder of a crate. It marks what it has made itself, and not a folder that was there before.
const CARGO_OUTPUT: &str = "target";
/// What a folder says with that no source is in it: a cache, an environment of Python.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", "pyvenv.cfg"];
/// What tools write: compiled plugins, versions of dependencies.
const WRITTEN_BY_TOOLS: [&str; 3] = ["wasm", "lock", "pyc"];

/// What a file looked like.
#[derive(Clone, Debug)]
struct Look {
    modified: Option<SystemTime>,
    bytes: u64,
    content: Option<Digest>,
}

impl PartialEq for Look {
    /// A file that was only touched has not changed.
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

type Looks = BTreeMap<PathBuf, Look>;

/// The sources of a project, or a plugin without any.
#[derive(Debug)]
pub struct Sources {
    root: PathBuf,
    /// What there was when the last build began.
    built: Looks,
    /// What there was at the last look.
    latest: Looks,
    /// In how many builds in a row each file has changed.
    restless: BTreeMap<PathBuf, u32>,
    /// What a build writes.
    left_out: BTreeSet<PathBuf>,
}

impl Sources {
    /// Looks at a folder with all in it, or at one file.
    pub fn new(root: &Path) -> Self {
        let root = root.to_owned();
        let mut sources = Self {
            root,
            built: Looks::new(),
            latest: Looks::new(),
            restless: BTreeMap::new(),
            left_out: BTreeSet::new(),
        };
        sources.look();
        sources.built = sources.latest.clone();
        sources
    }

    /// Looks again. Tells whether there is something to build for: what has changed since the last build and is quiet now.
    pub(super) fn has_changed(&mut self) -> bool {
        let before = self.latest.clone();
        self.look();
        before == self.latest && self.is_behind()
    }

    /// Whether something differs from what the last build began with.
    pub(super) fn is_behind(&self) -> bool {
        self.latest != self.built
    }

    /// A build begins with what there is now.
    pub(super) fn build_begins(&mut self, is_asked_for: bool) {
        if is_asked_for {
            self.restless.clear();
            self.left_out.clear();
        }
        self.look();
        self.built = self.latest.clone();
    }

    /// A build has ended. Gives files that change with each build, and are not looked at any more.
    pub(super) fn build_ends(&mut self) -> Vec<PathBuf> {
        self.look();
        let changed: BTreeSet<_> = changes(&self.built, &self.latest).into_iter().collect();
        self.restless.retain(|path, _| changed.contains(path));
        let mut found = Vec::new();
        for path in changed {
            let builds = self.restless.entry(path.clone()).or_default();
            *builds += 1;
            if *builds >= BUILDS_MAX {
                found.push(path);
            }
        }
        for path in &found {
            self.built.remove(path);
            self.latest.remove(path);
            self.restless.remove(path);
            self.left_out.insert(path.clone());
        }
        found
    }

    fn look(&mut self) {
        let mut looks = Looks::new();
        let root = self.root.clone();
        if root.is_dir() {
            self.look_into(&root, 0, &mut looks);
        } else {
            self.look_at(root, &mut looks);
        }
        self.latest = looks;
    }

    fn look_into(&self, folder: &Path, depth: usize, looks: &mut Looks) {
        // What cannot be read has no sources to build.
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        if depth > 0
            && entries
                .iter()
                .any(|entry| MARKS.iter().any(|mark| entry.file_name() == *mark))
        {
            return;
        }
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if looks.len() >= FILES_MAX {
                return;
            }
            if kind.is_dir() {
                let is_output = depth == 0 && name == CARGO_OUTPUT && is_crate(folder);
                if depth < DEPTH_MAX && is_folder_of_sources(&name) && !is_output {
                    self.look_into(&path, depth + 1, looks);
                }
            } else if is_source(&name) && !self.left_out.contains(&path) {
                self.look_at(path, looks);
            }
        }
    }

    /// Reads a file only if it was touched since the last look.
    fn look_at(&self, path: PathBuf, looks: &mut Looks) {
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        if !metadata.is_file() {
            return;
        }
        let (modified, bytes) = (metadata.modified().ok(), metadata.len());
        let known = self
            .latest
            .get(&path)
            .filter(|it| it.modified == modified && it.bytes == bytes);
        let look = known.cloned().unwrap_or_else(|| Look {
            modified,
            bytes,
            content: content(&path),
        });
        looks.insert(path, look);
    }
}

fn content(path: &Path) -> Option<Digest> {
    Digest::of_all(File::open(path).ok()?.take(FILE_BYTES_MAX)).ok()
}

fn changes(before: &Looks, after: &Looks) -> Vec<PathBuf> {
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .cloned()
        .collect()
}

fn is_folder_of_sources(name: &str) -> bool {
    name == ".cargo" || (!name.starts_with('.') && !NO_SOURCES.contains(&name))
}

fn is_crate(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

/// Whether a file may be a source, by its name: no hidden one, none that an editor keeps beside, none that tools write.
fn is_source(name: &str) -> bool {
    let is_beside = name.starts_with(['.', '#']) || name.ends_with('~');
    let ending = Path::new(name)
        .extension()
        .and_then(|it| it.to_str())
        .unwrap_or_default();
    !is_beside && !WRITTEN_BY_TOOLS.contains(&ending)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn project() -> (TempDir, Sources) {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/lib.rs"), "1").unwrap();
        let sources = Sources::new(folder.path());
        (folder, sources)
    }

    #[test]
    fn a_change_is_one_to_build_for_once_it_is_quiet() {
        let (folder, mut sources) = project();
        let file = folder.path().join("src/lib.rs");
        assert!(!sources.has_changed());
        fs::write(&file, "half").unwrap();
        assert!(!sources.has_changed(), "somebody may be writing");
        fs::write(&file, "a whole").unwrap();
        assert!(!sources.has_changed(), "somebody is writing");
        assert!(sources.has_changed());
        sources.build_begins(false);
        assert!(sources.build_ends().is_empty() && !sources.has_changed());
        fs::remove_file(&file).unwrap();
        assert!(!sources.has_changed() && sources.has_changed());
    }

    #[test]
    fn what_a_build_writes_is_not_looked_at() {
        let (folder, mut sources) = project();
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        for name in ["target", "out", "env", "src/node_modules"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        sources.build_begins(false);
        for file in [
            "target/a.rs",
            "out/CACHEDIR.TAG",
            "out/b.rs",
            "env/pyvenv.cfg",
            "env/c.py",
            "src/node_modules/d.js",
            "plugin.wasm",
            "Cargo.lock",
            "src/.lib.rs.swp",
            "src/lib.rs~",
        ] {
            fs::write(folder.path().join(file), "2").unwrap();
        }
        assert!(!sources.has_changed() && !sources.has_changed());
        // What is written again as it was is no change either.
        fs::write(folder.path().join("src/lib.rs"), "1").unwrap();
        assert!(!sources.has_changed() && !sources.has_changed());
    }

    /// A folder is not left out because it has the name of one that a build writes.
    #[test]
    fn a_source_in_a_folder_of_any_name_is_looked_at() {
        for (place, is_crate) in [("src/target", true), ("venv", true), ("target", false)] {
            let (folder, mut sources) = project();
            if is_crate {
                fs::write(folder.path().join("Cargo.toml"), "").unwrap();
                sources.build_begins(false);
            }
            fs::create_dir(folder.path().join(place)).unwrap();
            fs::write(folder.path().join(place).join("a.rs"), "2").unwrap();
            assert!(!sources.has_changed() && sources.has_changed(), "{place}");
        }
    }

    #[test]
    fn what_changes_during_a_build_is_built_for_but_not_for_ever() {
        let (folder, mut sources) = project();
        let file = folder.path().join("src/made.rs");
        for build in 1..=BUILDS_MAX {
            sources.build_begins(build == 1);
            fs::write(&file, build.to_string()).unwrap();
            let left_out = sources.build_ends();
            if build < BUILDS_MAX {
                assert!(left_out.is_empty() && sources.has_changed());
            } else {
                assert_eq!(left_out, [&*file]);
            }
        }
        fs::write(&file, "once more").unwrap();
        assert!(!sources.has_changed() && !sources.has_changed());
        // Whoever orders a build may have mended it.
        sources.build_begins(true);
        fs::write(&file, "and more").unwrap();
        assert!(!sources.has_changed() && sources.has_changed());
    }

    #[test]
    fn a_plugin_without_sources_is_looked_at_itself() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("x.wasm");
        fs::write(&file, "1").unwrap();
        let mut sources = Sources::new(&file);
        fs::write(folder.path().join("y.wasm"), "2").unwrap();
        assert!(!sources.has_changed() && !sources.has_changed());
        fs::write(&file, "2 3").unwrap();
        assert!(!sources.has_changed() && sources.has_changed());
    }
}
