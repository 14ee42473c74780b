//! What the tests of fetching share.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::*;

mod answers;
mod calls;
mod images;
mod redirects;
mod resuming;
mod server;

use server::{head, say, server};

fn bounds() -> Bounds {
    Bounds {
        bytes: 10_000,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        ..Bounds::default()
    }
}

/// Later than any of these tests takes.
fn patience() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap().block_on(work)
}

fn artefacts(bounds: Bounds) -> (TempDir, Artefacts) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(&directory.path().join("artefacts")).unwrap();
    let docker = DockerConfig::of_user();
    let artefacts = Artefacts::new(cache, bounds, docker);
    (directory, artefacts)
}

fn fetch(artefacts: &Artefacts, from: SocketAddr, digest: Digest) -> Result<Vec<u8>, FetchError> {
    fetch_by(artefacts, from, digest, patience())
}

/// Fetches from a server without TLS, which no source can name.
fn fetch_by(
    artefacts: &Artefacts,
    from: SocketAddr,
    digest: Digest,
    deadline: Instant,
) -> Result<Vec<u8>, FetchError> {
    let url = Url::parse(&format!("http://{from}/report.wasm?key=hush")).unwrap();
    let fetcher = artefacts.fetcher.clone();
    let held = block_on(apart(&artefacts.servers, deadline, async move || {
        fetcher.fetch_url(&url, digest, deadline).await
    }))?;
    Ok(std::fs::read(held.path).unwrap())
}

/// Fetches, and gives the error with its causes.
fn failure(from: SocketAddr, bounds: Bounds) -> String {
    failure_by(from, bounds, patience())
}

fn failure_by(from: SocketAddr, bounds: Bounds, deadline: Instant) -> String {
    let (directory, artefacts) = artefacts(bounds);
    let error = fetch_by(&artefacts, from, Digest::of(BODY), deadline).unwrap_err();
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    assert!(!told.contains("hush"), "{told}");
    let kept = std::fs::read_dir(directory.path().join("artefacts")).unwrap();
    let whole = kept.filter(|it| it.as_ref().unwrap().path().extension().is_none());
    assert_eq!(whole.count(), 0, "nothing is kept that was not verified");
    told
}

const BODY: &[u8] = b"\0asm and all that follows, in two halves";

#[test]
fn two_at_once_fetch_it_once() {
    let (address, asked) = server(|_, _, stream| {
        say(stream, head("200 OK", &[]));
        for byte in BODY {
            say(stream, [*byte]);
        }
    });
    let (_directory, artefacts) = artefacts(bounds());
    thread::scope(|scope| {
        let fetching: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| fetch(&artefacts, address, Digest::of(BODY)).unwrap()))
            .collect();
        for fetched in fetching {
            assert_eq!(fetched.join().unwrap(), BODY);
        }
    });
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[test]
fn a_file_of_a_shared_directory_is_verified_and_kept() {
    let (directory, artefacts) = artefacts(bounds());
    let path = directory.path().join("shared.wasm");
    let fetch = |path: &Path, digest| {
        let source = ArtefactSource::File(path.to_str().unwrap().to_owned());
        block_on(artefacts.fetch(&source, digest, patience()))
    };
    let digest = Some(Digest::of(BODY));
    std::fs::write(&path, [0; 10_001]).unwrap();
    let error = fetch(&path, digest).unwrap_err();
    assert!(
        matches!(error, FetchError::TooLarge { max: 10_000 }),
        "{error}"
    );
    std::fs::write(&path, b"other").unwrap();
    let error = fetch(&path, digest).unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    let error = fetch(directory.path(), digest).unwrap_err();
    assert!(matches!(error, FetchError::NoFile { .. }), "{error}");
    let error = fetch(&path, None).unwrap_err();
    assert!(matches!(error, FetchError::NoDigest), "{error}");
    std::fs::write(&path, BODY).unwrap();
    let kept = fetch(&path, digest).unwrap().path;
    // It is there for the next time, whatever becomes of the directory.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(fetch(&path, digest).unwrap().path, kept);
    assert_eq!(std::fs::read(kept).unwrap(), BODY);
}
