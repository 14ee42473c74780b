//! TCP: what is granted, and within which bounds; nothing comes in.

use super::case::{Case, Names};
use super::server::Server;

#[test]
fn there_are_so_many_sockets_at_once_and_no_more() {
    let server = Server::echo();
    let to = format!("127.0.0.1:{}", server.port());
    let mut case = Case::new("sockets").tcp(&to).set("to", &to);
    case.sockets = 3;
    let outcome = case.run();
    assert_eq!(outcome.lines, ["3 sockets", "then one more"]);
    assert!(
        outcome.refusal().contains("3 connections are open"),
        "{}",
        outcome.refusal()
    );
    case.config[0].1 = "sockets3".into();
    assert!(
        case.run()
            .line()
            .starts_with("3 sockets, then ErrorCode::Other")
    );
}

#[test]
fn tcp_reaches_what_is_granted_and_nothing_else_by_both_versions_of_wasi() {
    let (server, other) = (Server::echo(), Server::echo());
    let (port, closed) = (server.port(), other.port());
    let names = Names::new(&[
        ("granted.example", "127.0.0.1"),
        ("other.example", "127.0.0.1"),
    ]);
    let case = |what| {
        Case::new(what)
            .tcp(&format!("granted.example:{port}"))
            .network("127.0.0.0/8")
            .names(&names)
    };
    for what in ["connect", "connect3"] {
        let to = |to: String| case(what).set("to", to).run();
        // Nobody has looked the address up yet, and then only for the port that is granted.
        let outcome = to(format!(
            "127.0.0.1:{port} granted.example:{port} granted.example:{closed} 127.0.0.1:{port}"
        ));
        let denied = if what == "connect" {
            "PermissionDenied"
        } else {
            "ErrorCode::AccessDenied"
        };
        assert_eq!([&*outcome.lines[0], &*outcome.lines[2]], [denied; 2]);
        assert!(
            outcome.lines[1].starts_with("heard \"hello\\n\""),
            "{:?}",
            outcome.lines
        );
        assert!(
            outcome.lines[3].starts_with("heard \"hello\\n\""),
            "{:?}",
            outcome.lines
        );
        let granting = [port, closed].map(|port| format!("tcp = [\"127.0.0.1:{port}\"]"));
        assert!(
            outcome
                .refusals
                .iter()
                .zip(&granting)
                .all(|(refusal, line)| refusal.ends_with(line)),
            "{:?}",
            outcome.refusals
        );
        let names = [
            "other.example",
            "example",
            "evil.granted.example",
            "0x7f.1",
            "127.1",
            "2130706433",
            "169.254.169.254",
        ];
        let outcome = to(names.map(|name| format!("{name}:{port}")).join(" "));
        assert!(
            !outcome.lines.iter().any(|line| line.contains("heard")),
            "{:?}",
            outcome.lines
        );
        assert_eq!(outcome.lines.len(), names.len());
        let literal = format!("127.0.0.1:{port}");
        assert!(
            Case::new(what)
                .tcp(&literal)
                .set("to", &literal)
                .run()
                .line()
                .starts_with("heard \"hello\\n\"")
        );
    }
    for what in ["lookup", "lookup3"] {
        assert!(
            case(what)
                .set("to", format!("granted.example:{port}"))
                .run()
                .line()
                .starts_with("127.0.0.1")
        );
        let outcome = case(what).set("to", format!("other.example:{port}")).run();
        assert!(
            outcome.refusal().contains("other.example is not granted"),
            "{}",
            outcome.refusal()
        );
    }
    assert!(
        names.asked().iter().all(|name| name == "granted.example"),
        "{:?}",
        names.asked()
    );
    assert_eq!(other.accepted(), 0);
    let large = case("large")
        .set("to", format!("granted.example:{port}"))
        .run();
    assert_eq!(large.line(), "heard 3000000 bytes, the same");
}

#[test]
fn nothing_comes_in_and_there_is_no_udp() {
    let case = Case::new("inbound")
        .tcp("*.example:1")
        .network("0.0.0.0/0")
        .network("::/0");
    let outcome = case.run();
    assert_eq!(outcome.lines.len(), 6);
    for line in &outcome.lines {
        assert!(line.ends_with(": PermissionDenied"), "{line}");
    }
    let lines = Case::new("inbound3").tcp("*.example:1").run().lines;
    let denied = "Some(ErrorCode::AccessDenied)";
    let expected = [
        ("bind", denied),
        ("bind port", denied),
        ("bind any", "None"),
        ("listen", denied),
        ("udp", denied),
    ];
    assert_eq!(lines, expected.map(|(what, how)| format!("{what}: {how}")));
}
