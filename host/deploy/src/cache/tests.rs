use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

fn cache() -> (TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(&directory.path().join("a/artefacts")).unwrap();
    (directory, cache)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn what_is_kept_is_found_and_is_of_this_user_alone() {
    let (_directory, cache) = cache();
    let digest = Digest::of(b"abc");
    assert_eq!(cache.find(digest).unwrap(), None);
    cache.keep(b"abc").unwrap();
    let path = cache.find(digest).unwrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abc");
    assert_eq!((mode(&path), mode(&cache.directory)), (0o400, 0o700));
}

#[test]
fn what_was_damaged_is_not_found() {
    let (_directory, cache) = cache();
    cache.keep(b"abc").unwrap();
    let path = cache.path(Digest::of(b"abc"));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, b"abd").unwrap();
    assert_eq!(cache.find(Digest::of(b"abc")).unwrap(), None);
    assert!(!path.exists());
}

#[test]
fn one_process_at_a_time_fetches_and_the_next_goes_on_where_it_ended() {
    let (_directory, cache) = cache();
    let digest = Digest::of(b"abcdef");
    let mut part = cache.begin(digest).unwrap().unwrap();
    part.append(b"abc").unwrap();
    assert!(cache.begin(digest).unwrap().is_none());
    drop(part);
    let mut part = cache.begin(digest).unwrap().unwrap();
    assert_eq!((part.length(), part.digest()), (3, Digest::of(b"abc")));
    part.append(b"def").unwrap();
    let path = part.keep().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"abcdef");
    // The whole artefact is no part of the next one.
    assert_eq!(cache.begin(digest).unwrap().unwrap().length(), 0);
}

#[test]
fn a_directory_that_others_can_write_to_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o770)).unwrap();
    let error = Cache::open(directory.path()).unwrap_err();
    assert!(matches!(error, CacheError::Exposed { .. }), "{error}");
}

#[test]
fn what_was_used_the_longest_time_ago_goes_first_and_what_is_in_use_stays() {
    let (_directory, cache) = cache();
    let now = SystemTime::now();
    let name = |number: u32| Digest::of(&number.to_be_bytes()).to_string();
    for number in 0..110 {
        let path = cache.directory.join(name(number));
        fs::write(&path, "x").unwrap();
        // 0 to 19 are old, the oldest first.
        let age = if number < 20 {
            10_000 - u64::from(number)
        } else {
            60
        };
        let file = File::options().append(true).open(path).unwrap();
        file.set_modified(now - Duration::from_secs(age)).unwrap();
    }
    let [stale, held, fresh] = [1000, 1001, 1002].map(|number| {
        let path = cache.directory.join(name(number)).with_extension("part");
        fs::write(&path, "x").unwrap();
        path
    });
    let long_ago = now - Duration::from_secs(100_000);
    for path in [&stale, &held] {
        let file = File::options().append(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let holder = File::open(&held).unwrap();
    holder.lock().unwrap();
    cache.keep(b"abc").unwrap();
    let is_there = |number| cache.directory.join(name(number)).exists();
    let gone: Vec<u32> = (0..110).filter(|number| !is_there(*number)).collect();
    assert_eq!(gone, (0..11).collect::<Vec<_>>());
    assert!(!stale.exists() && held.exists() && fresh.exists());
    assert!(cache.find(Digest::of(b"abc")).unwrap().is_some());
}
