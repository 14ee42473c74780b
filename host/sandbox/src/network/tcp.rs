//! Outbound TCP: one kind of socket behind both versions of `wasi:sockets`.
//!
//! wasmtime's own sockets keep their file descriptors to themselves, so nobody could cut them when the term ends. The sockets
//! here stand behind the same interfaces. They only connect: there is no listening, and no UDP.

mod p2;
mod p3;

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;
use tokio::net::TcpSocket;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;

use super::NetworkAccess;
use super::connection::Connection;
use super::gate::{self, Gate, Slot};
use soloist_core::meter::{Effect, Outcome};

/// What the interfaces work on.
pub(crate) struct SocketsView<'a> {
    pub(crate) network: &'a NetworkAccess,
    pub(crate) table: &'a mut ResourceTable,
}

struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketsView<'a>;
}

/// Puts these sockets in the place of wasmtime's. The other interfaces of wasmtime are in the linker already, and stay there.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> SocketsView<'_>,
) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::sockets as p2;
    use wasmtime_wasi::p3::bindings::sockets as p3;
    p2::tcp::add_to_linker::<_, Sockets>(linker, view)?;
    p2::tcp_create_socket::add_to_linker::<_, Sockets>(linker, view)?;
    p2::ip_name_lookup::add_to_linker::<_, Sockets>(linker, view)?;
    p3::types::add_to_linker::<_, Sockets>(linker, view)?;
    p3::ip_name_lookup::add_to_linker::<_, Sockets>(linker, view)
}

/// A socket of a plugin.
#[derive(Debug)]
pub(super) struct Socket {
    gate: Arc<Gate>,
    ipv6: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh(TcpSocket, Slot),
    Connecting(AbortOnDropJoinHandle<io::Result<Arc<Connection>>>),
    Connected {
        connection: Arc<Connection>,
        sends: bool,
        receives: bool,
    },
    Closed(Errno),
}

impl Socket {
    /// `EMFILE` when the plugin has as many as it may, `ENFILE` when all plugins have, `EACCES` once effects have ended.
    pub(super) fn open(gate: &Arc<Gate>, ipv6: bool) -> io::Result<Self> {
        if !gate.is_open() {
            return Err(Errno::ACCESS.into());
        }
        let slot = gate.slot().ok_or(Errno::MFILE)?;
        let socket = gate::socket(ipv6)?;
        if ipv6 {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        Ok(Self {
            gate: Arc::clone(gate),
            ipv6,
            state: State::Fresh(socket, slot),
        })
    }

    /// Accepts the address that leaves the choice to the system, and refuses every other.
    fn bind(&self, address: SocketAddr) -> io::Result<()> {
        let State::Fresh(socket, _) = &self.state else {
            return Err(Errno::ISCONN.into());
        };
        if address.is_ipv6() != self.ipv6 {
            return Err(Errno::INVAL.into());
        }
        if !address.ip().is_unspecified() || address.port() != 0 {
            return Err(Errno::ACCESS.into());
        }
        socket.bind(address)
    }

    /// Begins to connect to an address that has been judged.
    fn start_connect(&mut self, address: SocketAddr) -> io::Result<()> {
        if !matches!(self.state, State::Fresh(..)) {
            return Err(Errno::ISCONN.into());
        }
        let disguised = address.ip().to_canonical() != address.ip();
        if address.is_ipv6() != self.ipv6 || disguised || address.port() == 0 {
            return Err(Errno::INVAL.into());
        }
        if !self.gate.is_open() {
            return Err(Errno::ACCESS.into());
        }
        if let State::Fresh(socket, slot) = mem::replace(&mut self.state, State::Closed(Errno::IO))
        {
            self.state = State::Connecting(self.gate.connect(socket, address, slot));
        }
        Ok(())
    }

    fn poll_connect(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = match &mut self.state {
            State::Connecting(connecting) => ready!(Pin::new(connecting).poll(context)),
            State::Connected { .. } => return Poll::Ready(Ok(())),
            State::Closed(error) => return Poll::Ready(Err((*error).into())),
            State::Fresh(..) => return Poll::Ready(Err(Errno::NOTCONN.into())),
        };
        Poll::Ready(match outcome {
            Ok(connection) => {
                self.gate.count(Effect::Tcp, Outcome::Done);
                self.state = State::Connected {
                    connection,
                    sends: false,
                    receives: false,
                };
                Ok(())
            }
            Err(error) => {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                self.gate.count(
                    Effect::Tcp,
                    if errno == Errno::ACCESS {
                        Outcome::Lease
                    } else {
                        Outcome::Error
                    },
                );
                self.state = State::Closed(errno);
                Err(error)
            }
        })
    }

    /// The connection, once, for the stream that sends.
    fn sender(&mut self) -> io::Result<Arc<Connection>> {
        match &mut self.state {
            State::Connected {
                connection,
                sends: taken @ false,
                ..
            } => {
                *taken = true;
                Ok(Arc::clone(connection))
            }
            State::Closed(error) => Err((*error).into()),
            _ => Err(Errno::NOTCONN.into()),
        }
    }

    /// The connection, once, for the stream that receives.
    fn receiver(&mut self) -> io::Result<Arc<Connection>> {
        match &mut self.state {
            State::Connected {
                connection,
                receives: taken @ false,
                ..
            } => {
                *taken = true;
                Ok(Arc::clone(connection))
            }
            State::Closed(error) => Err((*error).into()),
            _ => Err(Errno::NOTCONN.into()),
        }
    }

    fn connection(&self) -> io::Result<&Arc<Connection>> {
        match &self.state {
            State::Connected { connection, .. } => Ok(connection),
            State::Closed(error) => Err((*error).into()),
            _ => Err(Errno::NOTCONN.into()),
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.state {
            State::Fresh(socket, _) => {
                let address = socket.local_addr()?;
                if address.port() == 0 {
                    Err(Errno::NOTCONN.into())
                } else {
                    Ok(address)
                }
            }
            _ => self.connection()?.stream().local_addr(),
        }
    }

    fn remote_address(&self) -> io::Result<SocketAddr> {
        self.connection()?.stream().peer_addr()
    }

    fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.state {
            State::Fresh(socket, _) => Ok(socket.as_fd()),
            _ => Ok(self.connection()?.stream().as_fd()),
        }
    }
}

/// The options, in the units of `wasi:sockets`.
impl Socket {
    fn keep_alive(&self) -> io::Result<bool> {
        Ok(sockopt::socket_keepalive(self.descriptor()?)?)
    }

