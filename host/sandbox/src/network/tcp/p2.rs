//! `wasi:sockets` 0.2, as languages' standard libraries use it. A guest that waits in it holds the whole plugin.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use futures::future::poll_fn;
use rustix::net::Shutdown;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    self, HostResolveAddressStream, IpAddress, ResolveAddressStream,
};
use wasmtime_wasi::p2::bindings::sockets::network::{
    self, ErrorCode, HostNetwork, IpAddressFamily, IpSocketAddress,
};
use wasmtime_wasi::p2::bindings::sockets::tcp::{self, HostTcpSocket, ShutdownType};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, Network, Pollable, SocketError, SocketResult,
    TcpSocket, subscribe,
};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::super::resolver::LookupError;
use super::{Socket, SocketsView};

mod streams;

use streams::{Reader, Writer};

/// What stands behind a `tcp-socket`. The bindings know it by the name of wasmtime's own type.
struct Tcp {
    socket: Socket,
    operation: Option<Operation>,
    writer: Option<Writer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Bind,
    Connect,
}

impl SocketsView<'_> {
    fn tcp(&mut self, socket: &Resource<TcpSocket>) -> SocketResult<&mut Tcp> {
        Ok(self
            .table
            .get_mut(&Resource::<Tcp>::new_borrow(socket.rep()))?)
    }
}

impl network::Host for SocketsView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self
            .table
            .get(&error)?
            .downcast_ref::<io::Error>()
            .map(ErrorCode::from))
    }
}

impl HostNetwork for SocketsView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl tcp_create_socket::Host for SocketsView<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let socket = self.network.open_socket(family == IpAddressFamily::Ipv6)?;
        let socket = self.table.push(Tcp {
            socket,
            operation: None,
            writer: None,
        })?;
        Ok(Resource::new_own(socket.rep()))
    }
}

/// Passes an option on to the socket.
macro_rules! options {
    ($($name:ident($($value:ident: $type:ty)?) -> $result:ty = $option:ident;)*) => {
        $(fn $name(&mut self, socket: Resource<TcpSocket>, $($value: $type)?) -> SocketResult<$result> {
            Ok(self.tcp(&socket)?.socket.$option($($value)?)?)
        })*
    };
}

impl tcp::Host for SocketsView<'_> {}

impl HostTcpSocket for SocketsView<'_> {
    async fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        _: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let tcp = self.tcp(&socket)?;
        if tcp.operation.is_some() {
            return Err(ErrorCode::ConcurrencyConflict.into());
        }
        tcp.socket.bind(address.into())?;
        tcp.operation = Some(Operation::Bind);
        Ok(())
    }

    fn finish_bind(&mut self, socket: Resource<TcpSocket>) -> SocketResult<()> {
        let operation = &mut self.tcp(&socket)?.operation;
        if *operation != Some(Operation::Bind) {
            return Err(ErrorCode::NotInProgress.into());
        }
        *operation = None;
        Ok(())
    }

    fn start_connect(
        &mut self,
        socket: Resource<TcpSocket>,
        _: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        let address = SocketAddr::from(address);
        if self.tcp(&socket)?.operation.is_some() {
            return Err(ErrorCode::ConcurrencyConflict.into());
        }
        self.network.check_endpoint(address)?;
        let tcp = self.tcp(&socket)?;
        tcp.socket.start_connect(address)?;
        tcp.operation = Some(Operation::Connect);
        Ok(())
    }

    fn finish_connect(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let tcp = self.tcp(&socket)?;
        if tcp.operation != Some(Operation::Connect) {
            return Err(ErrorCode::NotInProgress.into());
        }
        let Poll::Ready(outcome) = tcp.socket.poll_connect(&mut nobody()) else {
            return Err(ErrorCode::WouldBlock.into());
        };
        tcp.operation = None;
        outcome?;
        let reader = Reader::new(tcp.socket.receiver()?);
        let writer = Writer::new(tcp.socket.sender()?);
        tcp.writer = Some(writer.clone());
        let parent = Resource::<Tcp>::new_borrow(socket.rep());
        let input = self
            .table
            .push_child(Box::new(reader) as DynInputStream, &parent)?;
        let output = self
            .table
            .push_child(Box::new(writer) as DynOutputStream, &parent)?;
        Ok((input, output))
    }

    async fn start_listen(&mut self, _: Resource<TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::AccessDenied.into())
    }

    fn finish_listen(&mut self, _: Resource<TcpSocket>) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn accept(
        &mut self,
        _: Resource<TcpSocket>,
    ) -> SocketResult<(
        Resource<TcpSocket>,
        Resource<DynInputStream>,
        Resource<DynOutputStream>,
    )> {
        Err(ErrorCode::InvalidState.into())
    }

    fn local_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.tcp(&socket)?.socket.local_address()?.into())
    }

    fn remote_address(&mut self, socket: Resource<TcpSocket>) -> SocketResult<IpSocketAddress> {
        Ok(self.tcp(&socket)?.socket.remote_address()?.into())
    }

    fn is_listening(&mut self, _: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn address_family(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        let tcp = self.table.get(&Resource::<Tcp>::new_borrow(socket.rep()))?;
        Ok(if tcp.socket.ipv6 {
            IpAddressFamily::Ipv6
        } else {
            IpAddressFamily::Ipv4
        })
    }

    fn set_listen_backlog_size(&mut self, _: Resource<TcpSocket>, _: u64) -> SocketResult<()> {
        Err(ErrorCode::AccessDenied.into())
    }

    options! {
        keep_alive_enabled() -> bool = keep_alive;
        set_keep_alive_enabled(on: bool) -> () = set_keep_alive;
        keep_alive_idle_time() -> u64 = keep_alive_idle;
        set_keep_alive_idle_time(nanoseconds: u64) -> () = set_keep_alive_idle;
        keep_alive_interval() -> u64 = keep_alive_interval;
        set_keep_alive_interval(nanoseconds: u64) -> () = set_keep_alive_interval;
        keep_alive_count() -> u32 = keep_alive_count;
        set_keep_alive_count(count: u32) -> () = set_keep_alive_count;
        hop_limit() -> u8 = hop_limit;
        set_hop_limit(hops: u8) -> () = set_hop_limit;
        receive_buffer_size() -> u64 = receive_buffer_size;
        set_receive_buffer_size(bytes: u64) -> () = set_receive_buffer_size;
        send_buffer_size() -> u64 = send_buffer_size;
        set_send_buffer_size(bytes: u64) -> () = set_send_buffer_size;
    }

    fn subscribe(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, Resource::<Tcp>::new_borrow(socket.rep()))
    }

    fn shutdown(&mut self, socket: Resource<TcpSocket>, how: ShutdownType) -> SocketResult<()> {
        let tcp = self.tcp(&socket)?;
        if let ShutdownType::Receive | ShutdownType::Both = how {
            tcp.socket.connection()?.shutdown(Shutdown::Read)?;
        }
        if let ShutdownType::Send | ShutdownType::Both = how {
            tcp.writer
                .as_ref()
                .ok_or(ErrorCode::InvalidState)?
                .shut_down()?;
        }
        Ok(())
    }

    fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Tcp>::new_own(socket.rep()))?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Pollable for Tcp {
    async fn ready(&mut self) {
        if self.operation == Some(Operation::Connect) {
            // The outcome is kept for `finish-connect`.
            let _ = poll_fn(|context| self.socket.poll_connect(context)).await;
        }
    }
}

