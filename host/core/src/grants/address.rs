//! What an address leads to: the world, or the inside of something. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::policy::PolicyError;

/// Where an address leads, by the registries of special addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Anywhere in the world.
    Public,
    /// Inside an organisation, or a provider.
    Private,
    /// This machine.
    Loopback,
    /// The neighbours on the wire; among them a cloud's metadata service.
    LinkLocal,
    /// A service that a cloud gives its machines at an address that looks public.
    Cloud,
    /// No address; a connection to it reaches this machine.
    Unspecified,
    /// The far end of a tunnel through somebody's IPv4 (ISATAP).
    Tunnel,
    /// Many machines.
    Multicast,
    /// Every machine on the wire.
    Broadcast,
    /// An example in a text.
    Documentation,
    /// A test of network devices.
    Benchmark,
    /// Nothing known.
    Reserved,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Cloud => "an address of a cloud's own services",
            Self::Unspecified => "the unspecified address",
            Self::Tunnel => "an address of a tunnel (ISATAP)",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmark => "an address for benchmarks",
            Self::Reserved => "a reserved address",
        })
    }
}

impl AddressKind {
    /// Where `address` leads. An IPv6 address that stands for an IPv4 address leads where that does.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => {
                let inside = embedded(address)
                    .into_iter()
                    .flatten()
                    .map(of_v4)
                    .find(|kind| *kind != Self::Public);
                let kind =
                    inside.unwrap_or_else(|| first(V6, |network| network.contains(&address)));
                if kind == Self::Public && is_isatap(address) {
                    Self::Tunnel
                } else {
                    kind
                }
            }
        }
    }
}

fn of_v4(address: Ipv4Addr) -> AddressKind {
    first(V4, |network| network.contains(&address))
}

fn first<N>(table: &[(N, AddressKind)], contains: impl Fn(&N) -> bool) -> AddressKind {
    table
        .iter()
        .find(|(network, _)| contains(network))
        .map_or(AddressKind::Reserved, |(_, kind)| *kind)
}

/// Whether an interface that tunnels through IPv4 made the address: it is told by its end, whatever the network.
fn is_isatap(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, ..])
}

/// The IPv4 addresses that a translator or a tunnel makes of an IPv6 address. (A mapped address is one already.)
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // The unspecified and the loopback address are of IPv6 itself.
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => [v4(high, low), None],
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => [v4(high, low), None],
        // Teredo: a server, and a client with every bit turned over.
        [0x2001, 0, high, low, .., client_high, client_low] => {
            [v4(high, low), v4(!client_high, !client_low)]
        }
        _ => [None, None],
    }
}

/// A prefix by which the operator's own network translates IPv6 to IPv4 (NAT64): only the operator knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat64(Ipv6Net);

impl Nat64 {
    /// Reads "2001:db8:64::/96".
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        let prefix: Ipv6Net = text
            .parse()
            .map_err(|_| PolicyError("is not a range of IPv6 like 2001:db8:64::/96"))?;
        if !matches!(prefix.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96) {
            return Err(PolicyError(
                "has a length other than 32, 40, 48, 56, 64 and 96, which NAT64 has",
            ));
        }
        if prefix != prefix.trunc() {
            return Err(PolicyError("has bits after its prefix: they must be 0"));
        }
        if prefix.addr().octets()[UNUSED] != 0 {
            return Err(PolicyError(
                "has other bits than 0 from the 64th to the 71st, which NAT64 leaves out",
            ));
        }
        Ok(Self(prefix))
    }

    /// The IPv4 address that such an address is translated to.
    pub(super) fn translated(self, address: IpAddr) -> Option<Ipv4Addr> {
        let IpAddr::V6(address) = address else {
            return None;
        };
        if !self.0.contains(&address) {
            return None;
        }
        let (octets, start) = (address.octets(), usize::from(self.0.prefix_len() / 8));
        let mut inside = octets
            .into_iter()
            .enumerate()
            .skip(start)
            .filter(|(place, _)| *place != UNUSED);
        let mut next = || inside.next().map_or(0, |(_, octet)| octet);
        Some(Ipv4Addr::new(next(), next(), next(), next()))
    }
}

