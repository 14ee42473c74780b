//! What whoever calls can rely on: an end, an error that says what to do, and a thread that is free.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::sync::{Condvar, Mutex, mpsc};

use tokio::{join, select};

use super::server::read_head;
use super::*;
use crate::cache::CacheError;

fn file(path: &Path) -> ArtefactSource {
    ArtefactSource::File(path.to_str().unwrap().to_owned())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

#[test]
fn whoever_is_patient_tries_again_until_the_deadline_and_is_told_what_was_wrong_then() {
    let patient = Bounds {
        attempts: u32::MAX,
        ..bounds()
    };
    let (address, asked) = server(|number, _, stream| {
        if number < 30 {
            say(stream, head("503 Busy", &[("Content-Length", "0")]));
        } else {
            say(stream, head("200 OK", &[]));
            say(stream, BODY);
        }
    });
    let (_directory, artefacts) = artefacts(patient);
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    assert_eq!(asked.lock().unwrap().len(), 31);
    // Another attempt would come after the deadline.
    let slow = Bounds {
        first_pause: Duration::from_secs(3600),
        longest_pause: Duration::from_secs(3600),
        ..patient
    };
    let (address, asked) = server(|_, _, stream| {
        say(stream, head("503 Busy", &[("Content-Length", "0")]));
    });
    let (_directory, artefacts) = super::artefacts(slow);
    let error = fetch(&artefacts, address, Digest::of(BODY)).unwrap_err();
    assert!(error.to_string().contains("answered 503"), "{error}");
    assert!(error.is_transient() && asked.lock().unwrap().len() == 1);
}

#[test]
fn an_error_tells_whether_another_call_may_go_better() {
    let (directory, artefacts) = artefacts(bounds());
    let path = directory.path().join("report.wasm");
    std::fs::write(&path, "other").unwrap();
    let failed = |source: &ArtefactSource| {
        let fetched = artefacts.fetch(source, Some(Digest::of(BODY)), patience());
        block_on(fetched).unwrap_err()
    };
    for source in [
        file(&path),
        file(directory.path()),
        file(&directory.path().join("gone")),
        ArtefactSource::Ensemble,
    ] {
        let error = failed(&source);
        assert!(!error.is_transient(), "{error}");
    }
    let refused = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = refused.local_addr().unwrap().port();
    drop(refused);
    let source = format!("https://127.0.0.1:{port}/report.wasm");
    let error = failed(&ArtefactSource::new(&source).unwrap());
    assert!(error.is_transient(), "{error}");
}

#[test]
fn a_disk_that_does_not_answer_holds_up_neither_the_caller_nor_servers() {
    let (directory, artefacts) = artefacts(bounds());
    let source = file(&directory.path().join("report.wasm"));
    let digest = Some(Digest::of(b"held"));
    let path = directory.path().join("artefacts");
    let path = path.join(Digest::of(b"held").to_string());
    std::fs::write(&path, "held").unwrap();
    // Whoever looks at the file waits for it, as for a disk.
    let lock = std::fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let call = || artefacts.fetch(&source, digest, soon());
    let late = block_on(async { join!(call(), call()) });
    for late in [late.0, late.1] {
        let error = late.unwrap_err();
        assert!(matches!(error, FetchError::Late { .. }), "{error}");
        assert!(error.is_transient());
    }
    // The threads are still there, and there are no more of them.
    let error = block_on(call()).unwrap_err();
    assert!(matches!(error, FetchError::Busy { .. }), "{error}");
    assert!(error.is_transient());
    let (address, _) = server(|_, _, stream| {
        say(stream, head("200 OK", &[]));
        say(stream, BODY);
    });
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    lock.unlock().unwrap();
    let found = block_on(artefacts.fetch(&source, digest, patience()));
    assert_eq!(found.unwrap().path, path);
}

#[test]
fn a_call_that_is_dropped_ends_and_leaves_what_was_fetched() {
    let (sender, closed) = mpsc::channel();
    let (address, _) = server(move |_, _, stream| {
        say(stream, head("200 OK", &[]));
        say(stream, &BODY[..10]);
        // Until the client leaves.
        let left = stream.read(&mut [0]);
        sender.send(left.is_ok_and(|read| read == 0)).unwrap();
    });
    let patient = Bounds {
        silence: Duration::from_secs(3600),
        ..bounds()
    };
    let (directory, artefacts) = artefacts(patient);
    let digest = Digest::of(BODY);
    let part = directory.path().join(format!("artefacts/{digest}.part"));
    let url = Url::parse(&format!("http://{address}/report.wasm")).unwrap();
    let fetcher = artefacts.fetcher.clone();
    block_on(async {
        select! {
            _ = apart(&artefacts.servers, patience(), async move || {
                fetcher.fetch_url(&url, digest, patience()).await
            }) => panic!("it has no end"),
            () = async {
                while std::fs::metadata(&part).map_or(0, |part| part.size()) < 10 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } => {}
        }
    });
    let patience = Duration::from_secs(120);
    assert!(closed.recv_timeout(patience).unwrap());
    let begun = Instant::now();
    let left = loop {
        if let Some(part) = artefacts.fetcher.cache.begin(digest).unwrap() {
            break part.length();
        }
        assert!(begun.elapsed() < patience, "nobody may fetch it any more");
        thread::yield_now();
    };
    assert_eq!(left, 10);
}

#[test]
fn several_are_fetched_at_once_and_no_more_than_that() {
    #[derive(Default)]
    struct Seen {
        now: usize,
        most: usize,
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
    let shared = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, seen) = (stream.unwrap(), Arc::clone(&shared));
            thread::spawn(move || {
                read_head(&stream);
                let (count, changed) = &*seen;
                let mut seen = count.lock().unwrap();
                seen.now += 1;
                seen.most = seen.most.max(seen.now);
                changed.notify_all();
                // None is answered before as many are there as there may be.
                while seen.most < SERVERS_MAX {
                    seen = changed.wait(seen).unwrap();
                }
                seen.now -= 1;
                drop(seen);
                say(&mut stream, head("404 No", &[("Content-Length", "0")]));
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    let (_directory, artefacts) = artefacts(bounds());
    thread::scope(|scope| {
        for number in 0..3 * SERVERS_MAX {
            let artefacts = &artefacts;
            scope.spawn(move || {
                let digest = Digest::of(&number.to_be_bytes());
                let error = fetch(artefacts, address, digest).unwrap_err();
                assert!(error.to_string().contains("404"), "{error}");
            });
        }
    });
    assert_eq!(seen.0.lock().unwrap().most, SERVERS_MAX);
}

/// Whether this process is one in a mount namespace of its own, in which the script was run with the directory of the test as
/// its `$0`. If not, such a process runs the test, which has this name.
fn is_apart(test: &str, script: &str) -> Option<std::path::PathBuf> {
    const DIRECTORY: &str = "SOLOIST_TEST_DIRECTORY";
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return Some(directory.into());
    }
    let directory = tempfile::tempdir().unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(if is_root {
            &[][..]
        } else {
            &["--map-root-user"]
        });
        command.args(["--mount", "sh", "-ec", script]);
        command.arg(directory.path());
        command
    };
    let probe = unshare(&format!("{script}\ntrue")).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "no mounts here");
        println!("skipped: this machine does not let this user mount what the test needs");
        return None;
    }
    let told = unshare(&format!("{script}\nexec \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(format!("artefacts::tests::calls::{test}"))
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    assert!(told.status.success(), "{told:?}");
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("1 passed"),
        "{told:?}"
    );
    None
}

