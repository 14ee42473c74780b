//! Directories that mounts show at a second path: what no plugin may write to is not granted by that path either.
//!
//! The mounts are made in a mount namespace of the test's own, where the machine allows that. So are the directories, in a
//! file system that ends with the namespace: nothing is removed here, since what is removed below a mount is gone elsewhere.

use std::fs;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};

use crate::apart::{apart, is_apart};
use crate::guests::{File, compiler};
use soloist_core::grants::{Access, Directory, Grants};
use soloist_sandbox::{Danger, Plugin, PluginEngine, PluginProblem, PluginSettings};

/// Where the directories are made.
const ROOM: &str = "/mnt";

/// What starts a program in a mount namespace of its own.
fn unshare() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "unshare --mount"
    } else {
        "unshare --map-root-user --mount"
    }
}

/// Runs the test in a mount namespace of its own; says so where the machine has none for it.
fn with_mounts<T: FnOnce()>(test: T) {
    let probe = Command::new("sh")
        .args(["-c", &format!("{} mount -t tmpfs none {ROOM}", unshare())])
        .stdin(Stdio::null())
        .output();
    if is_apart() || probe.is_ok_and(|probe| probe.status.success()) {
        apart(&format!(r#"exec {} "$0" "$@""#, unshare()), test);
    } else {
        println!("skipped: this machine allows no mount namespace");
    }
}

/// Mounts as mount(8) does, if the kernel allows it.
fn mount(arguments: &[&str]) -> bool {
    let mounted = Command::new("mount").args(arguments).status();
    let is_mounted = mounted.is_ok_and(|status| status.success());
    if !is_mounted {
        println!("skipped: mount {arguments:?} is not allowed");
    }
    is_mounted
}

/// Directories, and a plugin that is granted some of them.
struct Place {
    directory: PathBuf,
    cache: PathBuf,
    settings: PluginSettings,
}

impl Place {
    fn new(directories: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static ROOM_MADE: Once = Once::new();
        ROOM_MADE.call_once(|| {
            let namespace =
                |process: u32| fs::read_link(format!("/proc/{process}/ns/mnt")).unwrap();
            let (own, outer) = (namespace(std::process::id()), namespace(parent_id()));
            assert_ne!(own, outer, "nothing is mounted where others see it");
            assert!(mount(&["-t", "tmpfs", "none", ROOM]), "it was tried before");
        });
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(ROOM).join(number.to_string());
        for name in directories {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        Self {
            cache: directory.join("unused/soloist"),
            directory,
            settings: PluginSettings::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn bind(&self, from: &str, to: &str) {
        let (from, to) = (self.path(from), self.path(to));
        let bound = mount(&["--bind", from.to_str().unwrap(), to.to_str().unwrap()]);
        assert!(bound, "a directory can be bound in a namespace of its own");
    }

    /// What is wrong with granting these directories to write.
    fn problem(&self, names: &[&str]) -> Option<PluginProblem> {
        let dir = |name: &&str| Directory {
            host: self.path(name),
            guest: format!("/{name}"),
            access: Access::Write,
        };
        let settings = PluginSettings {
            grants: Grants {
                dirs: names.iter().map(dir).collect(),
                ..Grants::default()
            },
            ..self.settings.clone()
        };
        let plugin = File::new(
            "wat",
            br#"(module (func (export "on_elected")) (func (export "on_demoted")))"#,
        );
        let engine = PluginEngine::with_cache(compiler(), Some(&self.cache)).unwrap();
        let loaded = Plugin::load(&Arc::new(engine), &plugin.0, settings);
        loaded.err().map(|error| error.problem)
    }

    fn danger(&self, name: &str) -> Option<Danger> {
        match self.problem(&[name]) {
            Some(PluginProblem::Dangerous { danger, .. }) => Some(danger),
            Some(problem) => panic!("{name}: {problem:?}"),
            None => None,
        }
    }

    fn assert_holds_cache(&self, name: &str) {
        let danger = self.danger(name);
        assert!(
            matches!(danger, Some(Danger::Cache(_))),
            "{name}: {danger:?}"
        );
    }
}

#[test]
fn a_cache_is_known_by_whatever_path_it_is_mounted() {
    with_mounts(|| {
        let mut place = Place::new(&["app/cache/soloist", "home/.cache", "other/sub", "view"]);
        place.bind("app/cache", "home/.cache");
        place.cache = place.path("home/.cache/soloist");
        for name in ["app", "app/cache", "app/cache/soloist"] {
            place.assert_holds_cache(name);
        }
        assert_eq!(place.danger("other"), None);
        // A directory in which the cache is mounted leads there as well.
        place.bind("app/cache", "other/sub");
        place.assert_holds_cache("other");
        place.bind("home", "view");
        place.assert_holds_cache("view");
    });
}

#[test]
fn a_part_of_a_cache_may_be_mounted_from_elsewhere() {
    with_mounts(|| {
        let parts = ["code/modules", "code", "kept", "code/modules/deep"];
        for part in parts {
            let inner = format!("cache/{part}");
            let mut place = Place::new(&["app/part", "beside", &inner]);
            place.cache = place.path("cache");
            place.bind("app/part", &inner);
            for name in ["app", "app/part"] {
                place.assert_holds_cache(name);
            }
            assert_eq!(place.danger("beside"), None, "{part}");
        }
    });
}

#[test]
fn a_file_that_this_host_reads_may_be_mounted_from_elsewhere() {
    with_mounts(|| {
        let mut place = Place::new(&["app", "etc", "beside"]);
        for name in ["app/file", "etc/soloist.toml", "etc/secret"] {
            fs::write(place.path(name), "").unwrap();
        }
        place.bind("app/file", "etc/soloist.toml");
        let file = place.path("etc/soloist.toml");
        place.settings.configuration = Some(file.clone());
        assert_eq!(place.danger("app"), Some(Danger::Configuration(file)));
        place.settings.configuration = None;
        assert_eq!(place.danger("app"), None);
        place.bind("app/file", "etc/secret");
        place.settings.host_files = [place.path("etc/secret")].into();
        let danger = Some(Danger::File(place.path("etc/secret")));
        assert_eq!(place.danger("app"), danger);
        assert_eq!(place.danger("beside"), None);
    });
}

#[test]
fn a_directory_in_another_is_known_by_whatever_path_it_is_mounted() {
    with_mounts(|| {
        let place = Place::new(&["n/a/sub", "bound", "n/in", "shared", "outer/x/y"]);
        place.bind("n/a/sub", "bound");
        let nested = |names: &[&str]| {
            let problem = place.problem(names);
            let is_nested = matches!(problem, Some(PluginProblem::Nested { .. }));
            assert!(is_nested || problem.is_none(), "{names:?}: {problem:?}");
            is_nested
        };
        assert!(nested(&["n", "bound"]) && nested(&["bound", "n"]));
        assert!(nested(&["n/a", "bound"]));
        // The same directory can be shared, and one beside it is another.
        assert!(!nested(&["n/a/sub", "bound"]) && !nested(&["n/in", "bound"]));
        // What is mounted in a directory is a part of it.
        place.bind("outer", "n/in");
        assert!(nested(&["n", "outer/x"]) && !nested(&["n", "shared"]));
    });
}

#[test]
fn what_an_overlay_shows_lies_in_its_layers() {
    with_mounts(|| {
        let names = [
            "fs/lower",
            "fs/upper/.cache",
            "fs/work",
            "merged",
            "fs/beside",
        ];
        let mut place = Place::new(&names);
        let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            path("fs/lower"),
            path("fs/upper"),
            path("fs/work")
        );
        if !mount(&["-t", "overlay", "none", "-o", &options, &path("merged")]) {
            return;
        }
        place.cache = place.path("merged/.cache/soloist");
        for name in [
            "fs/lower",
            "fs/upper",
            "fs/upper/.cache",
            "fs/work",
            "merged",
        ] {
            place.assert_holds_cache(name);
        }
        assert_eq!(place.danger("fs/beside"), None);
        place.cache = place.path("fs/upper/.cache/soloist");
        place.assert_holds_cache("merged");
    });
}

#[test]
fn the_kernels_own_file_systems_are_known_wherever_they_are_mounted() {
    with_mounts(|| {
        let place = Place::new(&["x/devpts", "x/mqueue", "x/proc", "bound"]);
        let kernel = |name: &str| match place.danger(name) {
            Some(Danger::Kernel { kind, .. }) => kind,
            danger => panic!("{name}: {danger:?}"),
        };
        for kind in ["devpts", "mqueue", "proc"] {
            let name = format!("x/{kind}");
            if mount(&["-t", kind, "none", place.path(&name).to_str().unwrap()]) {
                assert_eq!(kernel(&name), kind);
                let _ = kernel("x");
            }
        }
        // A part of a devtmpfs, where /dev is not one.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let bound = place.path("bound");
        if mounts.contains(" /dev devtmpfs ")
            && mount(&["--bind", "/dev/net", bound.to_str().unwrap()])
            && mount(&["-t", "tmpfs", "none", "/dev"])
        {
            assert_eq!(kernel("bound"), "devtmpfs");
        }
    });
}
