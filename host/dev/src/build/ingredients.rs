//! What a plugin is made of, as one digest: while that is the same, the compiler has nothing new to make.
//!
//! Every file of the project counts by its path and its content, so one that is removed counts as well. The files of tools and
//! packages are many and large: each counts by its path, its size and when it was changed.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use soloist_core::digest::{Digest, Hasher};

/// How many files are looked at, in each folder that is added.
const FILES_MAX: usize = 50_000;
/// How deep folders are looked into: links can lead in a circle.
const DEPTH_MAX: usize = 32;

/// What a folder says with that no source is in it: a cache, an environment of Python.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", "pyvenv.cfg"];
/// What lies in the folder of a project and in no plugin: what was made of it, and what hosts and people read.
const NO_SOURCES: [&str; 3] = ["plugin.wasm", "soloist.toml", "README.md"];

/// What is added up.
pub(super) struct Ingredients(Hasher);

impl Ingredients {
    /// Of a tool with these arguments, as far as this version of `soloist` runs it.
    pub(super) fn of(command: &[&str]) -> Self {
        let mut ingredients = Self(Hasher::default());
        ingredients.add(env!("CARGO_PKG_VERSION").as_bytes());
        for part in command {
            ingredients.add(part.as_bytes());
        }
        ingredients
    }

    /// Adds the sources of a project: all that lies in its folder but hidden files, what npm installs, environments of Python,
    /// and the scripts of `soloist test`.
    ///
    /// # Errors
    /// There are too many files, or one cannot be read.
    pub(super) fn add_sources(&mut self, project: &Path) -> io::Result<()> {
        for path in files(project, is_source)? {
            self.add(path.as_os_str().as_bytes());
            self.add_file(&project.join(path))?;
        }
        Ok(())
    }

    /// Adds the content of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn add_file(&mut self, file: &Path) -> io::Result<()> {
        let content = Digest::of_all(File::open(file)?)?;
        self.add(content.to_string().as_bytes());
        Ok(())
    }

    /// Adds what tools and packages a folder has.
    ///
    /// # Errors
    /// There are too many files, or one cannot be looked at.
    pub(super) fn add_packages(&mut self, folder: &Path) -> io::Result<()> {
        self.add(folder.as_os_str().as_bytes());
        for path in files(folder, |_| true)? {
            let metadata = fs::metadata(folder.join(&path))?;
            let changed = metadata.modified()?.duration_since(UNIX_EPOCH);
            self.add(path.as_os_str().as_bytes());
            self.add(&metadata.len().to_le_bytes());
            self.add(&changed.unwrap_or_default().as_nanos().to_le_bytes());
        }
        Ok(())
    }

    /// All of it.
    pub(super) fn digest(self) -> Digest {
        self.0.digest()
    }

    /// Adds a part that cannot be taken for the end of the one before it.
    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }
}

/// Whether a plugin can be made of a file or folder of a project, by its path in there.
fn is_source(path: &Path) -> bool {
    let is_of_tests = path.starts_with("tests") && path.extension().is_some_and(|it| it == "toml");
    let is_nothing = NO_SOURCES.iter().any(|name| path == Path::new(name));
    !is_of_tests && !is_nothing && !path.ends_with("node_modules")
}

/// The paths of all files below a folder, in order; links are followed. Hidden ones do not count, nor what Python writes for
/// itself.
fn files(root: &Path, counts: impl Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let name = entry?.file_name();
            let path = folder.join(&name);
            let is_left_out = name.as_bytes().starts_with(b".") || name == "__pycache__";
            if is_left_out || !counts(&path) {
                continue;
            }
            let file = root.join(&path);
            if !fs::metadata(&file)?.is_dir() {
                found.push(path);
            } else if !MARKS.iter().any(|mark| file.join(mark).exists()) {
                folders.push((path, depth + 1));
            }
            if found.len() + folders.len() > FILES_MAX || depth > DEPTH_MAX {
                return Err(io::Error::other("more files than are looked at"));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn digest(folder: &Path) -> Digest {
        let mut ingredients = Ingredients::of(&["tool"]);
        ingredients.add_sources(folder).unwrap();
        ingredients.digest()
    }

    #[test]
    fn a_source_that_is_written_renamed_or_removed_makes_a_difference_and_nothing_else_does() {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("app.py", "import a");
        write("a.py", "1");
        let first = digest(folder.path());
        for name in [
            "plugin.wasm",
            ".plugin.wasm.made",
            "soloist.toml",
            "tests/life.toml",
            "__pycache__/a.pyc",
            "venv/pyvenv.cfg",
            "venv/lib/a.py",
            "node_modules/a.js",
        ] {
            write(name, "1");
            assert_eq!(digest(folder.path()), first, "{name}");
        }
        for name in ["a.py", "target/b.py", "tests/b.py", "data.bin"] {
            let before = digest(folder.path());
            write(name, "2");
            assert_ne!(digest(folder.path()), before, "{name}");
        }
        let before = digest(folder.path());
        fs::rename(folder.path().join("a.py"), folder.path().join("c.py")).unwrap();
        let renamed = digest(folder.path());
        fs::remove_file(folder.path().join("c.py")).unwrap();
        let removed = digest(folder.path());
        assert!(renamed != before && removed != renamed && removed != before);
    }

    #[test]
    fn what_leads_in_a_circle_or_nowhere_is_not_known() {
        for target in [".", "nowhere"] {
            let folder = TempDir::new().unwrap();
            std::os::unix::fs::symlink(target, folder.path().join("link")).unwrap();
            let mut ingredients = Ingredients::of(&[]);
            assert!(ingredients.add_sources(folder.path()).is_err(), "{target}");
        }
    }

    #[test]
    fn a_package_that_is_installed_or_exchanged_makes_a_difference() {
        let folder = TempDir::new().unwrap();
        let digest = || {
            let mut ingredients = Ingredients::of(&[]);
            ingredients.add_packages(folder.path()).unwrap();
            ingredients.digest()
        };
        let mut seen = vec![digest()];
        for (name, text) in [
            ("a-1.0/a.py", "1"),
            ("b-1.0/b.py", "1"),
            ("b-1.0/b.py", "22"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            assert!(!seen.contains(&digest()), "{name}");
            seen.push(digest());
        }
    }
}
