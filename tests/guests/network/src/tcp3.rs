//! What the tests of TCP have done, by WASI 0.3.

use std::net::{IpAddr, Ipv4Addr};

use soloist_sdk::info;
use wasi::sockets::ip_name_lookup::resolve_addresses;
use wasi::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use wit_bindgen::StreamResult;

use crate::setting;

wit_bindgen::generate!({
    inline: "
        package test:network;

        world sockets {
            import wasi:sockets/types@0.3.0;
            import wasi:sockets/ip-name-lookup@0.3.0;
        }
    ",
    path: ["../../../guest-sdk/wit/deps/clocks.wit", "wit/sockets.wit"],
    world: "test:network/sockets",
    generate_all,
});

fn remote(address: Ipv4Addr, port: u16) -> IpSocketAddress {
    let [a, b, c, d] = address.octets();
    IpSocketAddress::Ipv4(Ipv4SocketAddress {
        address: (a, b, c, d),
        port,
    })
}

/// Where the test wants it: an address, or a name that is looked up first.
async fn target(to: &str) -> Result<IpSocketAddress, String> {
    let (host, port) = to.rsplit_once(':').expect("a port");
    let port = port.parse().expect("a port");
    if let Ok(address) = host.parse() {
        return Ok(remote(address, port));
    }
    match resolve_addresses(host.into())
        .await
        .map_err(|error| format!("{error:?}"))?
        .first()
    {
        Some(IpAddress::Ipv4((a, b, c, d))) => Ok(remote(Ipv4Addr::new(*a, *b, *c, *d), port)),
        other => Err(format!("{other:?}")),
    }
}

async fn connect(to: &str) -> Result<TcpSocket, String> {
    let target = target(to).await?;
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(|error| format!("{error:?}"))?;
    socket
        .connect(target)
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok(socket)
}

async fn send(socket: &TcpSocket, data: &[u8]) -> Result<(), ErrorCode> {
    let (mut writer, reader) = wit_stream::new::<u8>();
    let end = socket.send(reader);
    writer.write_all(data.to_vec()).await;
    drop(writer);
    end.await
}

pub async fn exchange(to: &str) -> String {
    let outcome = async {
        let socket = connect(to).await?;
        send(&socket, b"hello\n")
            .await
            .map_err(|error| format!("{error:?}"))?;
        let (mut stream, end) = socket.receive();
        let mut heard = Vec::new();
        loop {
            let (outcome, chunk) = stream.read(Vec::with_capacity(100)).await;
            heard.extend(chunk);
            if !matches!(outcome, StreamResult::Complete(_)) {
                break;
            }
        }
        end.await.map_err(|error| format!("{error:?}"))?;
        Ok(format!("heard {:?}", String::from_utf8_lossy(&heard)))
    };
    outcome.await.unwrap_or_else(|error: String| error)
}

pub async fn lookup(to: &str) -> String {
    let (host, _) = to.rsplit_once(':').expect("a port");
    match resolve_addresses(host.into()).await {
        Ok(found) => found
            .into_iter()
            .map(|address| match address {
                IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]).to_string(),
                IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
                    IpAddr::from([a, b, c, d, e, f, g, h]).to_string()
                }
            })
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => format!("{error:?}"),
    }
}

pub async fn inbound() {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).expect("there is room");
    info!(
        "bind: {:?}",
        socket.bind(remote(Ipv4Addr::LOCALHOST, 0)).err()
    );
    info!(
        "bind port: {:?}",
        socket.bind(remote(Ipv4Addr::UNSPECIFIED, 8080)).err()
    );
    info!(
        "bind any: {:?}",
        socket.bind(remote(Ipv4Addr::UNSPECIFIED, 0)).err()
    );
    info!("listen: {:?}", socket.listen().err());
    info!("udp: {:?}", UdpSocket::create(IpAddressFamily::Ipv4).err());
}

pub async fn many() {
    let mut open = Vec::new();
    let error = loop {
        match TcpSocket::create(IpAddressFamily::Ipv4) {
            Ok(socket) => open.push(socket),
            Err(error) => break error,
        }
    };
    info!("{} sockets, then {error:?}", open.len());
}

/// A connection that nobody looks at until the end.
pub async fn idle() -> String {
    let socket = match connect(&setting("to")).await {
        Ok(socket) => socket,
        Err(error) => return format!("no connection: {error}"),
    };
    let (mut stream, end) = socket.receive();
    let (mut writer, reader) = wit_stream::new::<u8>();
    let sent = socket.send(reader);
    writer.write_all(b"hello\n".to_vec()).await;
    info!("connected");
    crate::demoted().await;
    let left = writer.write_all(b"late".to_vec()).await.len();
    let (_, chunk) = stream.read(Vec::with_capacity(100)).await;
    format!(
        "{left} bytes not sent {:?}, {} bytes read {:?}",
        sent.await.err(),
        chunk.len(),
        end.await.err()
    )
}

/// Says more than the other side takes, and lets the connection go.
pub async fn leave() {
    let socket = connect(&setting("to")).await.expect("the test grants it");
    send(&socket, &vec![b'x'; crate::LEFT_BYTES])
        .await
        .expect("the system takes it");
}
