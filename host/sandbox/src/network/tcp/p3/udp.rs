//! UDP sockets: the host makes none.

use wasmtime::component::{Accessor, Resource};
use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, HostUdpSocket, HostUdpSocketWithStore, IpAddressFamily, IpSocketAddress, UdpSocket,
};
use wasmtime_wasi::p3::sockets::SocketResult;

use super::{Sockets, SocketsView};

/// Functions that fail. The guest cannot make a UDP socket, so it never calls them.
macro_rules! no_udp {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&mut self, _: Resource<UdpSocket>, $(_: $type),*) -> $result {
            Err(ErrorCode::NotSupported.into())
        })*
    };
}

impl HostUdpSocket for SocketsView<'_> {
    async fn create(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        Err(ErrorCode::AccessDenied.into())
    }

    async fn bind(&mut self, _: Resource<UdpSocket>, _: IpSocketAddress) -> SocketResult<()> {
        Err(ErrorCode::NotSupported.into())
    }

    async fn connect(&mut self, _: Resource<UdpSocket>, _: IpSocketAddress) -> SocketResult<()> {
        Err(ErrorCode::NotSupported.into())
    }

    no_udp! {
        disconnect() -> SocketResult<()>;
        get_local_address() -> SocketResult<IpSocketAddress>;
        get_remote_address() -> SocketResult<IpSocketAddress>;
        get_address_family() -> wasmtime::Result<IpAddressFamily>;
        get_unicast_hop_limit() -> SocketResult<u8>;
        set_unicast_hop_limit(u8) -> SocketResult<()>;
        get_receive_buffer_size() -> SocketResult<u64>;
        set_receive_buffer_size(u64) -> SocketResult<()>;
        get_send_buffer_size() -> SocketResult<u64>;
        set_send_buffer_size(u64) -> SocketResult<()>;
    }

    fn drop(&mut self, _: Resource<UdpSocket>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl<T> HostUdpSocketWithStore<T> for Sockets {
    async fn send(
        _: &Accessor<T, Self>,
        _: Resource<UdpSocket>,
        _: Vec<u8>,
        _: Option<IpSocketAddress>,
    ) -> SocketResult<()> {
        Err(ErrorCode::NotSupported.into())
    }

    async fn receive(
        _: &Accessor<T, Self>,
        _: Resource<UdpSocket>,
    ) -> SocketResult<(Vec<u8>, IpSocketAddress)> {
        Err(ErrorCode::NotSupported.into())
    }
}
