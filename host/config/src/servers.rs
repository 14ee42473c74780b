//! Where the servers of an ensemble are: `servers = "zk1:2181,zk2:2181/apps"`.

use std::fmt;

use crate::node::path;
use crate::problem::{BadValue, Excerpt};

/// The most servers in a connect string.
const SERVERS_MAX: usize = 100;
/// The port of a server that names none.
const PORT_DEFAULT: u16 = 2181;

/// Where the servers of an ensemble are, and below which of its nodes to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectString {
    hosts: String,
    chroot: String,
}

impl ConnectString {
    /// Reads `host:port,host:port/chroot`.
    ///
    /// # Errors
    /// [`BadValue::Server`] names the server that is wrong, [`BadValue::Path`] the chroot.
    pub fn new(text: &str) -> Result<Self, BadValue> {
        let (servers, chroot) = text.split_at(text.find('/').unwrap_or(text.len()));
        let refuse = |rule| BadValue::Server {
            text: Excerpt::of(text),
            rule,
        };
        if text.contains("://") {
            return Err(refuse("names a protocol"));
        }
        if chroot.contains(',') {
            return Err(refuse("has a server after the chroot"));
        }
        let chroot = if matches!(chroot, "" | "/") {
            String::new()
        } else {
            path(chroot)?
        };
        let hosts = servers
            .split(',')
            .map(server)
            .collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > SERVERS_MAX {
            return Err(refuse("has more than 100 servers"));
        }
        Ok(Self {
            hosts: hosts.join(","),
            chroot,
        })
    }

    /// The servers, each with its port, separated by commas.
    pub fn hosts(&self) -> &str {
        &self.hosts
    }

    /// The chroot, beginning with a slash, or nothing.
    pub fn chroot(&self) -> &str {
        &self.chroot
    }
}

impl Default for ConnectString {
    fn default() -> Self {
        Self {
            hosts: "localhost:2181".to_owned(),
            chroot: String::new(),
        }
    }
}

impl fmt::Display for ConnectString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.hosts, self.chroot)
    }
}

/// Whether the name of a machine may have this character.
pub(crate) fn is_host_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_')
}

/// Reads one server and adds the port where there is none.
fn server(text: &str) -> Result<String, BadValue> {
    let refuse = |rule| BadValue::Server {
        text: Excerpt::of(text),
        rule,
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed
                .split_once(']')
                .ok_or_else(|| refuse("has no closing bracket"))?;
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| refuse("has no IPv6 address in its brackets"))?;
            (&text[..address.len() + 2], port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() {
        return Err(refuse("has no host name"));
    }
    if !host.starts_with('[') && !host.chars().all(is_host_name_character) {
        return Err(refuse("has a character that no host name has"));
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT_DEFAULT,
        // `parse` alone would take "+2181".
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| refuse("has no port from 1 to 65535"))?,
        Some(more) if more.contains(':') => return Err(refuse("has more than one colon")),
        _ => return Err(refuse("has no port from 1 to 65535")),
    };
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{are_named, zookeeper};

    #[test]
    fn every_bad_value_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (zookeeper("servers = \"\""), "2:11", "zookeeper.servers", "no host name"),
            (zookeeper("servers = \"a,,b\""), "2:11", "zookeeper.servers", "no host name"),
            (zookeeper("servers = \"a:0\""), "2:11", "zookeeper.servers", "port"),
            (zookeeper("servers = \"a:65536\""), "2:11", "zookeeper.servers", "port"),
            (zookeeper("servers = \"a:+1\""), "2:11", "zookeeper.servers", "port"),
            (zookeeper("servers = \"a:\""), "2:11", "zookeeper.servers", "port"),
            (zookeeper("servers = \"a b\""), "2:11", "zookeeper.servers", "character"),
            (zookeeper("servers = \"::1\""), "2:11", "zookeeper.servers", "[::1]:2181"),
            (zookeeper("servers = \"[::1\""), "2:11", "zookeeper.servers", "bracket"),
            (zookeeper("servers = \"[zk]:1\""), "2:11", "zookeeper.servers", "IPv6"),
            (zookeeper("servers = \"[::1]1\""), "2:11", "zookeeper.servers", "port"),
            (zookeeper("servers = \"a/b,c\""), "2:11", "zookeeper.servers", "after the chroot"),
            (zookeeper("servers = \"a/b/\""), "2:11", "zookeeper.servers", "ends with a slash"),
            (zookeeper("servers = \"tcp://a\""), "2:11", "zookeeper.servers", "protocol"),
            (zookeeper(&format!("servers = \"{}a\"", "a,".repeat(100))), "2:11", "zookeeper.servers", "100 servers"),
        ];
        are_named(&cases);
    }

    #[test]
    fn good_servers_get_their_ports() {
        for (text, hosts, chroot) in [
            ("a", "a:2181", ""),
            ("a,b:1/", "a:2181,b:1", ""),
            (
                "127.0.0.1:1,[::1],[fe80::1]:2/x/y",
                "127.0.0.1:1,[::1]:2181,[fe80::1]:2",
                "/x/y",
            ),
        ] {
            let servers = ConnectString::new(text).unwrap();
            assert_eq!((servers.hosts(), servers.chroot()), (hosts, chroot));
        }
    }
}
