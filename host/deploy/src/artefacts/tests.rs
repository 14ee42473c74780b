//! Servers that do what they should not, and files that are not what they should be.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::*;
use crate::http::{Ask, Client, HttpError};

mod calls;
mod images;

/// What a server has been sent, one request after the other.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server that answers each request with what `answer` writes, and closes the connection then. The request's number counts
/// from 0. It ends with the process.
fn server(answer: impl Fn(usize, &str, &mut TcpStream) + Send + 'static) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            // What asks whether it speaks TLS is told that it does not, after all of that was read.
            let mut first = [0; 4096];
            if stream.peek(&mut first).is_ok_and(|read| read > 0) && first[0] == 0x16 {
                let _ = stream.read(&mut first);
                say(&mut stream, "HTTP/1.1 400 Plain\r\n\r\n");
                continue;
            }
            let head = read_head(&stream);
            noted.lock().unwrap().push(head.clone());
            answer(number, &head, &mut stream);
        }
    });
    (address, asked)
}

fn read_head(stream: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
    head
}

/// A client that leaves by itself breaks what is sent to it.
fn say(stream: &mut TcpStream, text: impl AsRef<[u8]>) {
    let _ = stream.write_all(text.as_ref());
}

fn head(status: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text = format!("{text}{name}: {value}\r\n");
    }
    text + "\r\n"
}

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
fn what_was_cut_goes_on_where_it_broke_off() {
    let length = BODY.len().to_string();
    let (address, asked) = server(move |number, _, stream| {
        if number == 0 {
            say(
                stream,
                head("200 OK", &[("Content-Length", &length), ("ETag", "\"1\"")]),
            );
            say(stream, &BODY[..10]);
        } else {
            let range = format!("bytes 10-{}/{length}", BODY.len() - 1);
            say(
                stream,
                head(
                    "206 Partial Content",
                    &[("Content-Range", &range), ("ETag", "\"1\"")],
                ),
            );
            say(stream, &BODY[10..]);
        }
    });
    let (_directory, artefacts) = artefacts(bounds());
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    // The second time nobody is asked.
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    let asked = asked.lock().unwrap();
    let second = asked[1].to_ascii_lowercase();
    assert!(
        second.contains("range: bytes=10-\r\n") && second.contains("if-range: \"1\"\r\n"),
        "{second}"
    );
    assert_eq!(asked.len(), 2);
}

#[test]
fn a_process_goes_on_with_what_another_one_has_left() {
    let (address, asked) = server(|_, _, stream| {
        let range = format!("bytes 7-{}/*", BODY.len() - 1);
        say(
            stream,
            head("206 Partial Content", &[("Content-Range", &range)]),
        );
        say(stream, &BODY[7..]);
    });
    let (_directory, artefacts) = artefacts(bounds());
    let mut left = artefacts
        .fetcher
        .cache
        .begin(Digest::of(BODY))
        .unwrap()
        .unwrap();
    left.append(&BODY[..7]).unwrap();
    drop(left);
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    assert!(
        asked.lock().unwrap()[0]
            .to_ascii_lowercase()
            .contains("range: bytes=7-")
    );
}

#[test]
fn a_file_that_is_another_one_by_now_is_fetched_from_its_beginning() {
    for version in ["\"1\"", "\"2\""] {
        let length = BODY.len().to_string();
        let (address, _) = server(move |number, head_asked, stream| match number {
            0 => {
                say(
                    stream,
                    head("200 OK", &[("Content-Length", &length), ("ETag", "\"1\"")]),
                );
                say(stream, "of an older file");
            }
            _ if head_asked.to_ascii_lowercase().contains("range:") => {
                let range = format!("bytes 16-{}/{length}", BODY.len() - 1);
                say(
                    stream,
                    head(
                        "206 Partial Content",
                        &[("Content-Range", &range), ("ETag", version)],
                    ),
                );
                say(stream, &BODY[16..]);
            }
            _ => {
                say(stream, head("200 OK", &[("Content-Length", &length)]));
                say(stream, BODY);
            }
        });
        let (_directory, artefacts) = artefacts(bounds());
        assert_eq!(
            fetch(&artefacts, address, Digest::of(BODY)).unwrap(),
            BODY,
            "{version}"
        );
    }
}

