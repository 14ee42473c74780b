//! Which part of the network a task may reach. Pure: it judges names and addresses, and neither looks up nor connects.
//!
//! The policy judges a name first, as the plugin asked for it. Then it judges every address that the name resolves to. An
//! address inside a private network needs a grant of its own. So a name that suddenly points to such an address opens
//! nothing.

use std::net::IpAddr;

use super::address::{AddressKind, Nat64};

mod endpoint;
mod host;
mod network;
mod origin;

pub use endpoint::Endpoint;
pub use host::HostPattern;
pub use network::Network;
pub use origin::{Origin, Scheme};

/// Which part of the network a task may reach. By default it is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// The origins that the plugin may send HTTP requests to. If this is `None`, the plugin may not import the interface either.
    pub http: Option<Vec<Origin>>,
    /// The endpoints that the plugin may connect to by TCP. If this is `None`, the plugin may not import the interface either.
    pub tcp: Option<Vec<Endpoint>>,
    /// The networks in which the addresses of granted names may lie, besides the public ones.
    pub networks: Vec<Network>,
    /// The prefixes by which this host's network translates IPv6 to IPv4. The policy judges the IPv4 address that such an
    /// address is translated to.
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
    /// Judges the origin of a request, before its name is looked up.
    ///
    /// # Errors
    /// [`Refusal::Origin`] if no grant covers the origin.
    pub fn check_origin(&self, origin: &Origin) -> Result<(), Refusal> {
        let granted = self.http.iter().flatten().any(|grant| grant.covers(origin));
        granted
            .then_some(())
            .ok_or_else(|| Refusal::Origin(origin.clone()))
    }

    /// The ports of a host that are granted.
    ///
    /// # Errors
    /// [`Refusal::Name`] if none is granted.
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

    /// Judges an address that the host resolves to. A grant of an address needs no second grant of its network.
    ///
    /// # Errors
    /// [`Refusal::Address`] if the address is not public and no network of the grants contains it.
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

/// Why the policy refuses something. The message holds the line of the configuration that would grant it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No grant covers the origin.
    #[error(
        "{0} is not granted to this task; if it is meant, add to its [task.allow]: http = [\"{0}\"]"
    )]
    Origin(Origin),
    /// No grant covers the address and the port.
    #[error(
        "{0} is not granted to this task; if it is meant, add to its [task.allow]: tcp = [\"{0}\"]"
    )]
    Endpoint(Endpoint),
    /// No grant covers any port of the host.
    #[error(
        "{0} is not granted to this task; if it is meant, add to its [task.allow]: tcp = [\"{0}:PORT\"]"
    )]
    Name(HostPattern),
    /// A grant covers the host, and none covers its address.
    #[error(
        "{host} has the address {address}, {kind}, which a name alone does not grant; if it is meant, \
         add to [task.allow]: networks = [\"{address}\"]"
    )]
    Address {
        /// The host that the plugin asked for.
        host: HostPattern,
        /// The address that the host resolves to.
        address: IpAddr,
        /// The kind of that address.
        kind: AddressKind,
    },
}

/// The rule that the text of a grant breaks, as the rest of a sentence about it ("has no port").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub &'static str);

#[cfg(test)]
mod tests;
