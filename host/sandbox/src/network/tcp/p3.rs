//! `wasi:sockets` 0.3. A task of the guest that waits here does not hold up the guest's other tasks.

use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use futures::future::poll_fn;
use rustix::io::Errno;
use tokio::sync::oneshot;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};
use wasmtime_wasi::p3::bindings::sockets::ip_name_lookup::{self, ErrorCode as LookupCode};
use wasmtime_wasi::p3::bindings::sockets::types::{
    self, ErrorCode, HostTcpSocket, HostTcpSocketWithStore, IpAddress, IpAddressFamily,
    IpSocketAddress, TcpSocket,
};
use wasmtime_wasi::p3::sockets::{SocketError, SocketResult};

use super::super::resolver::LookupError;
use super::{Socket, Sockets, SocketsView};

mod streams;
mod udp;

use streams::{Receiving, Sending};

impl SocketsView<'_> {
    fn socket(&mut self, socket: &Resource<TcpSocket>) -> SocketResult<&mut Socket> {
        self.table
            .get_mut(&Resource::<Socket>::new_borrow(socket.rep()))
            .map_err(SocketError::trap)
    }
}

fn code(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        Some(Errno::PIPE) => ErrorCode::ConnectionBroken,
        Some(Errno::MFILE | Errno::NFILE) => {
            ErrorCode::Other(Some("too many sockets are open".into()))
        }
        _ => error.into(),
    }
}

impl types::Host for SocketsView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl<T: Send> HostTcpSocketWithStore<T> for Sockets {
    async fn connect(
        accessor: &Accessor<T, Self>,
        socket: Resource<TcpSocket>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let address = SocketAddr::from(address);
        accessor.with(|mut access| {
            let mut view = access.get();
            view.network
                .check_endpoint(address)
                .map_err(|error| code(&error))?;
            view.socket(&socket)?
                .start_connect(address)
                .map_err(|error| SocketError::from(code(&error)))
        })?;
        poll_fn(|context| {
            accessor.with(|mut access| match access.get().socket(&socket) {
                Ok(socket) => socket
                    .poll_connect(context)
                    .map_err(|error| code(&error).into()),
                Err(error) => Poll::Ready(Err(error)),
            })
        })
        .await
    }

    async fn listen(
        _: Access<'_, T, Self>,
        _: Resource<TcpSocket>,
    ) -> SocketResult<StreamReader<Resource<TcpSocket>>> {
        Err(ErrorCode::AccessDenied.into())
    }

    fn send(
        mut access: Access<'_, T, Self>,
        socket: Resource<TcpSocket>,
        mut data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Result<(), ErrorCode>>> {
        let (ended, end) = oneshot::channel();
        match access.get().socket(&socket).map_err(trap)?.sender() {
            Ok(connection) => data.pipe(&mut access, Sending::new(connection, ended))?,
            Err(error) => {
                data.close(&mut access)?;
                let _ = ended.send(Err(code(&error)));
            }
        }
        FutureReader::new(&mut access, end)
    }

    fn receive(
        mut access: Access<'_, T, Self>,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>)> {
        let (ended, end) = oneshot::channel();
        let data = match access.get().socket(&socket).map_err(trap)?.receiver() {
            Ok(connection) => StreamReader::new(&mut access, Receiving::new(connection, ended))?,
            Err(error) => {
                let _ = ended.send(Err(code(&error)));
                StreamReader::new(&mut access, std::iter::empty())?
            }
        };
        Ok((data, FutureReader::new(&mut access, end)?))
    }
}

fn trap(error: SocketError) -> wasmtime::Error {
    match error.downcast() {
        Ok(code) => code.into(),
        Err(error) => error,
    }
}

/// Functions that read or set an option of the socket.
macro_rules! options {
    ($($name:ident($($value:ident: $type:ty)?) -> $result:ty = $option:ident;)*) => {
        $(fn $name(&mut self, socket: Resource<TcpSocket>, $($value: $type)?) -> SocketResult<$result> {
            self.socket(&socket)?.$option($($value)?).map_err(|error| code(&error).into())
        })*
    };
}

impl HostTcpSocket for SocketsView<'_> {
    async fn bind(
        &mut self,
        socket: Resource<TcpSocket>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.socket(&socket)?
            .bind(address.into())
            .map_err(|error| code(&error).into())
    }

    fn create(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let socket = self
            .network
            .open_socket(family == IpAddressFamily::Ipv6)
            .map_err(|error| code(&error))?;
        let socket = self.table.push(socket).map_err(SocketError::trap)?;
        Ok(Resource::new_own(socket.rep()))
    }

    fn get_local_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        self.socket(&socket)?
            .local_address()
            .map(Into::into)
            .map_err(|error| code(&error).into())
    }

    fn get_remote_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        self.socket(&socket)?
            .remote_address()
            .map(Into::into)
            .map_err(|error| code(&error).into())
    }

    fn get_is_listening(&mut self, _: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn get_address_family(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<IpAddressFamily> {
        let socket = self.socket(&socket).map_err(trap)?;
        Ok(if socket.ipv6 {
            IpAddressFamily::Ipv6
        } else {
            IpAddressFamily::Ipv4
        })
    }

    fn set_listen_backlog_size(&mut self, _: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        Err(ErrorCode::AccessDenied.into())
    }

    options! {
        get_keep_alive_enabled() -> bool = keep_alive;
        set_keep_alive_enabled(on: bool) -> () = set_keep_alive;
        get_keep_alive_idle_time() -> u64 = keep_alive_idle;
        set_keep_alive_idle_time(nanoseconds: u64) -> () = set_keep_alive_idle;
        get_keep_alive_interval() -> u64 = keep_alive_interval;
        set_keep_alive_interval(nanoseconds: u64) -> () = set_keep_alive_interval;
        get_keep_alive_count() -> u32 = keep_alive_count;
        set_keep_alive_count(count: u32) -> () = set_keep_alive_count;
        get_hop_limit() -> u8 = hop_limit;
        set_hop_limit(hops: u8) -> () = set_hop_limit;
        get_receive_buffer_size() -> u64 = receive_buffer_size;
        set_receive_buffer_size(bytes: u64) -> () = set_receive_buffer_size;
        get_send_buffer_size() -> u64 = send_buffer_size;
        set_send_buffer_size(bytes: u64) -> () = set_send_buffer_size;
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Socket>::new_own(socket.rep()))?;
        Ok(())
    }
}

impl<T> ip_name_lookup::HostWithStore<T> for Sockets {
    async fn resolve_addresses(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<IpAddress>, LookupCode>> {
        let lookup = accessor.with(|mut access| access.get().network.look_up(name));
        Ok(match lookup.await {
            Ok(addresses) => Ok(addresses.into_iter().map(IpAddress::from).collect()),
            Err(error) => Err(lookup_code(&error)),
        })
    }
}

impl ip_name_lookup::Host for SocketsView<'_> {}

fn lookup_code(error: &LookupError) -> LookupCode {
    match error {
        LookupError::NoName { .. } => LookupCode::InvalidArgument,
        LookupError::Refused(_) | LookupError::NoSockets | LookupError::Ended => {
            LookupCode::AccessDenied
        }
        LookupError::TimedOut { .. } => LookupCode::TemporaryResolverFailure,
        LookupError::Failed { .. } | LookupError::NoAddress { .. } => LookupCode::NameUnresolvable,
    }
}