#[test]
fn a_server_that_answers_with_another_part_is_asked_anew() {
    for (status, range) in [
        ("206 Partial Content", "bytes 3-5/100"),
        ("206 Partial Content", "nonsense"),
        ("416 Range Not Satisfiable", "bytes */3"),
    ] {
        let (address, asked) = server(move |_, asked, stream| {
            if asked.to_ascii_lowercase().contains("range: bytes=") {
                say(stream, head(status, &[("Content-Range", range)]));
                say(stream, "abc");
            } else {
                say(stream, head("200 OK", &[]));
                say(stream, BODY);
            }
        });
        let (_directory, artefacts) = artefacts(bounds());
        let mut left = artefacts
            .fetcher
            .cache
            .begin(Digest::of(BODY))
            .unwrap()
            .unwrap();
        left.append(b"left by somebody").unwrap();
        drop(left);
        assert_eq!(
            fetch(&artefacts, address, Digest::of(BODY)).unwrap(),
            BODY,
            "{range}"
        );
        assert_eq!(asked.lock().unwrap().len(), 2);
    }
}

#[test]
fn a_server_that_has_a_bad_moment_is_asked_again_and_one_that_says_no_is_not() {
    for (status, attempts) in [
        ("503 Busy", 5),
        ("429 Slowly", 5),
        ("404 Not Found", 1),
        ("401 Who", 1),
    ] {
        let (address, asked) = server(move |_, _, stream| {
            say(
                stream,
                head(
                    status,
                    &[("Content-Length", "0"), ("WWW-Authenticate", "Basic")],
                ),
            );
        });
        let told = failure(address, bounds());
        assert!(told.contains(&status[..3]), "{told}");
        assert_eq!(asked.lock().unwrap().len(), attempts, "{status}");
    }
}

#[test]
fn what_is_not_what_was_asked_for_is_not_kept() {
    // A length that is too short ends the file early, and one that is too long is never reached.
    let lies = [
        ("3", "is not the artefact"),
        ("9999", "broke off"),
        ("10001", "more than 10000 bytes"),
        ("99999999999999999999999", "no HTTP"),
    ];
    for (length, expected) in lies {
        let (address, _) = server(move |_, asked, stream| {
            let from = asked.to_ascii_lowercase().contains("range:");
            let status = if from { "416 No" } else { "200 OK" };
            say(stream, head(status, &[("Content-Length", length)]));
            say(stream, BODY);
        });
        let told = failure(address, bounds());
        assert!(told.contains(expected), "{length}: {told}");
    }
    let (address, _) = server(|_, _, stream| {
        say(stream, head("200 OK", &[("Content-Encoding", "gzip")]));
        say(stream, BODY);
    });
    let told = failure(address, bounds());
    assert!(told.contains("encoded as gzip"), "{told}");
}

#[test]
fn what_has_no_end_is_given_up() {
    let (address, asked) = server(|_, _, stream| {
        say(stream, head("200 OK", &[]));
        while stream.write_all(&[0; 4096]).is_ok() {}
    });
    let told = failure(address, bounds());
    assert!(told.contains("more than 10000 bytes"), "{told}");
    assert_eq!(asked.lock().unwrap().len(), 1);
    // A head without an end.
    let (address, _) = server(|_, _, stream| {
        say(stream, "HTTP/1.1 200 OK\r\n");
        while stream
            .write_all(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n")
            .is_ok()
        {}
    });
    let told = failure(address, bounds());
    assert!(told.contains("no HTTP"), "{told}");
}

#[test]
fn what_is_no_http_is_told() {
    for garbage in [
        "",
        "\r\n",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "\0\0\0\0",
    ] {
        let (address, _) = server(move |_, _, stream| say(stream, garbage));
        let told = failure(address, bounds());
        assert!(told.contains("no HTTP"), "{garbage:?}: {told}");
    }
}

/// Holds connections, so that they are not closed.
fn silent(beginning: &'static str) -> SocketAddr {
    let held = Mutex::new(Vec::new());
    let (address, _) = server(move |_, _, stream| {
        say(stream, beginning);
        held.lock().unwrap().push(stream.try_clone());
    });
    address
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let short = Bounds {
        silence: Duration::from_millis(50),
        attempts: 2,
        ..bounds()
    };
    for beginning in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc",
    ] {
        let told = failure(silent(beginning), short);
        assert!(told.contains("silent for 50ms"), "{beginning}: {told}");
    }
}

