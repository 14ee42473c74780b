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
    assert!(cache.find(digest).unwrap().is_none());
    cache.keep(b"abc").unwrap();
    let path = cache.find(digest).unwrap().unwrap().path;
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
    assert!(cache.find(Digest::of(b"abc")).unwrap().is_none());
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
    let path = part.keep().unwrap().path;
    assert_eq!(fs::read(path).unwrap(), b"abcdef");
    // The whole artefact is no part of the next one.
    assert_eq!(cache.begin(digest).unwrap().unwrap().length(), 0);
}

#[test]
fn a_directory_that_others_can_write_to_or_exchange_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let above = fs::canonicalize(directory.path()).unwrap();
    let artefacts = above.join("deep/artefacts");
    Cache::open(&artefacts).unwrap();
    for exposed in [&above, &above.join("deep"), &artefacts] {
        fs::set_permissions(exposed, Permissions::from_mode(0o770)).unwrap();
        let error = Cache::open(&artefacts).unwrap_err();
        assert!(
            matches!(&error, CacheError::Exposed { path } if path == exposed),
            "{error}"
        );
        fs::set_permissions(exposed, Permissions::from_mode(0o700)).unwrap();
    }
    Cache::open(&artefacts).unwrap();
}

/// Puts a file there that was used so many seconds ago.
fn put(cache: &Cache, number: u32, extension: &str, bytes: u64, age: u64) -> PathBuf {
    let path = cache.path(Digest::of(&number.to_be_bytes()));
    let path = path.with_extension(extension);
    let file = File::create(&path).unwrap();
    // Without blocks on the disk.
    file.set_len(bytes).unwrap();
    let used = SystemTime::now() - Duration::from_secs(age);
    file.set_modified(used).unwrap();
    path
}

#[test]
fn parts_go_before_what_is_whole_the_oldest_first_and_what_is_in_use_stays() {
    let (_directory, cache) = cache();
    let whole: Vec<_> = (0..60)
        .map(|it| put(&cache, it, "", 1, 10_000 - u64::from(it)))
        .collect();
    let parts: Vec<_> = (60..110)
        .map(|it| put(&cache, it, "part", 1, 1000 - u64::from(it)))
        .collect();
    let locked = |path: &Path, shared| {
        let file = File::open(path).unwrap();
        if shared {
            file.lock_shared()
        } else {
            file.lock()
        }
        .unwrap();
        file
    };
    let held = [locked(&whole[0], true), locked(&parts[3], false)];
    // What is not of the cache is left alone.
    let foreign = cache.directory.join("README");
    fs::write(&foreign, "x").unwrap();
    let gone = || {
        let all = parts.iter().chain(&whole);
        all.filter(|path| !path.exists())
            .cloned()
            .collect::<Vec<_>>()
    };
    cache.keep(b"abc").unwrap();
    // 110 and this one.
    let first: Vec<_> = (0..12)
        .filter(|it| *it != 3)
        .map(|it| parts[it].clone())
        .collect();
    assert_eq!(gone(), first);
    assert!(cache.find(Digest::of(b"abc")).unwrap().is_some());
    for it in 0..50 {
        cache.keep(format!("{it}").as_bytes()).unwrap();
    }
    let mut rest: Vec<_> = (0..50)
        .filter(|it| *it != 3)
        .map(|it| parts[it].clone())
        .collect();
    // Of what is whole the first is in use.
    rest.extend(whole[1..=12].iter().cloned());
    assert_eq!(gone(), rest);
    assert!(foreign.exists());
    drop(held);
}

#[test]
fn parts_count_while_they_grow_and_a_cache_that_is_full_of_what_is_in_use_takes_no_more() {
    let (_directory, cache) = cache();
    let large = BYTES_MAX / 4;
    let files: Vec<_> = (0..4)
        .map(|it| put(&cache, it, "part", large, 10 - u64::from(it)))
        .collect();
    let held: Vec<_> = files.iter().map(|path| File::open(path).unwrap()).collect();
    for file in &held {
        file.lock().unwrap();
    }
    let mut part = cache.begin(Digest::of(b"abc")).unwrap().unwrap();
    let error = part.append(b"abc").unwrap_err();
    assert!(
        matches!(error, CacheError::NoRoom { .. }) && error.is_transient(),
        "{error}"
    );
    drop(part);
    // It takes no room that others could need.
    assert!(
        !cache
            .path(Digest::of(b"abc"))
            .with_extension("part")
            .exists()
    );
    held[2].unlock().unwrap();
    cache.keep(b"abc").unwrap();
    let is_there: Vec<_> = files.iter().map(|path| path.exists()).collect();
    assert_eq!(is_there, [true, true, false, true]);
    // A part that grows makes room for itself.
    let files: Vec<_> = (4..5)
        .map(|it| put(&cache, it, "part", large - 20, 10))
        .collect();
    let mut part = cache.begin(Digest::of(b"grows")).unwrap().unwrap();
    assert!(files[0].exists());
    part.append(b"gro").unwrap();
    assert!(!files[0].exists());
}

#[test]
fn a_file_that_another_process_does_not_let_go_of_is_waited_for_no_longer_than_that() {
    let (_directory, cache) = cache();
    cache.keep(b"abc").unwrap();
    let path = cache.path(Digest::of(b"abc"));
    let (held, file) = (open(&path).unwrap(), open(&path).unwrap());
    held.lock().unwrap();
    let within = Duration::from_millis(50);
    let began = Instant::now();
    let error = lock_shared(&file, &path, within).unwrap_err();
    assert!(began.elapsed() >= within, "{error}");
    assert!(matches!(error, CacheError::Locked { .. }), "{error}");
    assert!(error.is_transient(), "{error}");
    held.unlock().unwrap();
    lock_shared(&file, &path, Duration::ZERO).unwrap();
}
