//! Which grants a plugin would have needed: for those who try it out, and let it pass meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soloist_core::grants::{Endpoint, HostPattern, Origin};

/// How many of each kind are recorded: a task cannot grant more.
const CONTACTS_MAX: usize = 256;
/// How many addresses are remembered with their names.
const NAMES_MAX: usize = 1024;

/// What plugins have contacted. Those who have it in their settings may contact every name and every address, and each is
/// recorded. Clones share the record.
#[derive(Clone, Debug, Default)]
pub struct Contacts(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    contacted: Contacted,
    /// The names that addresses were looked up by.
    names: BTreeMap<IpAddr, HostPattern>,
}

/// What was contacted, as a task grants it, in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacted {
    /// Origins of HTTP requests.
    pub http: BTreeSet<String>,
    /// Endpoints of TCP connections.
    pub tcp: BTreeSet<String>,
    /// Addresses of names that a name alone does not grant.
    pub networks: BTreeSet<String>,
}

impl Contacts {
    /// What was contacted until now.
    pub fn contacted(&self) -> Contacted {
        self.book().contacted.clone()
    }

    /// Records a request; tells whether it is the first to this origin.
    pub(super) fn add_origin(&self, origin: &Origin) -> bool {
        add(&mut self.book().contacted.http, origin.to_string())
    }

    /// Remembers by which name the addresses were found.
    pub(super) fn found(&self, host: &HostPattern, addresses: &[IpAddr]) {
        let names = &mut self.book().names;
        for address in addresses {
            if names.len() < NAMES_MAX || names.contains_key(address) {
                names.insert(*address, host.clone());
            }
        }
    }

    /// What a connection to that address has to be granted as: by the name that was looked up, if one was.
    pub(super) fn endpoint(&self, endpoint: SocketAddr) -> Endpoint {
        let named = self.book().names.get(&endpoint.ip()).cloned();
        Endpoint {
            host: named.unwrap_or_else(|| HostPattern::from(endpoint.ip())),
            port: endpoint.port(),
        }
    }

    /// Records a connection; tells whether it is the first to this endpoint.
    pub(super) fn add_endpoint(&self, endpoint: &Endpoint) -> bool {
        add(&mut self.book().contacted.tcp, endpoint.to_string())
    }

    /// Records an address that a name leads to; tells whether it is the first time.
    pub(super) fn add_address(&self, address: IpAddr) -> bool {
        add(&mut self.book().contacted.networks, address.to_string())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each entry is right by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(record: &mut BTreeSet<String>, entry: String) -> bool {
    record.len() < CONTACTS_MAX && record.insert(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_recorded_by_the_name_that_led_to_it() {
        let contacts = Contacts::default();
        let (address, name) = (
            IpAddr::from([10, 0, 0, 7]),
            HostPattern::new("db.internal").unwrap(),
        );
        let endpoint = SocketAddr::new(address, 5432);
        assert_eq!(contacts.endpoint(endpoint).to_string(), "10.0.0.7:5432");
        contacts.found(&name, &[address]);
        let named = contacts.endpoint(endpoint);
        assert!(contacts.add_endpoint(&named) && !contacts.add_endpoint(&named));
        assert!(contacts.add_address(address) && !contacts.add_address(address));
        let contacted = contacts.contacted();
        assert_eq!(
            contacted.tcp.into_iter().collect::<Vec<_>>(),
            ["db.internal:5432"]
        );
        assert_eq!(
            contacted.networks.into_iter().collect::<Vec<_>>(),
            ["10.0.0.7"]
        );
    }

    #[test]
    fn no_more_is_recorded_than_a_task_can_grant() {
        let contacts = Contacts::default();
        for port in 1..2000 {
            contacts.add_endpoint(&Endpoint {
                host: HostPattern::new("a").unwrap(),
                port,
            });
        }
        assert_eq!(contacts.contacted().tcp.len(), CONTACTS_MAX);
    }
}