#[test]
fn a_server_that_drips_for_ever_is_given_up() {
    let (address, _) = server(|_, _, stream| {
        say(stream, head("200 OK", &[]));
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let deadline = Instant::now() + Duration::from_millis(300);
    let told = failure_by(address, bounds(), deadline);
    assert!(told.starts_with("not done within "), "{told}");
}

#[test]
fn redirects_lead_to_the_artefact_and_never_in_a_circle() {
    let (there, asked) = server(|_, _, stream| {
        say(stream, head("200 OK", &[]));
        say(stream, BODY);
    });
    let (address, _) = server(move |_, asked, stream| {
        let to = if asked.starts_with("GET /report.wasm") {
            "/next".to_owned()
        } else {
            format!("http://{there}/elsewhere")
        };
        say(stream, head("302 Found", &[("Location", &to)]));
    });
    let (_directory, artefacts) = artefacts(bounds());
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    assert!(asked.lock().unwrap()[0].starts_with("GET /elsewhere"));
    for (location, expected) in [
        ("/report.wasm", "on and on"),
        ("ftp://a/b", "nothing can be asked for"),
        (
            "http://user:password@127.0.0.1/b",
            "nothing can be asked for",
        ),
        ("http://", "nothing can be asked for"),
        ("http://192.0.2.1/report.wasm", "without TLS"),
    ] {
        let (address, _) = server(move |_, _, stream| {
            say(stream, head("302 Found", &[("Location", location)]));
        });
        let told = failure(address, bounds());
        assert!(told.contains(expected), "{location}: {told}");
    }
}

#[test]
fn credentials_are_for_one_server() {
    let (there, asked) = server(|_, _, stream| say(stream, head("200 OK", &[])));
    let (address, asked_first) = server(move |number, _, stream| {
        let to = if number == 0 {
            "/b".to_owned()
        } else {
            format!("http://{there}/c")
        };
        say(stream, head("307 There", &[("Location", &to)]));
    });
    let client = Client::new(bounds());
    let url = Url::parse(&format!("http://{address}/a")).unwrap();
    let ask = Ask {
        credentials: Some(::http::HeaderValue::from_static("Basic secret")),
        ..Ask::get()
    };
    let (_directory, artefacts) = artefacts(bounds());
    block_on(apart(&artefacts.servers, patience(), async move || {
        Ok(client.send(&url, ask).await.map(drop)?)
    }))
    .unwrap();
    let shows = |asked: &Asked| -> Vec<bool> {
        let asked = asked.lock().unwrap();
        asked.iter().map(|asked| asked.contains("secret")).collect()
    };
    assert_eq!(
        (shows(&asked_first), shows(&asked)),
        (vec![true, true], vec![false])
    );
}

#[test]
fn nothing_but_this_machine_is_asked_without_tls() {
    let (_directory, artefacts) = artefacts(bounds());
    let error = fetch(
        &artefacts,
        "192.0.2.1:80".parse().unwrap(),
        Digest::of(BODY),
    )
    .unwrap_err();
    assert!(
        matches!(&error, FetchError::Http(HttpError::Plain { .. })),
        "{error}"
    );
}

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
