//! Requests of a plugin, and the bounds on their answers.

use soloist_core::term::Demotion;

use super::case::{Case, Names, Outcome};
use super::server::Server;

#[test]
fn a_request_reaches_what_is_granted_and_the_answer_comes_back() {
    let server = Server::http();
    let case = Case::new("get").http(&server.origin()).this_machine();
    let outcome = case.get(&server.url("/a%20b?c=d"));
    let told = outcome.line();
    assert!(told.starts_with("200 GET /a%20b|"), "{told}");
    assert!(
        told.contains(&format!("|host=localhost:{}|", server.port())),
        "{told}"
    );
    assert!(
        told.contains("|soloist-fencing-token=1007|soloist-task=task-"),
        "{told}"
    );
    assert!(told.ends_with("|0 bytes"), "{told}");
    assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
    // The grant covers the address as well, if that is what it names.
    let literal = format!("http://127.0.0.1:{}", server.port());
    assert!(
        Case::new("get")
            .http(&literal)
            .get(&format!("{literal}/"))
            .line()
            .starts_with("200 GET /|")
    );
}

#[test]
fn a_request_carries_its_body_and_headers_but_says_nothing_in_the_hosts_name() {
    let server = Server::http();
    let case = Case::new("post")
        .http(&server.origin())
        .this_machine()
        .set("url", server.url("/"));
    let outcome = case.run();
    let told = outcome.line();
    assert!(told.contains("|x-own=yes|3000000 bytes"), "{told}");
    assert!(told.contains("|content-length=3000000|"), "{told}");
    assert!(
        told.contains("|soloist-fencing-token=1007|soloist-task=task-"),
        "{told}"
    );
    assert_eq!(told.matches("soloist-").count(), 2, "{told}");
    let mut silent = case;
    silent.policy.identify = false;
    assert!(!silent.run().line().contains("soloist-"));
}

#[test]
fn a_server_that_announces_an_answer_for_ever_is_not_listened_to() {
    let answered = |times| {
        let server = Server::announcing(times);
        Case::new("get")
            .http(&server.origin())
            .this_machine()
            .get(&server.url("/"))
    };
    assert_eq!(answered(32).line(), "200 here");
    let outcome = answered(usize::MAX);
    assert!(
        outcome.line().contains("HttpProtocolError"),
        "{:?}",
        outcome.lines
    );
    assert!(
        outcome
            .refusal()
            .contains("more than 32 informational responses"),
        "{:?}",
        outcome.refusals
    );
}

#[test]
fn bodies_go_both_ways_at_once_piece_by_piece() {
    let server = Server::http();
    let case = Case::new("http-stream")
        .http(&server.origin())
        .this_machine()
        .set("url", server.url("/echo"));
    assert_eq!(
        case.run().line(),
        "heard 2000000 bytes, then 0 Dropped, all"
    );
}

#[test]
fn a_redirection_is_a_request_of_its_own() {
    let (server, other) = (Server::http(), Server::http());
    let case = Case::new("get")
        .http(&server.origin())
        .this_machine()
        .set("secret", "s3cret");
    let within = server.url("/redirect?/redirect?/end");
    let outcome = case.get(&within);
    assert!(
        outcome.line().starts_with("200 GET /end|"),
        "{}",
        outcome.line()
    );
    assert!(
        outcome.line().contains("|authorization=s3cret|"),
        "{}",
        outcome.line()
    );
    let elsewhere = server.url(&format!("/redirect?{}", other.url("/end")));
    let outcome = case.get(&elsewhere);
    assert_eq!(outcome.line(), "refused: Denied");
    assert!(
        outcome
            .refusal()
            .contains(&format!("http = [\"{}\"]", other.origin())),
        "{}",
        outcome.refusal()
    );
    assert_eq!(other.accepted(), 0);
    let outcome = case.clone().http(&other.origin()).get(&elsewhere);
    assert!(
        outcome.line().starts_with("200 GET /end|"),
        "{}",
        outcome.line()
    );
    assert!(!outcome.line().contains("s3cret"), "{}", outcome.line());
    assert_eq!(
        case.clone().set("redirects", "0").get(&elsewhere).line(),
        "302 "
    );
    let outcome = case.set("redirects", "1").get(&within);
    assert!(
        outcome.line().starts_with("redirected too often"),
        "{}",
        outcome.line()
    );
}

#[test]
fn a_request_is_one_request_for_one_host_whatever_its_headers_say() {
    let server = Server::http();
    let case = Case::new("headers")
        .http(&server.origin())
        .this_machine()
        .set("url", server.url("/"));
    let outcome = case.run();
    for line in &outcome.lines {
        assert!(!line.contains(": 200 ") && !line.contains("evil"), "{line}");
    }
    assert_eq!(outcome.lines.len(), 10, "{:?}", outcome.lines);
    for name in ["host", "Host", "connection", "transfer-encoding", "upgrade"] {
        let line = format!(
            "{name}: {} cannot be asked: a header is for the host alone to set",
            server.url("/")
        );
        assert!(outcome.lines.contains(&line), "{:?}", outcome.lines);
    }
    assert!(
        outcome.lines[7].starts_with("content-length: "),
        "{:?}",
        outcome.lines
    );
}

#[test]
fn an_answer_has_bounds() {
    let server = Server::http();
    let case = Case::new("get").http(&server.origin()).this_machine();
    for path in ["/headers", "/long-header"] {
        let outcome = case.get(&server.url(path));
        assert!(
            outcome.line().contains("was not reached: "),
            "{}",
            outcome.line()
        );
    }
}

#[test]
fn what_cannot_be_reached_is_told_from_what_is_refused() {
    let case = Case::new("get")
        .http("http://nobody.example")
        .names(&Names::new(&[]));
    let outcome = case.get("http://nobody.example/");
    assert!(
        outcome.line().contains("was not reached: "),
        "{}",
        outcome.line()
    );
    assert_eq!(
        outcome.refusal(),
        "nobody.example cannot be looked up: nobody knows it"
    );
    let port = Server::echo().port();
    let literal = format!("http://127.0.0.1:{port}");
    let outcome = Case::new("get").http(&literal).get(&format!("{literal}/"));
    assert!(outcome.line().contains("onnection"), "{}", outcome.line());
    let outcome = Case::new("connect")
        .tcp(&format!("127.0.0.1:{port}"))
        .set("to", format!("127.0.0.1:{port}"))
        .run();
    assert_eq!(outcome.line(), "ConnectionRefused");
}

#[test]
fn there_are_so_many_requests_at_once_and_no_more() {
    let server = Server::http();
    let mut case = Case::new("many")
        .http(&server.origin())
        .this_machine()
        .set("url", server.url("/never"));
    case.sockets = 4;
    let mut tested = case.start();
    tested.wait_for("plugin-log", "refused: TooMany", 16);
    let said = tested.wait_for("plugin-log", "4 connections are open", 16);
    assert_eq!(said["import"], "network");
    server.wait_for(4);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(
        Outcome::of(&tested)
            .lines
            .iter()
            .filter(|line| *line == "refused: TooMany")
            .count(),
        16
    );
    assert_eq!(server.accepted(), 4);
}