impl fmt::Display for Nat64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The octet of a translated address that is left out (RFC 6052).
const UNUSED: usize = 8;

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// The first that contains the address counts.
const V4: &[(Ipv4Net, AddressKind)] = &[
    (v4(0, 0, 0, 0, 32), AddressKind::Unspecified),
    (v4(0, 0, 0, 0, 8), AddressKind::Reserved),
    (v4(10, 0, 0, 0, 8), AddressKind::Private),
    (v4(100, 64, 0, 0, 10), AddressKind::Private),
    (v4(127, 0, 0, 0, 8), AddressKind::Loopback),
    (v4(168, 63, 129, 16, 32), AddressKind::Cloud),
    (v4(169, 254, 0, 0, 16), AddressKind::LinkLocal),
    (v4(172, 16, 0, 0, 12), AddressKind::Private),
    (v4(192, 0, 0, 0, 24), AddressKind::Reserved),
    (v4(192, 0, 2, 0, 24), AddressKind::Documentation),
    (v4(192, 88, 99, 0, 24), AddressKind::Reserved),
    (v4(192, 168, 0, 0, 16), AddressKind::Private),
    (v4(198, 18, 0, 0, 15), AddressKind::Benchmark),
    (v4(198, 51, 100, 0, 24), AddressKind::Documentation),
    (v4(203, 0, 113, 0, 24), AddressKind::Documentation),
    (v4(224, 0, 0, 0, 4), AddressKind::Multicast),
    (v4(255, 255, 255, 255, 32), AddressKind::Broadcast),
    (v4(240, 0, 0, 0, 4), AddressKind::Reserved),
    (v4(0, 0, 0, 0, 0), AddressKind::Public),
];

