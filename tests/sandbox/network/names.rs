//! Names and addresses: a grant covers a name, and each address that the name leads to is judged.

use std::net::IpAddr;

use super::case::{Case, Names};
use super::server::Server;

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
    // A URL whose host could be read in more than one way is refused.
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
    // These hosts are granted, so the test can tell the difference.
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

/// A name is put into lower case before it is looked up and reported, and a secret in it is hidden all the same.
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
