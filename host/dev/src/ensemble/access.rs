//! Who may do what: ACLs, and the identities that connections have shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::refusal::Refusal;

pub(super) mod permission;

/// Somebody, as a scheme knows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) scheme: String,
    pub(super) id: String,
}

/// An entry of an ACL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Acl {
    pub(super) permissions: i32,
    pub(super) identity: Identity,
}

impl Identity {
    pub(super) fn new(scheme: &str, id: &str) -> Self {
        Self {
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// Whoever knows this secret, if the scheme is one that can say so.
    pub(super) fn authenticate(scheme: &str, secret: &[u8], address: &str) -> Option<Self> {
        match scheme {
            "ip" => Some(Self::new(scheme, address)),
            "digest" => {
                let secret = String::from_utf8_lossy(secret);
                let user = secret.split(':').next().unwrap_or_default();
                let digest = STANDARD.encode(Sha1::digest(secret.as_bytes()));
                Some(Self::new(scheme, &format!("{user}:{digest}")))
            }
            _ => None,
        }
    }

    /// What it is called where it is shown to people.
    pub(super) fn user(&self) -> &str {
        match self.scheme.as_str() {
            "digest" => self.id.split(':').next().unwrap_or_default(),
            _ => &self.id,
        }
    }

    fn is_anyone(&self) -> bool {
        self.scheme == "world" && self.id == "anyone"
    }

    fn is_valid(&self) -> bool {
        match self.scheme.as_str() {
            "ip" => Network::parse(&self.id).is_some(),
            // Two parts, as Java splits a text: empty ones at the end do not count.
            "digest" => self.id.trim_end_matches(':').split(':').count() == 2,
            _ => false,
        }
    }

    /// Whether an entry for this identity is meant for one that was shown.
    fn matches(&self, shown: &Self) -> bool {
        self.scheme == shown.scheme
            && match self.scheme.as_str() {
                "ip" => Network::parse(&self.id).is_some_and(|network| network.holds(&shown.id)),
                "digest" => self.id == shown.id,
                _ => false,
            }
    }
}

/// All rights for everybody.
pub(super) fn open() -> Vec<Acl> {
    let identity = Identity::new("world", "anyone");
    let permissions = permission::ALL;
    vec![Acl {
        permissions,
        identity,
    }]
}

/// Whether one of these rights is given to one of these identities.
pub(super) fn check(acl: &[Acl], rights: i32, shown: &[Identity]) -> Result<(), Refusal> {
    let permits = |entry: &Acl| {
        entry.permissions & rights != 0
            && (entry.identity.is_anyone()
                || shown.iter().any(|shown| entry.identity.matches(shown)))
    };
    let is_permitted = acl.is_empty() || acl.iter().any(permits);
    is_permitted.then_some(()).ok_or(Refusal::NoAuth)
}

/// How many entries an ACL has at most, and how long its identities are together, in bytes.
const ENTRIES_MAX: usize = 128;
const IDENTITIES_BYTES_MAX: usize = 16 * 1024;

/// An ACL as it is kept: `auth` becomes the identities that were shown.
pub(super) fn expand(acl: &[Acl], shown: &[Identity]) -> Result<Vec<Acl>, Refusal> {
    check_bounds(acl)?;
    let mut expanded = Vec::new();
    for (index, entry) in acl.iter().enumerate() {
        if acl[..index].contains(entry) {
            continue;
        }
        if entry.identity.scheme == "auth" {
            let before = expanded.len();
            let authenticated = shown.iter().filter(|shown| shown.scheme == "digest");
            expanded.extend(authenticated.map(|shown| Acl {
                permissions: entry.permissions,
                identity: shown.clone(),
            }));
            if expanded.len() == before {
                return Err(Refusal::InvalidAcl);
            }
        } else if entry.identity.is_anyone() || entry.identity.is_valid() {
            expanded.push(entry.clone());
        } else {
            return Err(Refusal::InvalidAcl);
        }
    }
    if expanded.is_empty() {
        return Err(Refusal::InvalidAcl);
    }
    // One entry for `auth` becomes as many as there are identities.
    check_bounds(&expanded)?;
    Ok(expanded)
}

fn check_bounds(acl: &[Acl]) -> Result<(), Refusal> {
    let bytes: usize = acl.iter().map(|entry| entry.identity.id.len()).sum();
    let fits = acl.len() <= ENTRIES_MAX && bytes <= IDENTITIES_BYTES_MAX;
    fits.then_some(()).ok_or(Refusal::InvalidAcl)
}

/// An ACL as it is shown to those who may not change it: without what passwords can be guessed from.
pub(super) fn masked(acl: &[Acl]) -> Vec<Acl> {
    let mut acl = acl.to_vec();
    for entry in &mut acl {
        if entry.identity.scheme == "digest"
            && let Some((user, _)) = entry.identity.id.split_once(':')
        {
            entry.identity.id = format!("{user}:x");
        }
    }
    acl
}

/// An IPv4 address, or a range of them.
struct Network {
    address: u32,
    mask: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, bits.parse().ok().filter(|bits| *bits <= 32)?),
            None => (text, 32),
        };
        let mut octets = address.split('.').map(|octet| octet.parse::<u8>().ok());
        let mut number = 0;
        for _ in 0..4 {
            number = number << 8 | u32::from(octets.next()??);
        }
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        octets.next().is_none().then_some(Self {
            address: number,
            mask,
        })
    }

    fn holds(&self, address: &str) -> bool {
        let address = Self::parse(address).map(|other| other.address);
        address.is_some_and(|address| address & self.mask == self.address & self.mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_one_that_zookeeper_makes() {
        let shown = Identity::authenticate("digest", b"super:admin", "");
        let expected = Identity::new("digest", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
        assert_eq!(shown, Some(expected));
        assert_eq!(Identity::authenticate("sasl", b"", ""), None);
    }

    #[test]
    fn an_address_is_in_the_networks_that_hold_it() {
        let holds = |network: &str| {
            let identity = Identity::new("ip", network);
            identity.is_valid() && identity.matches(&Identity::new("ip", "127.0.0.1"))
        };
        assert!(holds("127.0.0.1") && holds("127.9.9.9/8") && holds("1.2.3.4/0"));
        assert!(
            !holds("127.0.0.2") && !holds("127.0.0.1/33") && !holds("127.0.0") && !holds("::1")
        );
    }

    #[test]
    fn an_acl_is_as_bounded_when_it_stands_for_identities_that_were_shown() {
        let shown: Vec<_> = (0..64)
            .map(|user| Identity::new("digest", &format!("{user}:{}", "x".repeat(200))))
            .collect();
        let auth = |permissions| Acl {
            permissions,
            identity: Identity::new("auth", ""),
        };
        assert_eq!(expand(&[auth(1)], &shown).map(|acl| acl.len()), Ok(64));
        let refused = Err(Refusal::InvalidAcl);
        // Too many entries of short identities, too many bytes of long ones.
        let short: Vec<_> = (0..64)
            .map(|user| Identity::new("digest", &format!("{user}:x")))
            .collect();
        assert_eq!(expand(&[auth(1), auth(2), auth(4)], &short), refused);
        assert_eq!(expand(&[auth(1), auth(2)], &shown), refused);
    }

    #[test]
    fn a_digest_has_two_parts() {
        let is_valid = |id: &str| Identity::new("digest", id).is_valid();
        assert!(is_valid("a:b") && is_valid(":b") && is_valid("a:b:"));
        assert!(!is_valid("a") && !is_valid("a:") && !is_valid("a:b:c") && !is_valid(""));
    }
}
