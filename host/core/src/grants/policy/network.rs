//! Ranges of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::PolicyError;

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or a single address.
    ///
    /// # Errors
    /// [`PolicyError`] says which rule the text breaks.
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

    /// Whether every address of it is in one of the others.
    pub(in crate::grants) fn is_within(&self, others: &[Self]) -> bool {
        let others: Vec<_> = others.iter().map(|network| network.0).collect();
        // Those that border on each other become one.
        let joined = IpNet::aggregate(&others);
        joined.iter().any(|network| network.contains(&self.0))
    }

    pub(in crate::grants) fn contains(&self, address: IpAddr) -> bool {
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
