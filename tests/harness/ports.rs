//! Loopback ports that stay reserved for as long as a server may want to listen on them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

/// A port on 127.0.0.1 that the system gives to nobody else until this is dropped.
///
/// The socket is bound and never listens. A server that sets SO_REUSEADDR, as ZooKeeper's do, can listen on the port
/// beside it; the system's own choice of a free port passes it over, also while that server is down.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: OwnedFd,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Result<Self> {
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .context("cannot make a socket to reserve a port")?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))
            .context("cannot reserve a loopback port")?;
        let address = SocketAddr::try_from(getsockname(&socket)?)?;
        Ok(Self {
            number: address.port(),
            _reservation: socket,
        })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port with its address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_reserved_port_can_be_listened_on_again_and_again_and_is_given_to_nobody_else() {
        let reserved: Vec<Port> = (0..200).map(|_| Port::reserve().unwrap()).collect();
        let numbers: BTreeSet<u16> = reserved.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), reserved.len());
        for _ in 0..2 {
            TcpListener::bind(reserved[0].address()).unwrap();
        }
        let others: Vec<TcpListener> = (0..200)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        for other in others {
            assert!(!numbers.contains(&other.local_addr().unwrap().port()));
        }
    }
}
