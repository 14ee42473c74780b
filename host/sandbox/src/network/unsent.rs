//! What a connection has still to bring to the other side.
//!
//! The kernel goes on sending after a socket is closed, for a minute and more when nobody answers. How much there is to
//! send it tells by its socket diagnostics, which need no privilege.

use std::net::{IpAddr, SocketAddr};

use rustix::io::{self, Errno};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};
use tokio::net::TcpStream;

// Of linux/sock_diag.h and linux/netlink.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_TCP: u8 = 6;

const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// Where a reply says how much was not acknowledged: after its header, four bytes, the socket's identity, and two numbers.
const QUEUE: usize = HEADER_BYTES + 4 + 48 + 8;

/// Whether everything that was sent has been acknowledged, or nothing of it can be sent any more. What the system does not
/// tell counts as not acknowledged.
pub(super) fn all_arrived(stream: &TcpStream) -> bool {
    match queue_bytes(stream) {
        Ok(bytes) => bytes == 0,
        // Ended on both sides, reset, or cut.
        Err(Errno::NOTCONN) => true,
        Err(error) => {
            tracing::debug!("nobody tells what waits to be sent: {error}");
            false
        }
    }
}

/// `ENOTCONN` when the connection has ended.
fn queue_bytes(stream: &TcpStream) -> io::Result<u32> {
    let (local, remote) = (address(stream.local_addr())?, address(stream.peer_addr())?);
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(SOCK_DIAG),
    )?;
    sendto(
        &socket,
        &request(local, remote),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    // The answer is there when the question has been sent.
    let mut reply = [0; 1024];
    let (_, length) = recv(&socket, &mut reply, RecvFlags::empty())?;
    if let Some(bytes) = answer(&reply[..length]) {
        return Ok(bytes);
    }
    // It may have ended in between; if it has not, the system knows nothing of such questions.
    address(stream.peer_addr()).and(Err(Errno::OPNOTSUPP))
}

fn address(address: std::io::Result<SocketAddr>) -> io::Result<SocketAddr> {
    address.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Asks for one TCP socket: `nlmsghdr` and `inet_diag_req_v2`.
fn request(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    // An address of one link belongs to an interface.
    let interface = if let SocketAddr::V6(remote) = remote {
        remote.scope_id()
    } else {
        0
    };
    let mut request = Vec::with_capacity(REQUEST_BYTES);
    request.extend(
        u32::try_from(REQUEST_BYTES)
            .unwrap_or_default()
            .to_ne_bytes(),
    );
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    // No number and no sender, since the answer is the only one.
    request.extend([0; 8]);
    request.extend([
        u8::try_from(family.as_raw()).unwrap_or_default(),
        IPPROTO_TCP,
        0,
        0,
    ]);
    // In any state.
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(local.port().to_be_bytes());
    request.extend(remote.port().to_be_bytes());
    request.extend(sixteen(local.ip()));
    request.extend(sixteen(remote.ip()));
    request.extend(interface.to_ne_bytes());
    // Any cookie.
    request.extend([u8::MAX; 8]);
    request
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(address) => address.octets(),
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
    }
}

/// What was not acknowledged, of a reply that is no error.
fn answer(reply: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(reply.get(4..6)?.try_into().ok()?);
    let queue = u32::from_ne_bytes(reply.get(QUEUE..QUEUE + 4)?.try_into().ok()?);
    (kind == SOCK_DIAG_BY_FAMILY).then_some(queue)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (stream, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_the_other_side_has_not_taken_is_known_for_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (mut stream, peer) = pair(address).await;
            assert_eq!(queue_bytes(&stream), Ok(0));
            assert!(all_arrived(&stream));
            // Nobody reads: more than its buffer takes.
            stream.write_all(&vec![0; 1 << 20]).await.unwrap();
            assert!(queue_bytes(&stream).unwrap() > 1 << 16);
            assert!(!all_arrived(&stream));
            rustix::net::connect_unspec(&stream).unwrap();
            assert_eq!(queue_bytes(&stream), Err(Errno::NOTCONN));
            assert!(all_arrived(&stream));
            drop(peer);
        }
    }
}
