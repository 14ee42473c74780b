use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::grants::HostPattern;

fn directory(host: &str, access: Access) -> Directory {
    Directory {
        host: host.into(),
        guest: "/d".into(),
        access,
    }
}

fn secret(name: &str, file: Option<&str>) -> SecretSource {
    SecretSource {
        name: name.into(),
        file: file.map(PathBuf::from),
    }
}

fn lines(excess: &[Excess]) -> Vec<String> {
    excess.iter().map(ToString::to_string).collect()
}

#[test]
fn each_grant_beyond_the_bound_is_named_as_the_line_that_grants_it() {
    let grants = Grants {
        state: true,
        network: NetworkPolicy {
            http: Some(vec!["https://a".parse().unwrap()]),
            tcp: Some(vec!["[fd00::1]:5432".parse().unwrap()]),
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            ..NetworkPolicy::default()
        },
        dirs: vec![directory("/srv/\"a\"", Access::Write)],
        dirs_said: true,
        env: [("TZ".to_owned(), "hunter2".to_owned())].into(),
        secrets: vec![
            secret("KEY", None),
            secret("PASSWORD", Some("/run/secrets/db")),
        ],
    };
    assert_eq!(
        lines(&GrantsBound::default().exceeded_by(&grants)),
        [
            "state = true",
            "http = [\"https://a\"]",
            "tcp = [\"[fd00::1]:5432\"]",
            "networks = [\"10.0.0.0/8\"]",
            "dirs = [{ host = \"/srv/\\\"a\\\"\", guest = \"/d\", mode = \"write\" }]",
            "env = { TZ = ... }",
            "secrets = [\"KEY\"]",
            "secrets = [{ name = \"PASSWORD\", file = \"/run/secrets/db\" }]",
        ]
    );
    assert_eq!(GrantsBound::of(&grants).exceeded_by(&grants), []);
    assert_eq!(GrantsBound::default().exceeded_by(&Grants::default()), []);
}

#[test]
fn a_directory_is_within_the_bound_if_it_lies_below_it_and_asks_for_no_more() {
    let bound = GrantsBound {
        dirs: vec![
            DirectoryBound {
                host: "/srv/a".into(),
                access: Access::Write,
            },
            DirectoryBound {
                host: "/srv/b/".into(),
                access: Access::Read,
            },
        ],
        ..GrantsBound::default()
    };
    let within = |host: &str, access| {
        let grants = Grants {
            dirs: vec![directory(host, access)],
            ..Grants::default()
        };
        bound.exceeded_by(&grants).is_empty()
    };
    for (host, access) in [
        ("/srv/a", Access::Write),
        ("/srv/a/x/y", Access::Write),
        ("/srv/a", Access::Read),
        ("/srv/b", Access::Read),
        ("/srv/b/x", Access::Read),
    ] {
        assert!(within(host, access), "{host}");
    }
    for (host, access) in [
        ("/srv/b", Access::Write),
        ("/srv", Access::Read),
        ("/srv/ab", Access::Read),
        ("/srv/A", Access::Read),
        ("/srv/a/../c", Access::Read),
        ("/srv/a/..", Access::Read),
        ("srv/a", Access::Read),
        ("/", Access::Read),
    ] {
        assert!(!within(host, access), "{host}");
    }
}

#[test]
fn the_secrets_of_the_host_itself_are_within_no_bound() {
    let bound = GrantsBound {
        secrets: vec![
            SecretBound::Variable(NamePattern::new("*").unwrap()),
            SecretBound::File("/run/secrets/report".into()),
        ],
        ..GrantsBound::default()
    };
    let within = |secret| {
        bound
            .exceeded_by(&Grants {
                secrets: vec![secret],
                ..Grants::default()
            })
            .is_empty()
    };
    assert!(within(secret("KEY", None)));
    assert!(within(secret("KEY", Some("/run/secrets/report/key"))));
    assert!(!within(secret("SOLOIST_ZOOKEEPER_AUTH", None)));
    assert!(!within(secret("KEY", Some("/run/secrets/other"))));
    assert!(!within(secret("KEY", Some("/run/secrets/report/../other"))));
}