#[test]
fn a_directory_of_another_machine_that_is_gone_holds_up_nobody() {
    // A file system whose server never answers, as that of a machine that is gone.
    let script = "exec 3<>/dev/fuse
        mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none \"$0\"";
    let test = "a_directory_of_another_machine_that_is_gone_holds_up_nobody";
    let Some(directory) = is_apart(test, script) else {
        return;
    };
    let (_directory, artefacts) = artefacts(bounds());
    let source = file(&directory.join("report.wasm"));
    // Each artefact is fetched by one at a time, so these are different ones.
    let call = |artefact| artefacts.fetch(&source, Some(Digest::of(&[artefact])), soon());
    // The runtime ends with its call, whatever the threads wait for.
    for artefact in [1, 2] {
        let error = block_on(call(artefact)).unwrap_err();
        assert!(matches!(error, FetchError::Late { .. }), "{error}");
    }
    let error = block_on(call(3)).unwrap_err();
    assert!(matches!(error, FetchError::Busy { .. }), "{error}");
    // Those threads are still there, and other file systems are read.
    let other = tempfile::tempdir().unwrap();
    let source = other.path().join("report.wasm");
    std::fs::write(&source, BODY).unwrap();
    let source = file(&source);
    block_on(artefacts.fetch(&source, Some(Digest::of(BODY)), patience())).unwrap();
}

#[test]
fn a_full_disk_is_said_and_left_with_the_room_that_it_had() {
    let script = "mount -t tmpfs -o size=256k none \"$0\"";
    let test = "a_full_disk_is_said_and_left_with_the_room_that_it_had";
    let Some(directory) = is_apart(test, script) else {
        return;
    };
    let cache = Cache::open(&directory.join("artefacts")).unwrap();
    let artefacts = Artefacts::new(cache, Bounds::default(), DockerConfig::of_user());
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("report.wasm");
    let fetch = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let digest = Some(Digest::of(content));
        block_on(artefacts.fetch(&file(&path), digest, patience()))
    };
    let error = fetch(&vec![7; 400 * 1024]).unwrap_err();
    let full = matches!(&error, FetchError::Cache(CacheError::Full { .. }));
    assert!(full && error.is_transient(), "{error}");
    let left = std::fs::read_dir(directory.join("artefacts")).unwrap();
    assert_eq!(left.count(), 0);
    fetch(&vec![8; 200 * 1024]).unwrap();
}
