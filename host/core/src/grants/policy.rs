//! What of the network a task is granted. Pure: names and addresses are judged here, nothing is looked up or connected.
//!
//! A name is judged first, as it was asked for; then every address that it resolves to. An address that leads to the
//! inside of something is reached only when the configuration says so, whoever answers for the name: so a name that
//! suddenly points elsewhere changes nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::address::{AddressKind, Nat64};

/// What a task may reach. The default is nothing at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// What may be asked by HTTP. `None`: the plugin may not even import the interface.
    pub http: Option<Vec<Origin>>,
    /// What may be connected to by TCP. `None`: the plugin may not even import the interface.
    pub tcp: Option<Vec<Endpoint>>,
    /// Where the addresses of granted names may lie besides the public ones.
    pub networks: Vec<Network>,
    /// How the network of this host translates IPv6 to IPv4: an address of such a prefix is judged as what it is translated to.
    pub nat64: Vec<Nat64>,
    /// Whether requests carry the headers `Soloist-Task` and `Soloist-Fencing-Token`.
    pub identify: bool,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self {
            http: None,
            tcp: None,
            networks: Vec::new(),
            nat64: Vec::new(),
            identify: true,
        }
    }
}

impl NetworkPolicy {
    /// Judges what a request asks for, before anything is looked up.
    ///
    /// # Errors
    /// [`Refusal::Origin`]
    pub fn check_origin(&self, origin: &Origin) -> Result<(), Refusal> {
        let granted = self.http.iter().flatten().any(|grant| grant.covers(origin));
        granted
            .then_some(())
            .ok_or_else(|| Refusal::Origin(origin.clone()))
    }

    /// The ports that are granted at a host.
    ///
    /// # Errors
    /// [`Refusal::Name`] when there is none.
    pub fn tcp_ports(&self, host: &HostPattern) -> Result<Vec<u16>, Refusal> {
        let grants = self
            .tcp
            .iter()
            .flatten()
            .filter(|grant| grant.host.covers(host));
        let ports: Vec<_> = grants.map(|grant| grant.port).collect();
        if ports.is_empty() {
            Err(Refusal::Name(host.clone()))
        } else {
            Ok(ports)
        }
    }

    /// Judges an address that the host resolves to. A grant that names an address is a grant of that address.
    ///
    /// # Errors
    /// [`Refusal::Address`]
    pub fn check_address(&self, host: &HostPattern, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let named = |address| {
            self.networks
                .iter()
                .any(|network| network.contains(address))
        };
        let translated = self
            .nat64
            .iter()
            .find_map(|prefix| prefix.translated(address))
            .map(IpAddr::from);
        let kind = AddressKind::of(translated.unwrap_or(address));
        let passes = kind == AddressKind::Public
            || *host == HostPattern::Address(address)
            || named(address)
            || translated.is_some_and(named);
        passes.then_some(()).ok_or_else(|| Refusal::Address {
            host: host.clone(),
            address,
            kind,
        })
    }
}

/// What a plugin wanted and was not granted, with the line that would grant it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An origin that no grant covers.
    #[error(
        "{0} is not granted to this task; if it is meant, add to its [task.allow]: http = [\"{0}\"]"
    )]
    Origin(Origin),
    /// An address and port that no grant covers.
    #[error(
        "{0} is not granted to this task; if it is meant, add to its [task.allow]: tcp = [\"{0}\"]"
    )]
    Endpoint(Endpoint),
    /// A host that no grant covers, at any port.
    #[error(
        "{0} is not granted to this task; if it is meant, add to its [task.allow]: tcp = [\"{0}:PORT\"]"
    )]
    Name(HostPattern),
    /// A host that is granted, but has an address that is not.
    #[error(
        "{host} has the address {address}, {kind}, which a name alone does not grant; if it is meant, \
         add to [task.allow]: networks = [\"{address}\"]"
    )]
    Address {
        /// The host that was asked for.
        host: HostPattern,
        /// What it resolves to.
        address: IpAddr,
        /// Where that leads.
        kind: AddressKind,
    },
}

/// A grant cannot be read: the rule that it breaks, as said of it ("it ...").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub &'static str);

/// The scheme of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Scheme, host and port: whose documents a request asks for. As a grant its host may be a [`HostPattern::Below`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: HostPattern,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// Reads `https://api.example.com`, `http://*.internal:8080` or `http://[fd00::1]`.
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        let (scheme, authority) = text
            .split_once("://")
            .ok_or(PolicyError("has no scheme, http:// or https://"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(PolicyError("has a scheme other than http and https")),
        };
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(PolicyError("goes on after the port: an origin has no path"));
        }
        let (host, port) = host_and_port(authority)?;
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.default_port()),
        })
    }

    /// The host, and the port if it is not the scheme's own: what a request calls its `Host`.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.bracketed()
        } else {
            format!("{}:{}", self.host.bracketed(), self.port)
        }
    }

    fn covers(&self, asked: &Self) -> bool {
        (self.scheme, self.port) == (asked.scheme, asked.port) && self.host.covers(&asked.host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

impl FromStr for Origin {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::new(text)
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub host: HostPattern,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `db.internal:5432`, `*.internal:5432`, `10.0.0.7:5432` or `[fd00::7]:5432`.
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        let (host, port) = host_and_port(text)?;
        let port = port.ok_or(PolicyError("has no port"))?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.bracketed(), self.port)
    }
}

impl FromStr for Endpoint {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::new(text)
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Reads "10.0.0.0/8", "fd00::/8", or a single address.
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        let network = if text.contains('/') {
            text.parse::<IpNet>()
                .map_err(|_| PolicyError("is neither an address nor a range like 10.0.0.0/8"))?
        } else {
            let address: IpAddr = text.parse().map_err(|_| PolicyError("is not an address"))?;
            address.to_canonical().into()
        };
        if network != network.trunc() {
            return Err(PolicyError("has bits after its prefix: they must be 0"));
        }
        match network {
            IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some() => Err(PolicyError(
                "is IPv4 in the guise of IPv6: write it as IPv4",
            )),
            network => Ok(Self(network)),
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Network {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::new(text)
    }
}

/// What stands for a machine: in lower case, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// A name.
    Name(String),
    /// In a grant: every name below this one, but not this one.
    Below(String),
    /// An address; never IPv4 in the guise of IPv6.
    Address(IpAddr),
}

impl HostPattern {
    const NAME_BYTES: usize = 253;

    /// Reads a name, `*.` and a name, or an address; an IPv6 address with or without its brackets.
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong.
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

    fn covers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Below(suffix), Self::Name(name)) => name
                .strip_suffix(suffix)
                .is_some_and(|labels| labels.ends_with('.')),
            (Self::Below(_), _) | (_, Self::Below(_)) => false,
            (granted, asked) => granted == asked,
        }
    }

    fn bracketed(&self) -> String {
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

/// Reads `host` or `host:port`.
fn host_and_port(text: &str) -> Result<(HostPattern, Option<u16>), PolicyError> {
    if text.contains('@') {
        return Err(PolicyError("names a user, which belongs into the request"));
    }
    // The colons of an IPv6 address are within its brackets.
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

/// A name of the domain name system as it is compared: in lower case, without a dot at the end.
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
    // Whatever is looked up in this form may be taken for an address, and not for the one that it seems to be.
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

#[cfg(test)]
mod tests;
