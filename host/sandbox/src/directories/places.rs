//! What a granted directory would give away besides itself.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::directories::Opened;
use crate::directories::mounts;
use crate::directories::walk::{Id, Walk, id};
use soloist_core::grants::Access;

/// What a plugin could do that no grant is meant to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// It could write native code, which this host would run.
    Cache(PathBuf),
    /// It could do so while a plugin is compiled.
    Temporary(PathBuf),
    /// It could replace the program of this host.
    Program(PathBuf),
    /// It could grant itself whatever it likes.
    Configuration(PathBuf),
    /// It could change the machine itself: the directory is this one, or lies in it.
    Machine(&'static str),
    /// It could change the machine itself: the kernel shows itself there.
    Kernel {
        /// Where.
        mounted: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(path) => write!(
                f,
                "compiled plugins are kept in {}, and whoever writes there has this host run native code: grant another \
                 directory, or set XDG_CACHE_HOME to one",
                path.display()
            ),
            Self::Temporary(path) => write!(
                f,
                "plugins may be compiled in {}, and whoever writes there has this host run native code: grant a directory \
                 in it, or another one",
                path.display()
            ),
            Self::Program(path) => {
                write!(f, "the program of this host lies in it, {}", path.display())
            }
            Self::Configuration(path) => write!(
                f,
                "the configuration of this host lies in it, {}, which says what plugins are granted",
                path.display()
            ),
            Self::Machine(what) => write!(f, "by {what} the machine itself can be changed"),
            Self::Kernel { mounted, kind } => {
                write!(
                    f,
                    "by {} ({kind}) the machine itself can be changed",
                    mounted.display()
                )
            }
        }
    }
}

/// What lies on a host that no plugin may change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept<'a> {
    pub(crate) cache: Option<&'a Path>,
    /// Where plugins are compiled that are not kept: what lies in these places beside them is nobody's concern.
    pub(crate) temporary: &'a [PathBuf],
    pub(crate) configuration: Option<&'a Path>,
}

impl Kept<'_> {
    /// Says what a plugin could do with the directory that nobody can have meant.
    pub(crate) fn danger(&self, opened: &Opened) -> Option<Danger> {
        let granted = *opened.above.first()?;
        if opened.granted.access == Access::Read {
            return None;
        }
        // The parts of the cache are looked at as well: each may be mounted elsewhere.
        let caches = self
            .cache
            .into_iter()
            .flat_map(|cache| [cache.into(), cache.join("code"), cache.join("kept")]);
        for cache in caches {
            let walk = Walk::along(&cache);
            if walk.meets(granted) || walk.end.is_some_and(|end| opened.above.contains(&end)) {
                return Some(Danger::Cache(cache));
            }
        }
        let meets = |path: &Path| Walk::along(path).meets(granted);
        let program = std::env::current_exe()
            .ok()
            .filter(|program| meets(program));
        let configuration = self.configuration.filter(|file| meets(file));
        machine(opened)
            .or(configuration.map(|file| Danger::Configuration(file.to_owned())))
            .or(program.map(Danger::Program))
            .or_else(|| {
                Some(Danger::Temporary(
                    self.temporary.iter().find(|place| meets(place))?.clone(),
                ))
            })
    }
}

/// What deserves a word about a directory that a plugin may read.
pub(crate) fn warning(opened: &Opened) -> Option<String> {
    let what = match machine(opened)? {
        Danger::Kernel { mounted, kind } => format!("{}, {kind}", mounted.display()),
        Danger::Machine(what) => what.to_owned(),
        _ => return None,
    };
    Some(format!(
        "the granted directory {} gives away what is the machine's own ({what}): by it a plugin can read this host's memory \
         and variables, secrets among them, or its devices",
        opened.granted.host.display()
    ))
}