/// The first that contains the address counts; what is in none is reserved.
const V6: &[(Ipv6Net, AddressKind)] = &[
    (
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128),
        AddressKind::Unspecified,
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        AddressKind::Loopback,
    ),
    (v6(0x64, 0xff9b, 0, 0, 96), AddressKind::Public),
    (v6(0x2001, 0, 0, 0, 32), AddressKind::Public),
    (v6(0x2001, 0x2, 0, 0, 48), AddressKind::Benchmark),
    (v6(0x2001, 0, 0, 0, 23), AddressKind::Reserved),
    (v6(0x2001, 0xdb8, 0, 0, 32), AddressKind::Documentation),
    (v6(0x3fff, 0, 0, 0, 20), AddressKind::Documentation),
    (v6(0x2000, 0, 0, 0, 3), AddressKind::Public),
    (v6(0xfc00, 0, 0, 0, 7), AddressKind::Private),
    (v6(0xfe80, 0, 0, 0, 10), AddressKind::LinkLocal),
    (v6(0xfec0, 0, 0, 0, 10), AddressKind::Private),
    (v6(0xff00, 0, 0, 0, 8), AddressKind::Multicast),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(text: &str) -> AddressKind {
        AddressKind::of(text.parse().unwrap_or_else(|_| panic!("{text}")))
    }

    #[test]
    fn every_special_address_is_told_from_the_public_ones_beside_it() {
        use AddressKind as K;
        let table = [
            (K::Unspecified, "0.0.0.0 ::"),
            (
                K::Reserved,
                "0.0.0.1 0.255.255.255 192.0.0.0 192.0.0.192 192.88.99.1 240.0.0.0 255.255.255.254",
            ),
            (
                K::Private,
                "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255",
            ),
            (K::Private, "100.64.0.0 100.100.100.200 100.127.255.255"),
            (
                K::Private,
                "fc00:: fd00:ec2::254 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fec0::1",
            ),
            (K::Loopback, "127.0.0.1 127.255.255.255 ::1"),
            (
                K::LinkLocal,
                "169.254.0.0 169.254.169.254 169.254.255.255 fe80::1 febf::1",
            ),
            (K::Cloud, "168.63.129.16"),
            (K::Multicast, "224.0.0.1 239.255.255.255 ff02::1"),
            (K::Broadcast, "255.255.255.255"),
            (
                K::Documentation,
                "192.0.2.1 198.51.100.1 203.0.113.255 2001:db8::1 3fff:fff::1",
            ),
            (K::Benchmark, "198.18.0.1 198.19.255.255 2001:2::1"),
            (
                K::Reserved,
                "100::1 64:ff9b:1::808:808 2001:10::1 2001:1ff::1 4000::1 5f00::1 ::808:808 ::2",
            ),
            (
                K::Public,
                "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0",
            ),
            (
                K::Public,
                "168.63.129.15 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0",
            ),
            (
                K::Public,
                "192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.114.0 223.255.255.255",
            ),
            (
                K::Public,
                "2001:200::1 2001:db9::1 2606:4700::1111 2a00::1 3fff:1000::1",
            ),
        ];
        for (expected, addresses) in table {
            for address in addresses.split(' ') {
                // An address that is compatible with a special one is that one.
                let expected = if address == "::2" {
                    K::Reserved
                } else {
                    expected
                };
                assert_eq!(kind(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn an_address_in_disguise_is_what_it_stands_for() {
        use AddressKind as K;
        for (expected, addresses) in [
            (
                K::Loopback,
                "::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::127.0.0.1 2002:7f00:1::1 2001:0:808:808::80ff:fffe",
            ),
            (
                K::LinkLocal,
                "::ffff:169.254.169.254 ::169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::",
            ),
            (
                K::LinkLocal,
                "2001:0:808:808::5601:5601 2001:0:a9fe:a9fe::f7f7:f7f7",
            ),
            (
                K::Private,
                "::ffff:10.0.0.1 ::ffff:a00:1 64:ff9b::10.0.0.1 2002:c0a8:1::",
            ),
            (K::Unspecified, "::ffff:0.0.0.0 64:ff9b:: 2002::"),
            (
                K::Public,
                "::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1 2001:0:808:808::f7f7:f7f7",
            ),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(kind(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn a_tunnel_is_told_by_the_end_of_the_address() {
        for address in [
            "2606:4700::5efe:a9fe:a9fe",
            "2a00::200:5efe:808:808",
            "2002:808:808::5efe:a00:1",
        ] {
            assert_eq!(kind(address), AddressKind::Tunnel, "{address}");
        }
        assert_eq!(kind("fe80::5efe:808:808"), AddressKind::LinkLocal);
        assert_eq!(kind("2606:4700::1:5efe:808:808"), AddressKind::Public);
    }

    /// The examples of RFC 6052.
    #[test]
    fn every_length_of_a_nat64_prefix_has_its_place_for_the_address() {
        for (prefix, address) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ] {
            let nat64 = Nat64::new(prefix).unwrap();
            assert_eq!(
                nat64.translated(address.parse().unwrap()),
                Some(Ipv4Addr::new(192, 0, 2, 33)),
                "{prefix}"
            );
            assert_eq!(nat64.translated("2001:db9::1".parse().unwrap()), None);
        }
        for bad in [
            "2001:db8::",
            "2001:db8::/33",
            "10.0.0.0/8",
            "2001:db8::1/96",
            "2001:db8:0:0:100::/96",
            "",
        ] {
            assert!(Nat64::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(soloist_seed::properties())]

        #[test]
        fn no_disguise_makes_an_inside_address_public(bits in any::<u32>(), rest in any::<u64>()) {
            let v4 = Ipv4Addr::from(bits);
            let (high, low) = ((bits >> 16) as u16, (bits & 0xffff) as u16);
            let [a, b, c, d] = [48, 32, 16, 0].map(|shift| (rest >> shift & 0xffff) as u16);
            let disguises = [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, a, b, c, d, 1),
                Ipv6Addr::new(0x2001, 0, 0x808, 0x808, a, b, !high, !low),
                Ipv6Addr::new(0x2001, 0, high, low, a, b, 0xf7f7, 0xf7f7),
            ];
            let plain = AddressKind::of(v4.into());
            for disguise in disguises {
                prop_assert_eq!(AddressKind::of(disguise.into()), plain, "{}", disguise);
            }
            prop_assert_ne!(AddressKind::of(Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low).into()), AddressKind::Public);
        }
    }
}
