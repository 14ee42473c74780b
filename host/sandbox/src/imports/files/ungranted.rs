//! The paths that no granted directory covers.
//!
//! The library of a language looks for the granted directory that a path lies in. Where there is none, it would fail by
//! itself, with a code that says neither the path nor what to grant, and the host would hear nothing. So the host gives
//! the plugin one more directory, `/`, in which there is nothing. A library prefers any granted directory to that one, and
//! asks the host for all other paths, which the host refuses with a line in the log.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::{Arc, LazyLock};

use rustix::fs::{MemfdFlags, memfd_create};
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, Dir, FsPerms, OpenMode};

use super::FilesView;
use soloist_core::grants::Grants;
use soloist_core::text::quoted;

/// How many paths an attempt is told of, each once: an interpreter looks for its own sources whenever something fails.
const TOLD_MAX: usize = 32;

/// No system takes a longer path.
const PATH_BYTES_MAX: usize = 4096;

/// What the plugin has for `/`. It is an empty file in memory, so the kernel itself finds no path in it.
static NOWHERE: LazyLock<io::Result<Dir>> = LazyLock::new(|| {
    let nowhere = File::from(memfd_create(c"nowhere", MemfdFlags::CLOEXEC)?);
    Ok(Dir::new(nowhere, FsPerms::ReadOnly, OpenMode::READ, true))
});

/// Refuses one attempt of a plugin the paths that no grant covers, and tells of them.
#[derive(Debug)]
pub(crate) struct Ungranted {
    /// Whether `/` itself is granted, which covers all.
    nothing: bool,
    /// Whether the task says that its plugin is to have no directory.
    is_said: bool,
    told: BTreeSet<String>,
}

impl Ungranted {
    pub(crate) fn new(grants: &Grants) -> Self {
        let mut guests = grants.dirs.iter().map(|directory| &directory.guest);
        Self {
            nothing: guests.any(|guest| guest.trim_matches('/').is_empty()),
            is_said: grants.dirs_said && grants.dirs.is_empty(),
            told: BTreeSet::new(),
        }
    }

    /// Whether the log is to tell of the path.
    fn is_news(&mut self, path: &str) -> bool {
        !self.is_said
            && self.told.len() < TOLD_MAX
            && path.len() <= PATH_BYTES_MAX
            && self.told.insert(path.to_owned())
    }
}

impl FilesView<'_> {
    /// The granted directories and, if `/` is not among them, the one in which there is nothing. That one is the last:
    /// some libraries begin with the first.
    pub(super) fn directories(
        &mut self,
        mut granted: Vec<(Resource<Descriptor>, String)>,
    ) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        if !self.ungranted.nothing
            && let Ok(nowhere) = &*NOWHERE
        {
            let nowhere = self.table.push(Descriptor::Dir(nowhere.clone()))?;
            granted.push((nowhere, "/".into()));
        }
        Ok(granted)
    }

    /// Whether no grant covers the path, which the log tells then. It `is_directory` if the plugin says so.
    pub(super) fn is_ungranted(
        &mut self,
        place: &Resource<Descriptor>,
        path: &str,
        is_directory: bool,
    ) -> wasmtime::Result<bool> {
        let (Descriptor::Dir(place), Ok(nowhere)) = (self.table.get(place)?, &*NOWHERE) else {
            return Ok(false);
        };
        if !Arc::ptr_eq(&place.dir, &nowhere.dir) {
            return Ok(false);
        }
        if self.ungranted.is_news(path) {
            self.refuse_file(&refusal(path, is_directory));
        }
        Ok(true)
    }
}

/// What the log says, with the line of the configuration that would grant the path, like the refusals of the network.
fn refusal(path: &str, is_directory: bool) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = if path == "." { "" } else { path };
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let guest = if is_directory { path } else { parent };
    // The plugin chose the path, and may want it to read like a line that grants more.
    let (path, guest) = (quoted(&format!("/{path}")), quoted(&format!("/{guest}")));
    format!(
        "{path} is in no directory that is granted to this task; if it is meant, add to its [task.allow]: \
         dirs = [{{ host = \"/DIRECTORY\", guest = {guest} }}]"
    )
}

#[cfg(test)]
mod tests {
    use soloist_core::grants::{Access, Directory};

    use super::*;

    fn told_of(paths: &[&str], grants: &Grants) -> usize {
        let mut ungranted = Ungranted::new(grants);
        paths.iter().filter(|path| ungranted.is_news(path)).count()
    }

    #[test]
    fn the_line_grants_the_directory_that_the_plugin_has_asked_for() {
        for (path, is_directory, guest) in [
            ("data/sub/x", false, "/data/sub"),
            ("data", true, "/data"),
            ("config.toml", false, "/"),
            (".", true, "/"),
        ] {
            let line = format!("dirs = [{{ host = \"/DIRECTORY\", guest = \"{guest}\" }}]");
            let told = refusal(path, is_directory);
            assert!(told.ends_with(&line), "{told}");
        }
        assert!(refusal("data/x", false).starts_with("\"/data/x\" is in no directory"));
        assert!(refusal(".", true).starts_with("\"/\" is in no directory"));
    }

    #[test]
    fn each_path_is_told_once_and_so_many_in_all() {
        let grants = Grants::default();
        assert_eq!(told_of(&["a", "b", "a"], &grants), 2);
        let many: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(told_of(&many, &grants), TOLD_MAX);
        assert_eq!(told_of(&[&"x".repeat(PATH_BYTES_MAX + 1)], &grants), 0);
    }

    #[test]
    fn a_task_that_says_that_it_has_no_directories_is_told_of_none() {
        let mut grants = Grants {
            dirs_said: true,
            ..Grants::default()
        };
        assert_eq!(told_of(&["a"], &grants), 0);
        grants.dirs.push(Directory {
            host: "/srv".into(),
            guest: "/data".into(),
            access: Access::Read,
        });
        assert_eq!(told_of(&["a"], &grants), 1);
    }

    #[test]
    fn no_path_reads_like_a_line_that_grants_more() {
        let forged = r#"data", mode = "write" }, { host = "/", mode = "write", guest = "/h"#;
        let line = refusal(forged, true);
        let granted = line.split("[task.allow]: ").nth(1).unwrap();
        assert_eq!(
            granted,
            r#"dirs = [{ host = "/DIRECTORY", guest = "/data\", mode = \"write\" }, { host = \"/\", mode = \"write\", guest = \"/h" }]"#
        );
    }
}