/// The part of the machine that the directory is, lies in, or holds.
fn machine(opened: &Opened) -> Option<Danger> {
    let known = |path: &str| id(Path::new(path));
    let lies_in = |path: &str| known(path).is_some_and(|id: Id| opened.above.contains(&id));
    if known("/").as_ref() == opened.above.first() {
        return Some(Danger::Machine("/"));
    }
    // Shared memory is a directory like any other.
    let found = ["/proc", "/sys", "/dev"]
        .into_iter()
        .find(|path| lies_in(path) && !lies_in("/dev/shm"));
    if let Some(path) = found {
        return Some(Danger::Machine(path));
    }
    let place = opened.path();
    if let Some(kind) = mounts::kind(opened.kind) {
        return Some(Danger::Kernel {
            mounted: place.unwrap_or_else(|| opened.granted.host.clone()),
            kind,
        });
    }
    mounts::below(&place?).map(|(mounted, kind)| Danger::Kernel { mounted, kind })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::directories::Directories;
    use soloist_core::grants::Directory;

    fn opened(host: impl Into<PathBuf>, access: Access) -> Directories {
        Directories::open(&[Directory {
            host: host.into(),
            guest: "/data".into(),
            access,
        }])
        .unwrap()
    }

    impl Kept<'_> {
        fn danger_of(&self, host: impl Into<PathBuf>, access: Access) -> Option<Danger> {
            self.danger(opened(host, access).iter().next().unwrap())
        }
    }

    fn warning_of(host: impl Into<PathBuf>) -> Option<String> {
        warning(opened(host, Access::Read).iter().next().unwrap())
    }

    #[test]
    fn whoever_could_write_into_the_cache_is_refused_by_whatever_name() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for directory in [
            "home/cache/soloist/code",
            "home/cache/soloist/sums",
            "home/data",
            "elsewhere",
        ] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        symlink("home", path("link")).unwrap();
        symlink(path("home/cache/soloist/code"), path("deep")).unwrap();
        let cache = path("home/cache/soloist");
        let kept = Kept {
            cache: Some(&cache),
            ..Kept::default()
        };
        for directory in [
            "",
            "home",
            "home/cache",
            "home/cache/soloist",
            "home/cache/soloist/sums",
            "link",
            "deep",
        ] {
            let danger = kept.danger_of(path(directory), Access::Write);
            assert!(
                matches!(danger, Some(Danger::Cache(_))),
                "{directory}: {danger:?}"
            );
            assert_eq!(
                kept.danger_of(path(directory), Access::Read),
                None,
                "{directory}"
            );
        }
        for directory in ["home/data", "elsewhere", "link/data"] {
            assert_eq!(
                kept.danger_of(path(directory), Access::Write),
                None,
                "{directory}"
            );
        }
        // Nor may a plugin decide where the path of the cache leads.
        symlink("../home/cache/soloist", path("elsewhere/led")).unwrap();
        let cache = path("elsewhere/led");
        let led = Kept {
            cache: Some(&cache),
            ..Kept::default()
        };
        assert!(led.danger_of(path("elsewhere"), Access::Write).is_some());
        // One that is still to be made counts as well.
        let cache = path("elsewhere/to/be/made");
        let kept = Kept {
            cache: Some(&cache),
            ..Kept::default()
        };
        assert!(kept.danger_of(path("elsewhere"), Access::Write).is_some());
        assert_eq!(kept.danger_of(path("home"), Access::Write), None);
    }

    #[test]
    fn the_configuration_and_the_program_are_the_operators() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("data")).unwrap();
        let file = place.path().join("soloist.toml");
        fs::write(&file, "").unwrap();
        let kept = Kept {
            configuration: Some(&file),
            ..Kept::default()
        };
        assert_eq!(
            kept.danger_of(place.path(), Access::Write),
            Some(Danger::Configuration(file.clone()))
        );
        assert_eq!(
            kept.danger_of(place.path().join("data"), Access::Write),
            None
        );
        let program = std::env::current_exe().unwrap();
        assert!(matches!(
            kept.danger_of(program.parent().unwrap(), Access::Write),
            Some(Danger::Program(_))
        ));
    }

    #[test]
    fn a_place_where_plugins_are_compiled_is_not_granted_to_write_and_a_directory_in_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("temporary/data")).unwrap();
        symlink("temporary", path("link")).unwrap();
        let temporary = [path("temporary")];
        let kept = Kept {
            temporary: &temporary,
            ..Kept::default()
        };
        for directory in ["", "temporary", "link"] {
            let danger = kept.danger_of(path(directory), Access::Write);
            assert_eq!(
                danger,
                Some(Danger::Temporary(path("temporary"))),
                "{directory}"
            );
            assert_eq!(
                kept.danger_of(path(directory), Access::Read),
                None,
                "{directory}"
            );
        }
        assert_eq!(kept.danger_of(path("temporary/data"), Access::Write), None);
    }

    #[test]
    fn the_machine_itself_is_not_granted_to_write_and_told_of_to_read() {
        let place = tempfile::tempdir().unwrap();
        symlink("/proc/self", place.path().join("link")).unwrap();
        for (directory, what) in [
            ("/", "/"),
            ("/proc", "/proc"),
            ("/sys", "/sys"),
            ("/dev", "/dev"),
        ] {
            assert_eq!(
                Kept::default().danger_of(directory, Access::Write),
                Some(Danger::Machine(what))
            );
            assert!(warning_of(directory).unwrap().contains(what));
        }
        let link = place.path().join("link");
        // What is mounted there is of many kinds.
        for directory in ["/sys/fs", "/sys/fs/cgroup", "/sys/kernel"]
            .into_iter()
            .filter(|path| Path::new(path).is_dir())
        {
            let danger = Kept::default().danger_of(directory, Access::Write);
            assert_eq!(danger, Some(Danger::Machine("/sys")), "{directory}");
            assert!(warning_of(directory).unwrap().contains("/sys"));
        }
        assert_eq!(
            Kept::default().danger_of(&link, Access::Write),
            Some(Danger::Machine("/proc"))
        );
        assert_eq!(
            (
                Kept::default().danger_of("/dev/shm", Access::Write),
                warning_of("/dev/shm")
            ),
            (None, None)
        );
        assert_eq!(warning_of(place.path()), None);
    }
}
