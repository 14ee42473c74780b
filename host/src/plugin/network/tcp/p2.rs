//! `wasi:sockets` 0.2, as languages' standard libraries use it. A guest that waits in it holds the whole plugin.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::vec;

use bytes::{Bytes, BytesMut};
use futures::future::poll_fn;
use rustix::io::Errno;
use rustix::net::Shutdown;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    self, HostResolveAddressStream, IpAddress, ResolveAddressStream,
};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, HostNetwork, IpAddressFamily, IpSocketAddress};
use wasmtime_wasi::p2::bindings::sockets::tcp::{self, HostTcpSocket, ShutdownType};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, InputStream, Network, OutputStream, Pollable, SocketError,
    SocketResult, StreamError, StreamResult, TcpSocket, subscribe,
};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};

use super::super::connection::Connection;
use super::super::resolver::LookupError;
use super::Socket;
use crate::plugin::store::Host;

/// How much is read or written in one call, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

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

impl Host {
    fn tcp(&mut self, socket: &Resource<TcpSocket>) -> SocketResult<&mut Tcp> {
        Ok(self.table.get_mut(&Resource::<Tcp>::new_borrow(socket.rep()))?)
    }
}

impl network::Host for Host {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<io::Error>().map(ErrorCode::from))
    }
}

impl HostNetwork for Host {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl tcp_create_socket::Host for Host {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let socket = self.network.open_socket(family == IpAddressFamily::Ipv6)?;
        let socket = self.table.push(Tcp { socket, operation: None, writer: None })?;
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

impl tcp::Host for Host {}

impl HostTcpSocket for Host {
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
        let reader = Reader { connection: tcp.socket.receiver()?, closed: false };
        let writer = Writer::new(tcp.socket.sender()?);
        tcp.writer = Some(writer.clone());
        let parent = Resource::<Tcp>::new_borrow(socket.rep());
        let input = self.table.push_child(Box::new(reader) as DynInputStream, &parent)?;
        let output = self.table.push_child(Box::new(writer) as DynOutputStream, &parent)?;
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
    ) -> SocketResult<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>)> {
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
        Ok(if tcp.socket.ipv6 { IpAddressFamily::Ipv6 } else { IpAddressFamily::Ipv4 })
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

    fn subscribe(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.table, Resource::<Tcp>::new_borrow(socket.rep()))
    }

    fn shutdown(&mut self, socket: Resource<TcpSocket>, how: ShutdownType) -> SocketResult<()> {
        let tcp = self.tcp(&socket)?;
        if let ShutdownType::Receive | ShutdownType::Both = how {
            tcp.socket.connection()?.shutdown(Shutdown::Read)?;
        }
        if let ShutdownType::Send | ShutdownType::Both = how {
            tcp.writer.as_ref().ok_or(ErrorCode::InvalidState)?.shut_down()?;
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

struct Reader {
    connection: Arc<Connection>,
    closed: bool,
}

#[async_trait::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if !self.closed {
            // What is wrong shows in the next read.
            let _ = poll_fn(|context| self.connection.stream().poll_read_ready(context)).await;
        }
    }
}

impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = BytesMut::zeroed(size.min(CHUNK_BYTES));
        match self.connection.poll_read(&mut nobody(), &mut buffer) {
            Poll::Pending => Ok(Bytes::new()),
            Poll::Ready(Ok(0)) => {
                self.closed = true;
                Err(StreamError::Closed)
            }
            Poll::Ready(Ok(read)) => {
                buffer.truncate(read);
                Ok(buffer.freeze())
            }
            Poll::Ready(Err(error)) => {
                self.closed = true;
                Err(StreamError::LastOperationFailed(error.into()))
            }
        }
    }
}

/// Shared by the stream and its socket.
#[derive(Clone)]
struct Writer(Arc<Mutex<Writing>>);

struct Writing {
    connection: Arc<Connection>,
    state: WriteState,
}

enum WriteState {
    Ready,
    /// The system would not take all of it at once: the rest, and then perhaps the end.
    Busy(AbortOnDropJoinHandle<io::Result<()>>),
    /// What was written before could not be sent, which nobody has been told yet.
    Failed(io::Error),
    Closed,
}

impl Writer {
    fn new(connection: Arc<Connection>) -> Self {
        Self(Arc::new(Mutex::new(Writing { connection, state: WriteState::Ready })))
    }

