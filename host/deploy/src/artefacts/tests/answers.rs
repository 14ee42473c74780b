//! Servers that do not answer as they should.

use std::io::Write as _;
use std::sync::Mutex;

use super::*;

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
