use std::env;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::tidy::{IN_USE, MAX_BYTES};
use super::*;
use soloist_core::limits::Limits;
use wasmtime::Engine;

/// A cache in a directory of its own, and what is in it.
struct Kit {
    directory: Scratch,
    engine: Engine,
}

impl Kit {
    fn new() -> Self {
        let mut config = crate::engine::config();
        config.max_wasm_stack(100_000);
        let directory = Scratch::new(&env::temp_dir()).unwrap();
        Self {
            directory,
            engine: Engine::new(&config).unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("deep/cache")
    }

    fn open(&self) -> SealedCache {
        SealedCache::open(&self.path()).unwrap()
    }

    fn key(&self, name: &str) -> Key {
        Key::of(Digest::of(name.as_bytes()), &self.engine)
    }

    /// Compiles a plugin of that name, and keeps it.
    fn keep(&self, name: &str) -> PathBuf {
        let cache = self.open();
        let scratch = cache.scratch().unwrap();
        let number = name.bytes().map(u32::from).sum::<u32>();
        let elected = format!(r#"(func (export "on_elected") (drop (i32.const {number})))"#);
        let text = format!(r#"(module {elected} (func (export "on_demoted")))"#);
        let made =
            crate::load::compile::compile(text.into(), scratch.path(), &Limits::default()).unwrap();
        cache.keep(self.key(name), &scratch, made).unwrap();
        cache.code.join(
            cache
                .read_note(&cache.note(self.key(name)))
                .unwrap()
                .unwrap()
                .code,
        )
    }

    fn is_kept(&self, name: &str) -> bool {
        self.open().find(self.key(name)).unwrap().is_some()
    }

    fn age(&self, name: &str, by: Duration) {
        let cache = self.open();
        let file = File::options()
            .append(true)
            .open(cache.note(self.key(name)))
            .unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }
}

#[test]
fn a_new_directory_is_ours_alone_and_so_is_all_in_it() {
    let kit = Kit::new();
    let code = kit.keep("a");
    assert!(kit.is_kept("a") && !kit.is_kept("b"));
    for path in code
        .ancestors()
        .take_while(|path| *path != kit.directory.path())
    {
        assert_eq!(
            fs::metadata(path).unwrap().mode() & 0o077,
            0,
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_directory_that_others_can_write_is_refused_and_so_is_one_below_it() {
    let kit = Kit::new();
    kit.open();
    for path in [
        kit.path(),
        kit.path().join("code"),
        kit.path().join("kept"),
        kit.path().parent().unwrap().into(),
    ] {
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        let refused = SealedCache::open(&kit.path()).map(drop).unwrap_err();
        assert!(
            matches!(refused, CacheError::Exposed { path: found } if found == path),
            "{}",
            path.display()
        );
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn what_others_could_have_written_or_nobody_knows_is_refused_by_its_name() {
    let kit = Kit::new();
    let code = kit.keep("a");
    let note = kit.open().note(kit.key("a"));
    let refused = || kit.open().find(kit.key("a")).unwrap_err();
    for path in [code.as_path(), code.parent().unwrap(), &note] {
        let before = fs::metadata(path).unwrap().mode() & 0o777;
        fs::set_permissions(path, Permissions::from_mode(before | 0o022)).unwrap();
        assert!(
            matches!(refused(), CacheError::Exposed { path: found } if found == path),
            "{}",
            path.display()
        );
        fs::set_permissions(path, Permissions::from_mode(before)).unwrap();
    }
    assert!(kit.is_kept("a"));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&code, Some(65534), None).unwrap();
        assert!(matches!(refused(), CacheError::Exposed { path } if path == code));
    }
    fs::remove_file(&code).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &code).unwrap();
    assert!(matches!(refused(), CacheError::Foreign { path } if path == code));
}

#[test]
fn what_is_damaged_is_not_there() {
    let kit = Kit::new();
    let code = kit.keep("a");
    let (note, component) = (
        kit.open().note(kit.key("a")),
        kit.open().component(kit.key("a")),
    );
    for path in [&code, &note, &component] {
        let whole = fs::read(path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(path, &damaged).unwrap();
            assert!(!kit.is_kept("a"), "{} at {at}", path.display());
        }
        fs::remove_file(path).unwrap();
        assert!(!kit.is_kept("a"), "{}", path.display());
        kit.keep("a");
        assert!(kit.is_kept("a"), "{}", path.display());
    }
}

/// Whoever is not root cannot write to it then.
#[test]
fn a_cache_that_can_only_be_read_is_of_use() {
    let kit = Kit::new();
    let code = kit.keep("a");
    let cache = kit.open();
    let note = cache.note(kit.key("a"));
    let set = |writable: u32| {
        for path in [&note, &code] {
            fs::set_permissions(path, Permissions::from_mode(0o400 | writable)).unwrap();
        }
        for path in [&cache.kept, &cache.code, &cache.directory] {
            fs::set_permissions(path, Permissions::from_mode(0o500 | writable)).unwrap();
        }
    };
    set(0);
    let found = kit.open().find(kit.key("a"));
    set(0o200);
    assert!(found.unwrap().is_some());
}

/// Of what nobody asks for nothing is read.
#[test]
fn only_what_is_used_is_looked_at() {
    let kit = Kit::new();
    let code = kit.keep("a");
    kit.keep("b");
    fs::set_permissions(&code, Permissions::from_mode(0o666)).unwrap();
    fs::write(&code, "damaged").unwrap();
    assert!(kit.is_kept("b") && code.exists());
}

#[test]
fn what_was_used_the_longest_time_ago_goes_first() {
    let kit = Kit::new();
    let codes = ["a", "b", "c"].map(|name| kit.keep(name));
    // Each says that it takes more than half of all that may be kept.
    for (name, hours) in [("a", 3), ("b", 2), ("c", 0)] {
        let cache = kit.open();
        let mut note = cache
            .read_note(&cache.note(kit.key(name)))
            .unwrap()
            .unwrap();
        note.bytes = MAX_BYTES / 2 + 1;
        let text = serde_json::to_string(&note).unwrap();
        fs::write(
            cache.note(kit.key(name)),
            format!("{}\n{text}", Digest::of(text.as_bytes())),
        )
        .unwrap();
        kit.age(name, hours * IN_USE + Duration::from_secs(1));
        let old = SystemTime::now() - 2 * IN_USE;
        File::options()
            .append(true)
            .open(&codes[0])
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    kit.keep("new");
    assert!(!kit.is_kept("a") && !kit.is_kept("b") && kit.is_kept("new"));
    assert!(kit.is_kept("c"), "another process may be about to use it");
    assert!(!codes[0].exists() && codes[2].exists());
}

/// Whoever can exchange a link on the way to a cache has not written what lies in that cache.
#[test]
fn a_link_that_leads_elsewhere_later_changes_nothing() {
    let kit = Kit::new();
    let (ours, theirs) = (
        kit.directory.path().join("ours"),
        kit.directory.path().join("theirs"),
    );
    fs::create_dir(&ours).unwrap();
    fs::create_dir_all(theirs.join("cache")).unwrap();
    let link = kit.directory.path().join("deep");
    std::os::unix::fs::symlink(&ours, &link).unwrap();
    let cache = kit.open();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&theirs, &link).unwrap();
    let real = fs::canonicalize(ours.join("cache")).unwrap();
    assert_eq!(cache.directory(), real);
    let scratch = cache.scratch().unwrap();
    assert_eq!(scratch.path().parent(), Some(&*real));
    for path in [&cache.code, &cache.kept, &cache.note(kit.key("a"))] {
        assert!(path.starts_with(&real), "{}", path.display());
    }
    assert_eq!(cache.wasmtime().directory(), &cache.code);
    assert_eq!(fs::read_dir(theirs.join("cache")).unwrap().count(), 0);
}
