//! Requests: what is granted, and within which bounds.

use std::net::IpAddr;

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
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_not_granted_is_not_even_looked_up() {
    let server = Server::http();
    let names = Names::new(&[
        ("granted.example", "127.0.0.1"),
        ("a.wild.example", "127.0.0.1"),
    ]);
    let port = server.port();
    let case = Case::new("get")
        .http(&format!("http://granted.example:{port}"))
        .http(&format!("http://*.wild.example:{port}"))
        .network("127.0.0.0/8")
        .names(&names);
    let refused = [
        (
            format!("https://granted.example:{port}/"),
            format!("https://granted.example:{port}"),
        ),
        (
            "http://granted.example/".into(),
            "http://granted.example".into(),
        ),
        (
            format!("http://other.example:{port}/"),
            format!("http://other.example:{port}"),
        ),
        (
            format!("http://granted.example.other:{port}/"),
            format!("http://granted.example.other:{port}"),
        ),
        (
            format!("http://wild.example:{port}/"),
            format!("http://wild.example:{port}"),
        ),
        (
            format!("http://localhost:{port}/"),
            format!("http://localhost:{port}"),
        ),
        (
            format!("http://127.0.0.1:{port}/"),
            format!("http://127.0.0.1:{port}"),
        ),
        (
            format!("http://[::1]:{port}/"),
            format!("http://[::1]:{port}"),
        ),
        (
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            format!("http://127.0.0.1:{port}"),
        ),
        (
            format!("http://[::ffff:7f00:1]:{port}/"),
            format!("http://127.0.0.1:{port}"),
        ),
        (
            format!("http://[64:ff9b::7f00:1]:{port}/"),
            format!("http://[64:ff9b::7f00:1]:{port}"),
        ),
        (
            "http://169.254.169.254/latest/meta-data/".into(),
            "http://169.254.169.254".into(),
        ),
        (
            "http://[fd00:ec2::254]/".into(),
            "http://[fd00:ec2::254]".into(),
        ),
        ("http://10.0.0.1/".into(), "http://10.0.0.1".into()),
        ("http://0.0.0.0/".into(), "http://0.0.0.0".into()),
    ];
    let outcome = case.get(&refused.each_ref().map(|(url, _)| url.as_str()).join(" "));
    assert_eq!(outcome.lines, ["refused: Denied"; 15]);
    for (refusal, (_, named)) in outcome.refusals.iter().zip(&refused) {
        assert!(
            refusal.ends_with(&format!("[task.allow]: http = [\"{named}\"]")),
            "{refusal}"
        );
    }
    assert_eq!(outcome.refusals.len(), refused.len());
    // What could be read in more than one way is no host at all.
    let bad = [
        format!("http://granted.example:{port}@evil.example/"),
        format!("http://granted.example@127.0.0.1:{port}/"),
        format!("http://me@granted.example:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://*.wild.example:{port}/"),
        format!("http://granted.example:{port}\\@evil.example/"),
        format!("http://granted.example:{port}:{port}/"),
        format!("http://granted.example:+{port}/"),
        format!("http://evil.example%2f.wild.example:{port}/"),
        "http:///".into(),
    ];
    let outcome = case.get(&bad.join(" "));
    assert_eq!(
        (outcome.lines.len(), &outcome.refusals),
        (bad.len(), &Vec::new())
    );
    for (told, url) in outcome.lines.iter().zip(&bad) {
        assert!(
            told.contains("UriInvalid") || told.contains("cannot be asked"),
            "{url}: {told}"
        );
    }
    assert_eq!((names.asked(), server.accepted()), (Vec::new(), 0));
    // And these are granted, so the test can tell the difference.
    let granted = ["granted.example", "GRANTED.example.", "a.wild.example"];
    let outcome = case.get(
        &granted
            .map(|host| format!("http://{host}:{port}/"))
            .join(" "),
    );
    assert!(
        outcome
            .lines
            .iter()
            .all(|line| line.starts_with("200 GET /|")),
        "{:?}",
        outcome.lines
    );
    assert_eq!((names.asked().len(), server.accepted()), (3, 3));
}

/// Names are lowered before they are looked up, and told.
#[test]
fn a_secret_in_the_name_of_a_host_is_hidden() {
    let outcome = Case::new("get")
        .secret("Hunter2-Key")
        .get("http://Hunter2-Key.example.com/");
    let refusal = outcome.refusal();
    assert!(
        refusal.contains("http://***.example.com") && !refusal.to_lowercase().contains("hunter2"),
        "{refusal}"
    );
}

#[test]
fn a_name_that_leads_inside_is_not_connected_to_whoever_answers_for_it() {
    let (server, _end) = Server::listening(b"");
    let port = server.port();
    let inside = [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
    ];
    let known: Vec<_> = inside
        .iter()
        .enumerate()
        .map(|(number, address)| (format!("n{number}.example"), *address))
        .collect();
    let names = Names::new(
        &known
            .iter()
            .map(|(name, address)| (name.as_str(), *address))
            .collect::<Vec<_>>(),
    );
    let hosts: Vec<_> = known
        .iter()
        .map(|(name, _)| format!("{name}:{port}"))
        .collect();
    let case = Case::new("get")
        .http(&format!("http://*.example:{port}"))
        .tcp(&format!("*.example:{port}"))
        .names(&names);
    let urls: Vec<_> = hosts.iter().map(|host| format!("http://{host}/")).collect();
    let outcomes = [
        ("get", "url", urls),
        ("lookup", "to", hosts.clone()),
        ("lookup3", "to", hosts),
    ]
    .map(|(what, key, to)| {
        let mut case = case.clone().set(key, to.join(" "));
        case.config[0].1 = what.into();
        case.run()
    });
    assert!(
        outcomes[0]
            .lines
            .iter()
            .all(|line| line == "refused: Address"),
        "{:?}",
        outcomes[0].lines
    );
    assert!(
        outcomes[2]
            .lines
            .iter()
            .all(|line| line == "ErrorCode::AccessDenied"),
        "{:?}",
        outcomes[2].lines
    );
    for outcome in outcomes {
        assert_eq!(
            (outcome.lines.len(), outcome.refusals.len()),
            (inside.len(), inside.len())
        );
        assert!(
            !outcome
                .lines
                .iter()
                .any(|line| line.contains(|digit: char| digit.is_ascii_digit()))
        );
        for (refusal, (name, address)) in outcome.refusals.iter().zip(&known) {
            let canonical = address.parse::<IpAddr>().unwrap().to_canonical();
            assert!(
                refusal.starts_with(&format!("{name} has the address {canonical}, ")),
                "{refusal}"
            );
            assert!(
                refusal.ends_with(&format!("networks = [\"{canonical}\"]")),
                "{refusal}"
            );
        }
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_name_that_changes_its_mind_is_judged_each_time() {
    let server = Server::http();
    let port = server.port();
    // Of several addresses, the ones inside are left out.
    let names = Names::new(&[("granted.example", "10.0.0.1 127.0.0.1 169.254.169.254")]);
    let case = Case::new("get")
        .http(&format!("http://granted.example:{port}"))
        .network("127.0.0.1")
        .names(&names);
    assert!(
        case.get(&format!("http://granted.example:{port}/"))
            .line()
            .starts_with("200 GET /|")
    );
    let case = Case::new("lookup")
        .tcp(&format!("granted.example:{port}"))
        .network("127.0.0.1")
        .names(&names);
    assert_eq!(
        case.set("to", format!("granted.example:{port}"))
            .run()
            .line(),
        format!("127.0.0.1:{port}")
    );
    assert_eq!(server.accepted(), 1);
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
