//! The servers of an ensemble. A name can stand for several, and the client library connects to any of them.

use std::collections::BTreeSet;
use std::fmt;

/// No more addresses of a name are used.
const ADDRESSES_MAX: usize = 64;

/// A server: one address of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Server {
    /// What stands in the connect string: `host:port`.
    pub(super) name: String,
    pub(super) address: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address } = self;
        if name == address {
            f.write_str(name)
        } else {
            write!(f, "{name} ({address})")
        }
    }
}

/// The servers that a name stands for; the name itself while it cannot be looked up.
pub(crate) async fn servers(name: &str) -> Vec<Server> {
    let server = |address: String| Server {
        name: name.to_owned(),
        address,
    };
    match tokio::net::lookup_host(name).await {
        Ok(addresses) => {
            let addresses: BTreeSet<_> = addresses.take(ADDRESSES_MAX).collect();
            addresses
                .into_iter()
                .map(|address| server(address.to_string()))
                .collect()
        }
        Err(_) => vec![server(name.to_owned())],
    }
}