/// What stands behind a `resolve-address-stream`.
struct Lookup(Answer);

enum Answer {
    Awaited(AbortOnDropJoinHandle<Result<Vec<IpAddr>, LookupError>>),
    Here(vec::IntoIter<IpAddr>),
    Failed(ErrorCode),
}

impl Lookup {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Answer::Awaited(answer) = &mut self.0 {
            self.0 = match ready!(Pin::new(answer).poll(context)) {
                Ok(addresses) => Answer::Here(addresses.into_iter()),
                Err(error) => Answer::Failed(code(&error)),
            };
        }
        Poll::Ready(())
    }
}

#[async_trait::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        poll_fn(|context| self.poll_ready(context)).await;
    }
}

impl ip_name_lookup::Host for SocketsView<'_> {
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        let lookup = Lookup(Answer::Awaited(spawn(self.network.look_up(name))));
        Ok(Resource::new_own(self.table.push(lookup)?.rep()))
    }
}

impl HostResolveAddressStream for SocketsView<'_> {
    fn resolve_next_address(
        &mut self,
        lookup: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let lookup = self
            .table
            .get_mut(&Resource::<Lookup>::new_borrow(lookup.rep()))?;
        if lookup.poll_ready(&mut nobody()).is_pending() {
            return Err(ErrorCode::WouldBlock.into());
        }
        match &mut lookup.0 {
            Answer::Here(addresses) => Ok(addresses.next().map(IpAddress::from)),
            Answer::Failed(code) => Err((*code).into()),
            Answer::Awaited(_) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(
        &mut self,
        lookup: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, Resource::<Lookup>::new_borrow(lookup.rep()))
    }

    fn drop(&mut self, lookup: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Lookup>::new_own(lookup.rep()))?;
        Ok(())
    }
}

fn code(error: &LookupError) -> ErrorCode {
    match error {
        LookupError::NoName { .. } => ErrorCode::InvalidArgument,
        LookupError::Refused(_) | LookupError::NoSockets | LookupError::Ended => {
            ErrorCode::AccessDenied
        }
        LookupError::TimedOut { .. } => ErrorCode::TemporaryResolverFailure,
        LookupError::Failed { .. } | LookupError::NoAddress { .. } => ErrorCode::NameUnresolvable,
    }
}

/// For a look at what is there, by a guest that asks again.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