    fn set_keep_alive(&self, on: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_keepalive(self.descriptor()?, on)?)
    }

    fn keep_alive_idle(&self) -> io::Result<u64> {
        Ok(nanoseconds(sockopt::tcp_keepidle(self.descriptor()?)?))
    }

    fn set_keep_alive_idle(&self, nanoseconds: u64) -> io::Result<()> {
        Ok(sockopt::set_tcp_keepidle(
            self.descriptor()?,
            seconds(nanoseconds)?,
        )?)
    }

    fn keep_alive_interval(&self) -> io::Result<u64> {
        Ok(nanoseconds(sockopt::tcp_keepintvl(self.descriptor()?)?))
    }

    fn set_keep_alive_interval(&self, nanoseconds: u64) -> io::Result<()> {
        Ok(sockopt::set_tcp_keepintvl(
            self.descriptor()?,
            seconds(nanoseconds)?,
        )?)
    }

    fn keep_alive_count(&self) -> io::Result<u32> {
        Ok(sockopt::tcp_keepcnt(self.descriptor()?)?)
    }

    fn set_keep_alive_count(&self, count: u32) -> io::Result<()> {
        // The most that Linux takes.
        let count = positive(count)?.min(127);
        Ok(sockopt::set_tcp_keepcnt(self.descriptor()?, count)?)
    }

    fn hop_limit(&self) -> io::Result<u8> {
        if self.ipv6 {
            return Ok(sockopt::ipv6_unicast_hops(self.descriptor()?)?);
        }
        Ok(u8::try_from(sockopt::ip_ttl(self.descriptor()?)?).unwrap_or(u8::MAX))
    }

    fn set_hop_limit(&self, hops: u8) -> io::Result<()> {
        let (hops, descriptor) = (positive(hops)?, self.descriptor()?);
        if self.ipv6 {
            return Ok(sockopt::set_ipv6_unicast_hops(descriptor, Some(hops))?);
        }
        Ok(sockopt::set_ip_ttl(descriptor, hops.into())?)
    }

    fn receive_buffer_size(&self) -> io::Result<u64> {
        Ok(sockopt::socket_recv_buffer_size(self.descriptor()?)? as u64)
    }

    fn set_receive_buffer_size(&self, bytes: u64) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(
            self.descriptor()?,
            buffer(bytes)?,
        )?)
    }

    fn send_buffer_size(&self) -> io::Result<u64> {
        Ok(sockopt::socket_send_buffer_size(self.descriptor()?)? as u64)
    }

    fn set_send_buffer_size(&self, bytes: u64) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(
            self.descriptor()?,
            buffer(bytes)?,
        )?)
    }
}

fn positive<N: PartialEq + Default>(number: N) -> io::Result<N> {
    if number == N::default() {
        Err(Errno::INVAL.into())
    } else {
        Ok(number)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A time that Linux takes: whole seconds, at least one, and no more than fit into 15 bits.
fn seconds(nanoseconds: u64) -> io::Result<Duration> {
    Ok(Duration::from_secs(
        positive(nanoseconds)?.div_ceil(1_000_000_000).min(32_767),
    ))
}

/// A size that the system takes; it has a limit of its own.
fn buffer(bytes: u64) -> io::Result<usize> {
    Ok(usize::try_from(positive(bytes)?)
        .unwrap_or(usize::MAX)
        .min(1 << 30))
}
