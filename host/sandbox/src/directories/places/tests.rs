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
        let opened = opened(host, access);
        self.danger(opened.iter().next().unwrap(), &opened.mounts)
    }
}

fn warning_of(host: impl Into<PathBuf>) -> Option<String> {
    let opened = opened(host, Access::Read);
    warning(opened.iter().next().unwrap(), &opened.mounts)
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
        caches: &[&cache],
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
        caches: &[&cache],
        ..Kept::default()
    };
    assert!(led.danger_of(path("elsewhere"), Access::Write).is_some());
    // One that is still to be made counts as well.
    let cache = path("elsewhere/to/be/made");
    let kept = Kept {
        caches: &[&cache],
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

#[test]
fn what_this_host_reads_is_not_granted_to_write() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    for directory in ["app", "run", "data"] {
        fs::create_dir(path(directory)).unwrap();
    }
    fs::write(path("app/secret"), "hunter2").unwrap();
    symlink("../app/secret", path("run/secret")).unwrap();
    let files = [path("run/secret"), path("run/gone")];
    let kept = Kept {
        files: &files,
        ..Kept::default()
    };
    for directory in ["", "app", "run"] {
        let danger = kept.danger_of(path(directory), Access::Write);
        assert_eq!(
            danger,
            Some(Danger::File(path("run/secret"))),
            "{directory}"
        );
        assert_eq!(kept.danger_of(path(directory), Access::Read), None);
    }
    assert_eq!(kept.danger_of(path("data"), Access::Write), None);
}

#[test]
fn what_is_loaded_into_this_host_is_not_granted_to_write() {
    let etc = Kept::default().danger_of("/etc", Access::Write);
    assert!(matches!(etc, Some(Danger::File(_))), "{etc:?}");
    let files = system_files();
    let library = files
        .iter()
        .find(|path| path.to_string_lossy().contains("/libc"))
        .expect("this program is linked with the C library");
    let directory = library.parent().unwrap();
    let danger = Kept::default().danger_of(directory, Access::Write);
    assert!(matches!(danger, Some(Danger::File(_))), "{danger:?}");
    assert_eq!(Kept::default().danger_of(directory, Access::Read), None);
}

#[test]
fn files_are_found_in_the_list_of_what_is_mapped() {
    let list = b"55d0-55d4 r-xp 00000000 fe:00 1234       /usr/bin/soloist\n\
        7f00-7f10 rw-p 00000000 00:00 0 \n\
        7f10-7f20 r--p 00000000 fe:00 99         /usr/lib/lib c.so.6\n\
        7f20-7f30 r-xp 00001000 fe:00 99         /usr/lib/lib c.so.6\n\
        7fff-8000 rw-p 00000000 00:00 0          [stack]\n";
    let paths = ["/usr/bin/soloist", "/usr/lib/lib c.so.6"].map(PathBuf::from);
    assert_eq!(mapped(list), paths);
    assert!(mapped(b"\n\xff / ").len() == 1 && mapped(b"").is_empty());
}

#[test]
fn a_directory_whose_place_is_not_known_is_not_granted_to_write() {
    let place = tempfile::tempdir().unwrap();
    let directories = opened(place.path(), Access::Write);
    let mut unknown = directories.iter().next().unwrap().clone();
    unknown.above = vec![Spot::at(place.path(), &Mounts::default()).unwrap()];
    let danger = Kept::default().danger(&unknown, &directories.mounts);
    assert_eq!(danger, Some(Danger::Unknown));
}

#[test]
fn a_directory_that_others_can_exchange_is_worth_a_word() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("open/data");
    fs::create_dir_all(&data).unwrap();
    let said = || {
        let directories = opened(&data, Access::Read);
        exposed(directories.iter().next().unwrap(), &directories.mounts)
    };
    assert_eq!(said(), None);
    let open = data.parent().unwrap();
    fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    let said = said().unwrap();
    assert!(said.contains(&open.display().to_string()), "{said}");
}
