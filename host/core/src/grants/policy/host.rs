//! The hosts of requests and grants.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PolicyError;

/// A host in a request or in a grant. A name is in lower case and has no dot at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// A name.
    Name(String),
    /// Every name below this one, without this one. Only a grant has it.
    Below(String),
    /// An address. An IPv4 address never has its IPv6 form here.
    Address(IpAddr),
}

impl HostPattern {
    const NAME_BYTES: usize = 253;

    /// Reads a name, `*.` and a name, or an address. An IPv6 address may have brackets.
    ///
    /// # Errors
    /// [`PolicyError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        if let Some(address) = text.strip_prefix('[') {
            let address = address
                .strip_suffix(']')
                .and_then(|address| address.parse::<Ipv6Addr>().ok());
            let address =
                address.ok_or(PolicyError("has brackets without an IPv6 address in them"))?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        match text.strip_prefix("*.") {
            Some(suffix) => Ok(Self::Below(name(suffix)?)),
            None => Ok(Self::Name(name(text)?)),
        }
    }

    pub(super) fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Below(suffix), Self::Name(name)) => name
                .strip_suffix(suffix)
                .is_some_and(|labels| labels.ends_with('.')),
            (Self::Below(_), _) | (_, Self::Below(_)) => false,
            (granted, asked) => granted == asked,
        }
    }

    /// Whether every host that the other pattern covers is covered by this one.
    pub(in crate::grants) fn covers_all(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(suffix), Self::Below(below)) if suffix == below => true,
            (Self::Below(_), Self::Below(below)) => self.covers(&Self::Name(below.clone())),
            (pattern, host) => pattern.covers(host),
        }
    }

    pub(in crate::grants) fn bracketed(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            host => host.to_string(),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl From<Ipv4Addr> for HostPattern {
    fn from(address: Ipv4Addr) -> Self {
        Self::Address(address.into())
    }
}

impl From<IpAddr> for HostPattern {
    fn from(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

/// Reads `host` or `host:port`.
pub(super) fn host_and_port(text: &str) -> Result<(HostPattern, Option<u16>), PolicyError> {
    if text.contains('@') {
        return Err(PolicyError("names a user, which belongs into the request"));
    }
    // A colon inside brackets belongs to an IPv6 address.
    let colon = text
        .rfind(':')
        .filter(|colon| !text[*colon..].contains(']'));
    let (host, port) = colon.map_or((text, None), |colon| {
        (&text[..colon], Some(&text[colon + 1..]))
    });
    if host.contains(':') && !host.starts_with('[') {
        return Err(PolicyError("has an IPv6 address without brackets"));
    }
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
            Ok(0) | Err(_) => {
                return Err(PolicyError(
                    "has a port that is not a number from 1 to 65535",
                ));
            }
            Ok(port) => Some(port),
        },
        Some(_) => {
            return Err(PolicyError(
                "has a port that is not a number from 1 to 65535",
            ));
        }
    };
    Ok((HostPattern::new(host)?, port))
}

/// Checks a domain name, and gives it in the form in which names are compared: in lower case, without a dot at its end.
fn name(text: &str) -> Result<String, PolicyError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(PolicyError("has no host"));
    }
    if !name.is_ascii() {
        return Err(PolicyError(
            "is not plain ASCII: write such a name in its xn-- form",
        ));
    }
    if name.contains('*') {
        return Err(PolicyError(
            "has a * elsewhere than as the whole first label, like *.example.com",
        ));
    }
    if name.len() > HostPattern::NAME_BYTES {
        return Err(PolicyError("has a host of more than 253 bytes"));
    }
    for label in name.split('.') {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if label.is_empty()
            || label.len() > 63
            || !label.bytes().all(plain)
            || label.starts_with('-')
        {
            return Err(PolicyError(
                "has a host that is no name: labels of letters, digits, - and _, and dots between",
            ));
        }
    }
    // A resolver may read such a name as an address, and as another one than a person would.
    let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let number = last.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if number || hexadecimal {
        return Err(PolicyError(
            "ends in a number, but is not an address of four decimal numbers",
        ));
    }
    Ok(name.to_ascii_lowercase())
}
