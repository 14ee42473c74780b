use std::fmt;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn rule(outcome: Result<impl fmt::Debug, PolicyError>) -> &'static str {
    outcome.expect_err("this cannot be a grant").0
}

#[test]
fn origins_are_read_in_every_form_that_they_have() {
    for (text, read) in [
        ("https://api.example.com", "https://api.example.com"),
        ("HTTPS://API.Example.COM.:443", "https://api.example.com"),
        ("http://*.internal:8080", "http://*.internal:8080"),
        ("http://localhost:80", "http://localhost"),
        (
            "https://xn--bcher-kva.example:80",
            "https://xn--bcher-kva.example:80",
        ),
        ("http://10.1.2.3", "http://10.1.2.3"),
        ("http://[FD00::1]:8080", "http://[fd00::1]:8080"),
        ("http://[::ffff:10.0.0.1]", "http://10.0.0.1"),
        ("http://my_db", "http://my_db"),
    ] {
        let origin = Origin::new(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(origin.to_string(), read, "{text}");
        assert_eq!(Origin::new(read), Ok(origin), "{text}");
    }
}

#[test]
fn what_is_no_origin_is_told_why() {
    for (text, expected) in [
        ("api.example.com", "has no scheme"),
        ("ftp://api.example.com", "a scheme other than"),
        ("https://", "has no host"),
        ("https://:443", "has no host"),
        ("https://.", "has no host"),
        ("https://api.example.com/", "goes on after the port"),
        ("https://api.example.com?q", "goes on after the port"),
        ("https://api.example.com\\@evil", "goes on after the port"),
        ("https://me@api.example.com", "names a user"),
        ("https://api.example.com:", "has a port"),
        ("https://api.example.com:0", "has a port"),
        ("https://api.example.com:65536", "has a port"),
        ("https://api.example.com:+80", "has a port"),
        ("https://api.example.com:http", "has a port"),
        ("https://::1", "an IPv6 address without brackets"),
        ("https://[::1", "brackets without an IPv6 address"),
        ("https://[fe80::1%eth0]", "brackets without an IPv6 address"),
        ("https://[10.0.0.1]", "brackets without an IPv6 address"),
        ("https://*", "has a * elsewhere"),
        ("https://*.", "has no host"),
        ("https://a.*.com", "has a * elsewhere"),
        ("https://*a.com", "has a * elsewhere"),
        ("https://bücher.example", "is not plain ASCII"),
        ("https://a..b", "a host that is no name"),
        ("https://-a.b", "a host that is no name"),
        ("https://a b", "a host that is no name"),
        ("https://2130706433", "ends in a number"),
        ("https://0x7f.1", "ends in a number"),
        ("https://0177.0.0.1", "ends in a number"),
        ("https://127.1", "ends in a number"),
        ("https://1.2.3.0x4", "ends in a number"),
        ("https://1.2.3.4.", "ends in a number"),
    ] {
        let rule = rule(Origin::new(text));
        assert!(rule.contains(expected), "{text}: {rule}");
    }
    assert!(rule(Origin::new(&format!("https://{}", "a.".repeat(128)))).contains("253 bytes"));
    assert!(rule(Origin::new(&format!("https://{}.example", "a".repeat(64)))).contains("no name"));
}

#[test]
fn endpoints_and_networks_are_read() {
    for text in [
        "db.internal:5432",
        "*.internal:5432",
        "10.0.0.7:5432",
        "[fd00::7]:5432",
    ] {
        assert_eq!(Endpoint::new(text).unwrap().to_string(), text);
    }
    assert!(rule(Endpoint::new("db.internal")).contains("has no port"));
    assert!(rule(Endpoint::new("fd00::7:5432")).contains("without brackets"));
    for text in ["10.0.0.0/8", "fd00::/8", "0.0.0.0/0"] {
        assert_eq!(Network::new(text).unwrap().to_string(), text);
    }
    assert_eq!(Network::new("10.0.0.7").unwrap().to_string(), "10.0.0.7/32");
    assert_eq!(
        Network::new("::ffff:10.0.0.7").unwrap().to_string(),
        "10.0.0.7/32"
    );
    for (text, expected) in [
        ("10.0.0.0/33", "neither an address nor a range"),
        ("10.0.0.1/8", "bits after its prefix"),
        ("::ffff:10.0.0.0/104", "in the guise of IPv6"),
        ("10.0.0", "is not an address"),
        ("localhost", "is not an address"),
        ("", "is not an address"),
    ] {
        let rule = rule(Network::new(text));
        assert!(rule.contains(expected), "{text}: {rule}");
    }
}

fn policy(http: &[&str], tcp: &[&str], networks: &[&str]) -> NetworkPolicy {
    NetworkPolicy {
        http: Some(http.iter().map(|text| text.parse().unwrap()).collect()),
        tcp: Some(tcp.iter().map(|text| text.parse().unwrap()).collect()),
        networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
        nat64: Vec::new(),
        identify: true,
    }
}

#[test]
fn an_address_that_the_network_translates_is_judged_as_what_it_becomes() {
    let host = HostPattern::new("granted.example").unwrap();
    let inside = "2606:4700:64::10.0.0.1";
    let judge = |policy: &NetworkPolicy, address: &str| {
        policy.check_address(&host, address.parse().unwrap())
    };
    // Nobody else knows that it leads inside.
    assert_eq!(judge(&policy(&[], &[], &[]), inside), Ok(()));
    let named = |networks| NetworkPolicy {
        nat64: vec![Nat64::new("2606:4700:64::/96").unwrap()],
        ..policy(&[], &[], networks)
    };
    let refused = judge(&named(&[]), inside).unwrap_err();
    assert!(
        matches!(
            &refused,
            Refusal::Address {
                kind: AddressKind::Private,
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains("networks = [\"2606:4700:64::a00:1\"]"),
        "{refused}"
    );
    assert_eq!(judge(&named(&[]), "2606:4700:64::8.8.8.8"), Ok(()));
    assert_eq!(judge(&named(&[]), "2606:4700:65::1"), Ok(()));
    assert_eq!(judge(&named(&["10.0.0.0/8"]), inside), Ok(()));
    assert_eq!(judge(&named(&["2606:4700:64::a00:1"]), inside), Ok(()));
}

#[test]
fn an_origin_is_granted_by_scheme_host_and_port_together() {
    let policy = policy(
        &[
            "https://api.example.com",
            "http://*.internal:8080",
            "http://10.0.0.1",
        ],
        &[],
        &[],
    );
    let granted = |text: &str| policy.check_origin(&Origin::new(text).unwrap()).is_ok();
    for text in [
        "https://api.example.com",
        "https://API.example.com.:443",
        "http://a.internal:8080",
        "http://a.b.internal:8080",
        "http://10.0.0.1:80",
        "http://[::ffff:10.0.0.1]",
    ] {
        assert!(granted(text), "{text}");
    }
    for text in [
        "http://api.example.com",
        "http://api.example.com:443",
        "https://api.example.com:8443",
        "https://example.com",
        "https://a.api.example.com",
        "https://evilapi.example.com",
        "https://api.example.com.evil.com",
        "http://internal:8080",
        "http://evilinternal:8080",
        "http://a.internal",
        "http://*.internal:8080",
        "http://10.0.0.2",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ] {
        assert!(!granted(text), "{text}");
    }
    let refusal = policy
        .check_origin(&Origin::new("https://[fd00::1]:8443").unwrap())
        .unwrap_err();
    assert!(
        refusal
            .to_string()
            .ends_with("http = [\"https://[fd00::1]:8443\"]"),
        "{refusal}"
    );
}

#[test]
fn nothing_is_granted_by_default() {
    let nothing = NetworkPolicy::default();
    assert!(
        nothing
            .check_origin(&Origin::new("https://api.example.com").unwrap())
            .is_err()
    );
    assert!(
        nothing
            .tcp_ports(&HostPattern::new("db.internal").unwrap())
            .is_err()
    );
    assert!(nothing.identify);
}

#[test]
fn the_ports_of_a_host_are_those_of_every_grant_that_covers_it() {
    let policy = policy(
        &[],
        &["db.internal:5432", "*.internal:6379", "10.0.0.1:22"],
        &[],
    );
    let ports = |host: &str| {
        policy
            .tcp_ports(&HostPattern::new(host).unwrap())
            .unwrap_or_default()
    };
    assert_eq!(ports("db.internal"), [5432, 6379]);
    assert_eq!(ports("DB.internal."), [5432, 6379]);
    assert_eq!(ports("cache.internal"), [6379]);
    assert_eq!(ports("10.0.0.1"), [22]);
    assert_eq!(ports("::ffff:10.0.0.1"), [22]);
    for host in ["internal", "db", "10.0.0.2", "*.internal"] {
        assert!(ports(host).is_empty(), "{host}");
    }
}

#[test]
fn an_address_inside_needs_a_network_or_a_grant_that_names_it() {
    let policy = policy(&[], &[], &["10.0.0.0/8", "fd00::/8"]);
    let passes = |host: &str, address: &str| {
        policy
            .check_address(&HostPattern::new(host).unwrap(), address.parse().unwrap())
            .is_ok()
    };
    assert!(passes("db.internal", "8.8.8.8"));
    assert!(passes("db.internal", "10.1.2.3"));
    assert!(passes("db.internal", "::ffff:10.1.2.3"));
    assert!(passes("db.internal", "fd12::1"));
    assert!(passes("192.168.0.1", "192.168.0.1"));
    assert!(passes("192.168.0.1", "::ffff:192.168.0.1"));
    assert!(!passes("192.168.0.1", "192.168.0.2"));
    assert!(!passes("db.internal", "192.168.0.1"));
    assert!(!passes("localhost", "127.0.0.1"));
    assert!(!passes("db.internal", "169.254.169.254"));
    // A translator may lead to another 10.1.2.3 than the one that was meant.
    assert!(!passes("db.internal", "64:ff9b::10.1.2.3"));
    assert!(passes("64:ff9b::10.1.2.3", "64:ff9b::10.1.2.3"));
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn reading_never_panics_and_what_is_read_is_read_again_the_same(text in "(https?://)?[-a-z0-9.:*@\\[\\]/_éA]{0,40}") {
        for text in [text.clone(), format!("http://{text}")] {
            if let Ok(origin) = Origin::new(&text) {
                prop_assert_eq!(Origin::new(&origin.to_string()), Ok(origin));
            }
        }
        if let Ok(endpoint) = Endpoint::new(&text) {
            prop_assert_eq!(Endpoint::new(&endpoint.to_string()), Ok(endpoint));
        }
        if let Ok(network) = Network::new(&text) {
            prop_assert_eq!(Network::new(&network.to_string()), Ok(network));
        }
    }

    #[test]
    fn a_wildcard_covers_what_is_below_its_suffix_and_nothing_else(name in "[a-c.]{1,8}") {
        let Ok(host) = HostPattern::new(&name) else { return Ok(()) };
        let below = host.to_string().ends_with(".a.b");
        prop_assert_eq!(HostPattern::new("*.a.b").unwrap().covers(&host), below);
    }

    #[test]
    fn no_address_inside_is_reached_by_a_name_alone(bits in any::<u32>()) {
        let address = IpAddr::from(Ipv4Addr::from(bits));
        let host = HostPattern::new("granted.example").unwrap();
        let passes = NetworkPolicy::default().check_address(&host, address).is_ok();
        prop_assert_eq!(passes, AddressKind::of(address) == AddressKind::Public);
    }
}
