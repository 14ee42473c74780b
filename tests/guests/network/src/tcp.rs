//! What the tests of TCP have done, by WASI 0.2, which is what the standard library uses.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use soloist_sdk::info;

use crate::setting;

pub fn connect() -> TcpStream {
    TcpStream::connect(setting("to")).expect("the test grants it")
}

fn told(outcome: io::Result<String>) -> String {
    outcome.unwrap_or_else(|error| format!("{:?}", error.kind()))
}

/// Says a line and hears one.
pub fn exchange(to: &str) -> String {
    told((|| {
        let mut stream = TcpStream::connect(to)?;
        stream.write_all(b"hello\n")?;
        stream.set_nodelay(true).ok();
        let (peer, own) = (stream.peer_addr()?, stream.local_addr()?);
        assert!(peer.port() != 0 && own.port() != 0);
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard)?;
        Ok(format!("heard {heard:?} from {peer}"))
    })())
}

/// Says more than fits into the buffers in between, and then hears it.
pub fn large() -> String {
    told((|| {
        let mut stream = TcpStream::connect(setting("to"))?;
        let data: Vec<u8> = (0..3_000_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        stream.write_all(&data)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard)?;
        Ok(format!(
            "heard {} bytes, {}",
            heard.len(),
            if heard == data { "the same" } else { "others" }
        ))
    })())
}

pub fn lookup(to: &str) -> String {
    told(to.to_socket_addrs().map(|found| {
        let found: Vec<_> = found.map(|address| address.to_string()).collect();
        found.join(" ")
    }))
}

pub fn inbound() {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        info!(
            "listen {address}: {}",
            told(TcpListener::bind(address).map(|_| "listens".into()))
        );
        info!(
            "udp {address}: {}",
            told(UdpSocket::bind(address).map(|_| "bound".into()))
        );
    }
}

pub async fn many() {
    let mut open = Vec::new();
    while let Ok(stream) = TcpStream::connect(setting("to")) {
        open.push(stream);
    }
    info!("{} sockets", open.len());
    open.pop();
    info!(
        "then {}",
        if TcpStream::connect(setting("to")).is_ok() {
            "one more"
        } else {
            "none"
        }
    );
}

/// A connection that nobody looks at until the end.
pub async fn idle() -> String {
    let mut stream = connect();
    info!("connected");
    crate::demoted().await;
    let write = stream.write_all(b"late").map(|()| "written".into());
    let read = stream.read(&mut [0]).map(|bytes| format!("{bytes} bytes"));
    format!("write {}, read {}", told(write), told(read))
}

/// Waits in the host.
pub fn read() -> String {
    let mut stream = connect();
    info!("reads");
    let read = stream.read(&mut [0]).map(|bytes| format!("{bytes} bytes"));
    format!("read: {}", told(read))
}

/// Says more than the other side takes, and lets the connection go.
pub fn leave() {
    connect()
        .write_all(&vec![b'x'; crate::LEFT_BYTES])
        .expect("the system takes it");
}