    /// Ends what is sent, after all that was written.
    fn shut_down(&self) -> io::Result<()> {
        let mut writing = self.lock();
        let connection = Arc::clone(&writing.connection);
        match std::mem::replace(&mut writing.state, WriteState::Closed) {
            WriteState::Ready => connection.shutdown(Shutdown::Write),
            WriteState::Busy(rest) => {
                writing.state = WriteState::Busy(spawn(async move {
                    rest.await?;
                    connection.shutdown(Shutdown::Write)
                }));
                Ok(())
            }
            WriteState::Failed(error) => Err(error),
            WriteState::Closed => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// Takes note of a rest that is done.
    fn poll_settled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let WriteState::Busy(rest) = &mut self.state {
            self.state = match ready!(Pin::new(rest).poll(context)) {
                Ok(()) => WriteState::Ready,
                Err(error) => WriteState::Failed(error),
            };
        }
        Poll::Ready(())
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_settled(context));
        match self.state {
            // What is wrong shows in the next write.
            WriteState::Ready => self.connection.stream().poll_write_ready(context).map(drop),
            _ => Poll::Ready(()),
        }
    }

    /// The error of what was written before.
    fn check(&mut self) -> StreamResult<()> {
        match std::mem::replace(&mut self.state, WriteState::Closed) {
            WriteState::Failed(error) => Err(self.fail(error)),
            WriteState::Closed => Err(StreamError::Closed),
            state => {
                self.state = state;
                Ok(())
            }
        }
    }

    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if bytes.len() > CHUNK_BYTES || matches!(self.state, WriteState::Busy(_)) {
            return Err(StreamError::trap("more was written than `check-write` allowed"));
        }
        while !bytes.is_empty() {
            match self.connection.poll_write(&mut nobody(), &bytes) {
                Poll::Ready(Ok(written)) => drop(bytes.split_to(written)),
                Poll::Ready(Err(error)) => return Err(self.fail(error)),
                Poll::Pending => {
                    let connection = Arc::clone(&self.connection);
                    self.state = WriteState::Busy(spawn(async move {
                        while !bytes.is_empty() {
                            let written = poll_fn(|context| connection.poll_write(context, &bytes)).await?;
                            drop(bytes.split_to(written));
                        }
                        Ok(())
                    }));
                    break;
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: io::Error) -> StreamError {
        self.state = WriteState::Closed;
        match Errno::from_io_error(&error) {
            Some(Errno::PIPE) => StreamError::Closed,
            _ => StreamError::LastOperationFailed(error.into()),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        poll_fn(|context| self.lock().poll_ready(context)).await;
    }
}

#[async_trait::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        // All is on its way as soon as it can be.
        self.lock().check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let mut writing = self.lock();
        let ready = writing.poll_ready(&mut nobody());
        writing.check()?;
        Ok(if ready.is_ready() { CHUNK_BYTES } else { 0 })
    }

    async fn cancel(&mut self) {
        // What the guest has written must not be lost because it drops the stream.
        poll_fn(|context| self.lock().poll_settled(context)).await;
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

impl ip_name_lookup::Host for Host {
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        let lookup = Lookup(Answer::Awaited(spawn(self.network.look_up(name))));
        Ok(Resource::new_own(self.table.push(lookup)?.rep()))
    }
}

impl HostResolveAddressStream for Host {
    fn resolve_next_address(
        &mut self,
        lookup: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let lookup = self.table.get_mut(&Resource::<Lookup>::new_borrow(lookup.rep()))?;
        if lookup.poll_ready(&mut nobody()).is_pending() {
            return Err(ErrorCode::WouldBlock.into());
        }
        match &mut lookup.0 {
            Answer::Here(addresses) => Ok(addresses.next().map(IpAddress::from)),
            Answer::Failed(code) => Err((*code).into()),
            Answer::Awaited(_) => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(&mut self, lookup: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.table, Resource::<Lookup>::new_borrow(lookup.rep()))
    }

    fn drop(&mut self, lookup: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Lookup>::new_own(lookup.rep()))?;
        Ok(())
    }
}

fn code(error: &LookupError) -> ErrorCode {
    match error {
        LookupError::NoName { .. } => ErrorCode::InvalidArgument,
        LookupError::Refused(_) | LookupError::Ended => ErrorCode::AccessDenied,
        LookupError::TimedOut { .. } => ErrorCode::TemporaryResolverFailure,
        LookupError::Failed { .. } | LookupError::NoAddress { .. } => ErrorCode::NameUnresolvable,
    }
}

/// For a look at what is there, by a guest that asks again.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