#[test]
fn a_network_may_lie_in_several_that_border_on_each_other() {
    let bound = |networks: &[&str]| GrantsBound {
        network: NetworkPolicy {
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            ..NetworkPolicy::default()
        },
        ..GrantsBound::default()
    };
    let grants = |network: &str| Grants {
        network: NetworkPolicy {
            networks: vec![network.parse().unwrap()],
            ..NetworkPolicy::default()
        },
        ..Grants::default()
    };
    let within =
        |networks: &[&str], network| bound(networks).exceeded_by(&grants(network)).is_empty();
    assert!(within(&["10.0.0.0/9", "10.128.0.0/9"], "10.0.0.0/8"));
    assert!(within(&["10.0.0.0/8"], "10.1.2.3"));
    assert!(!within(&["10.0.0.0/9", "10.128.0.0/10"], "10.0.0.0/8"));
    assert!(!within(&["::/0"], "10.0.0.0/8"));
    assert!(!within(&["0.0.0.0/0"], "fd00::/8"));
    assert!(!within(&[], "8.8.8.8"));
}

#[test]
fn a_pattern_is_within_another_if_all_that_it_covers_is() {
    let within = |bound: &str, granted: &str| {
        let policy = |host: &str| NetworkPolicy {
            http: Some(vec![format!("https://{host}").parse().unwrap()]),
            tcp: Some(vec![format!("{host}:5432").parse().unwrap()]),
            ..NetworkPolicy::default()
        };
        let bound = GrantsBound {
            network: policy(bound),
            ..GrantsBound::default()
        };
        let excess = bound.exceeded_by(&grants(policy(granted)));
        assert!(excess.len() != 1, "{excess:?}");
        excess.is_empty()
    };
    for (bound, granted) in [
        ("a", "A."),
        ("*.a", "b.a"),
        ("*.a", "*.a"),
        ("*.a", "*.b.a"),
        ("10.0.0.1", "10.0.0.1"),
    ] {
        assert!(within(bound, granted), "{bound} {granted}");
    }
    for (bound, granted) in [
        ("a", "b"),
        ("a", "*.a"),
        ("*.a", "a"),
        ("*.b.a", "*.a"),
        ("*.a", "*.ba"),
        ("*.a", "*.b"),
        ("*.a", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2"),
    ] {
        assert!(!within(bound, granted), "{bound} {granted}");
    }
}

const HOSTS: [&str; 9] = [
    "a", "b.a", "c.b.a", "ba", "x", "10.0.0.1", "10.0.0.2", "fd00::1", "8.8.8.8",
];
const ADDRESSES: [&str; 9] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.128.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "8.8.8.8",
    "fd00::1",
    "fd00::2",
    "2001:db8:64::a00:1",
];

fn policy() -> impl Strategy<Value = NetworkPolicy> {
    let origins = select(vec![
        "https://a",
        "https://b.a",
        "https://*.a",
        "https://*.b.a",
        "http://*.a",
        "https://*.a:1",
        "https://10.0.0.1",
        "https://[fd00::1]",
    ]);
    let endpoints = select(vec![
        "a:1",
        "*.a:1",
        "*.b.a:1",
        "*.b.a:2",
        "b.a:1",
        "c.b.a:2",
        "10.0.0.1:1",
        "[fd00::1]:1",
    ]);
    let networks = select(vec![
        "10.0.0.0/8",
        "10.0.0.0/9",
        "10.128.0.0/9",
        "10.0.0.1",
        "fd00::/8",
        "fd00::/16",
        "fd00::1",
        "0.0.0.0/0",
        "127.0.0.1",
    ]);
    (
        option::of(vec(origins, 0..4)),
        option::of(vec(endpoints, 0..4)),
        vec(networks, 0..3),
        any::<bool>(),
    )
        .prop_map(|(http, tcp, networks, identify)| NetworkPolicy {
            http: http.map(|list| list.iter().map(|text| text.parse().unwrap()).collect()),
            tcp: tcp.map(|list| list.iter().map(|text| text.parse().unwrap()).collect()),
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            nat64: vec![crate::grants::Nat64::new("2001:db8:64::/96").unwrap()],
            identify,
        })
}

