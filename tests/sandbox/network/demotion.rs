//! A demotion cuts whatever is open.

use std::io::{self, ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use soloist_core::term::Demotion;

use super::case::{Case, Outcome};
use super::server::Server;
use soloist_dev::testbed::{PATIENCE, Tested};

/// Starts a term, waits until `begun` was said and the server has a connection, begins demotion, and returns how the
/// connection ended: while the guest is still in `on_demoted`, or wherever else it is.
fn cut(
    case: &Case,
    server: &Server,
    end: &mpsc::Receiver<io::Result<usize>>,
    begun: &str,
) -> Tested {
    let tested = case.start();
    if begun.is_empty() {
        server.wait_until_heard();
    } else {
        tested.wait_for("plugin-log", begun, 1);
    }
    server.wait_for(1);
    assert!(
        end.try_recv().is_err(),
        "the connection ends too early: {:?}",
        Outcome::of(&tested).lines
    );
    tested.activation().demote(Demotion::Shutdown);
    let ended = end.recv_timeout(PATIENCE).expect("the connection ends");
    assert_eq!(
        ended.expect_err("it is cut, not ended in order").kind(),
        ErrorKind::ConnectionReset
    );
    assert!(
        !tested.story().contains(&"demoted".to_owned())
            && !tested.story().contains(&"revoked".to_owned())
    );
    tested
}

#[test]
fn a_request_is_cut_when_demotion_begins_wherever_it_is() {
    let begins = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (what, answer, begun, held) in [
        (
            "http-hold",
            &b""[..],
            "",
            "was not reached: ErrorCode::ConnectionTerminated",
        ),
        (
            "http-hold-response",
            &begins[..],
            "begins with 5 bytes",
            "cut: ErrorCode::ConnectionTerminated",
        ),
        (
            "http-hold-request",
            &b""[..],
            "",
            "cut: ErrorCode::ConnectionTerminated",
        ),
    ] {
        let (server, end) = Server::listening(answer);
        let case = Case::new(what)
            .http(&server.origin())
            .this_machine()
            .set("url", server.url("/"));
        let mut tested = cut(&case.set("then", "linger"), &server, &end, begun);
        let told = tested.wait_for("plugin-log", "held: ", 1);
        let told = told["message"].as_str().unwrap();
        assert!(told.contains(held), "{what}: {told}");
        tested.activation().revoke();
        assert!(tested.stopped());
    }
}

#[test]
fn a_socket_is_cut_when_demotion_begins_by_both_versions_of_wasi() {
    // The C library below makes EIO of every error of a stream.
    for (what, held) in [
        ("tcp-hold", "write Uncategorized, read Uncategorized"),
        ("tcp3-hold", "AccessDenied"),
    ] {
        let (server, end) = Server::listening(b"");
        let to = format!("127.0.0.1:{}", server.port());
        let case = Case::new(what)
            .tcp(&to)
            .set("to", &to)
            .set("then", "linger");
        let mut tested = cut(&case, &server, &end, "connected");
        let told = tested.wait_for("plugin-log", "held: ", 1);
        assert!(
            told["message"].as_str().unwrap().contains(held),
            "{what}: {told:#}"
        );
        tested.activation().revoke();
        assert!(tested.stopped());
    }
}

/// A plugin that has let go of a connection over which it sent much, and the other side of it, which has read nothing.
fn leaving(what: &str) -> (Tested, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let tested = Case::new(what).tcp(&to).set("to", &to).start();
    let (peer, _) = listener.accept().unwrap();
    tested.wait_for("plugin-log", "left", 1);
    (tested, peer)
}

/// What the kernel still sends of a connection that was closed is not for the next term.
#[test]
fn what_was_let_go_is_cut_like_what_is_open() {
    for what in ["tcp-leave", "tcp3-leave"] {
        let (mut tested, peer) = leaving(what);
        tested.activation().revoke();
        assert!(tested.stopped());
        let (received, end) = drain(peer);
        assert_eq!(end.expect_err(what).kind(), ErrorKind::ConnectionReset);
        assert!(received < LEFT_BYTES, "{what}: {received} bytes arrived");
    }
}

#[test]
fn a_request_that_is_given_up_is_cut_though_the_term_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let case = Case::new("http-leave")
        .http(&origin)
        .this_machine()
        .set("url", format!("{origin}/"));
    let mut tested = case.start();
    let (peer, _) = listener.accept().unwrap();
    tested.wait_for("plugin-log", "left", 1);
    let end = Instant::now() + PATIENCE;
    let error = loop {
        match peer.take_error().unwrap() {
            Some(error) => break error,
            None => assert!(Instant::now() < end, "it is not cut"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    tested.activation().revoke();
    assert!(tested.stopped());
}

#[test]
fn what_was_let_go_arrives_while_the_term_lasts() {
    for what in ["tcp-leave", "tcp3-leave"] {
        let (mut tested, peer) = leaving(what);
        let (received, end) = drain(peer);
        assert_eq!((received, end.is_ok()), (LEFT_BYTES, true), "{what}");
        tested.activation().revoke();
        assert!(tested.stopped());
    }
}

/// What the guest sends before it lets go.
const LEFT_BYTES: usize = 500_000;

/// Reads to the end, and tells how many bytes came and how it ended.
fn drain(mut peer: TcpStream) -> (usize, io::Result<()>) {
    let (mut received, mut buffer) = (0, vec![0; 65536]);
    loop {
        match peer.read(&mut buffer) {
            Ok(0) => return (received, Ok(())),
            Ok(read) => received += read,
            Err(error) => return (received, Err(error)),
        }
    }
}

#[test]
fn a_guest_that_does_not_let_go_of_the_host_keeps_no_connection() {
    let (server, end) = Server::listening(b"");
    let to = format!("127.0.0.1:{}", server.port());
    // It waits in the host: the read ends, and only then can it be told of its demotion.
    let case = Case::new("tcp-read")
        .tcp(&to)
        .set("to", &to)
        .set("then", "linger");
    let mut tested = cut(&case, &server, &end, "reads");
    tested.wait_for("plugin-log", "read: Uncategorized", 1);
    tested.wait_for("plugin-log", "demoted", 1);
    tested.activation().revoke();
    assert!(tested.stopped());
    let (server, end) = Server::listening(b"");
    let to = format!("127.0.0.1:{}", server.port());
    let mut tested = cut(
        &Case::new("spin").tcp(&to).set("to", &to),
        &server,
        &end,
        "spins",
    );
    tested.activation().revoke();
    assert!(tested.stopped());
    let (server, end) = Server::listening(b"");
    let case = Case::new("http-sleep")
        .http(&server.origin())
        .this_machine()
        .set("url", server.url("/"));
    let mut tested = cut(&case, &server, &end, "waits");
    tested.activation().revoke();
    assert!(tested.stopped());
}

#[test]
fn nothing_new_begins_once_demotion_has() {
    let (http, tcp) = (Server::http(), Server::echo());
    let to = format!("localhost:{}", tcp.port());
    for (then, told) in [
        ("http", "new: refused: Denied"),
        ("tcp", "new: PermissionDenied"),
        ("tcp3", "new: ErrorCode::AccessDenied"),
        ("lookup", "new: "),
    ] {
        let case = Case::new("get")
            .http(&http.origin())
            .tcp(&to)
            .this_machine();
        let case = case
            .set("url", http.url("/"))
            .set("to", &to)
            .set("then", then);
        let asked = http.accepted();
        let mut tested = case.start();
        tested.wait_for("plugin-log", "200 GET /|", 1);
        tested.wait_for("plugin-completed", "", 1);
        tested.activation().demote(Demotion::Shutdown);
        assert!(!tested.stopped());
        let lines = Outcome::of(&tested).lines;
        assert!(
            lines[1].starts_with(told) && !lines[1].contains("127.0.0.1"),
            "{lines:?}"
        );
        assert_eq!(http.accepted(), asked + 1);
    }
    assert_eq!(tcp.accepted(), 0);
}

#[test]
fn a_plugin_that_fails_leaves_no_connection_behind() {
    let (server, end) = Server::listening(b"");
    let to = format!("127.0.0.1:{}", server.port());
    let mut tested = Case::new("panic").tcp(&to).set("to", &to).start();
    tested.wait_for("plugin-failed", "", 1);
    let ended = end.recv_timeout(PATIENCE).expect("the connection ends");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}