/// What a plugin reaches: by HTTP or TCP, the host that it asks for, the port, and the address that it resolves to.
fn reached(policy: &NetworkPolicy) -> Vec<(&'static str, &'static str, u16, &'static str)> {
    let mut all = Vec::new();
    for host in HOSTS {
        let pattern = HostPattern::new(host).unwrap();
        let addresses: Vec<_> = ADDRESSES
            .into_iter()
            .filter(|text| {
                policy
                    .check_address(&pattern, text.parse::<IpAddr>().unwrap())
                    .is_ok()
            })
            .collect();
        let bracketed = pattern.bracketed();
        for (scheme, port) in [("http", 80), ("https", 443), ("https", 1)] {
            let origin = Origin::new(&format!("{scheme}://{bracketed}:{port}")).unwrap();
            if policy.check_origin(&origin).is_ok() {
                all.extend(
                    addresses
                        .iter()
                        .map(|address| (scheme, host, port, *address)),
                );
            }
        }
        for port in policy.tcp_ports(&pattern).unwrap_or_default() {
            all.extend(
                addresses
                    .iter()
                    .map(|address| ("tcp", host, port, *address)),
            );
        }
    }
    all
}

fn grants(network: NetworkPolicy) -> Grants {
    Grants {
        network,
        ..Grants::default()
    }
}

/// Those grants of `granted` that are within the bound: so that properties are not about refusals alone.
fn narrowed(mut granted: NetworkPolicy, bound: &NetworkPolicy) -> NetworkPolicy {
    let all = GrantsBound {
        network: bound.clone(),
        ..GrantsBound::default()
    }
    .exceeded_by(&grants(granted.clone()));
    for excess in all {
        match excess {
            Excess::Http(origin) => granted
                .http
                .iter_mut()
                .for_each(|list| list.retain(|it| *it != origin)),
            Excess::Tcp(endpoint) => granted
                .tcp
                .iter_mut()
                .for_each(|list| list.retain(|it| *it != endpoint)),
            Excess::Network(network) => granted.networks.retain(|it| *it != network),
            other => panic!("{other} is not of the network"),
        }
    }
    granted
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn what_is_within_the_bound_reaches_nothing_that_the_bound_does_not(granted in policy(), bound in policy()) {
        let narrow = narrowed(granted.clone(), &bound);
        let within = reached(&bound);
        for way in reached(&narrow) {
            prop_assert!(within.contains(&way), "{way:?} with {narrow:?} within {bound:?}");
        }
        let bound_grants = GrantsBound { network: bound, ..GrantsBound::default() };
        prop_assert_eq!(bound_grants.exceeded_by(&grants(narrow.clone())), []);
        // What is taken out of the grants is what goes beyond.
        if reached(&granted).iter().any(|way| !within.contains(way)) {
            prop_assert_ne!(narrow, granted);
        }
    }

    #[test]
    fn grants_are_within_themselves_and_a_bound_within_a_bound_bounds_as_well(
        (one, two, three) in (policy(), policy(), policy()),
    ) {
        let of = |network: &NetworkPolicy| GrantsBound { network: network.clone(), ..GrantsBound::default() };
        prop_assert_eq!(of(&one).exceeded_by(&grants(one.clone())), []);
        let two = narrowed(two, &one);
        let three = narrowed(three, &two);
        prop_assert_eq!(of(&one).exceeded_by(&grants(three)), []);
    }

    #[test]
    fn an_address_of_a_network_within_others_is_in_one_of_them(
        granted in (any::<u32>(), 0..=32_u8), bound in vec((any::<u32>(), 0..=4_u8), 0..6), rest in any::<u32>(),
    ) {
        let network = |bits: u32, length: u8| -> Network {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", std::net::Ipv4Addr::from(bits & mask)).parse().unwrap()
        };
        let (bits, length) = granted;
        let bound: Vec<_> = bound.into_iter().map(|(bits, length)| network(bits, length)).collect();
        if network(bits, length).is_within(&bound) {
            let below = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            let address = IpAddr::from(std::net::Ipv4Addr::from(bits & !below | rest & below));
            prop_assert!(bound.iter().any(|network| network.contains(address)));
        }
    }
}
