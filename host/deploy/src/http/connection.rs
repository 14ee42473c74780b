//! A connection to one server, for one request.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::rustls::{self, pki_types::ServerName};
use url::{Host, Url};

use super::error::HttpError;
use super::{shown, trust};

/// A server can have any number of addresses. So many of them are tried.
const ADDRESSES_MAX: usize = 4;

const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection, which is closed when this is dropped.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connection {
    /// Connects to the server of a URL, with TLS if it is one of `https`.
    pub(super) async fn open(url: &Url, patience: Duration) -> Result<Self, HttpError> {
        let opened = timeout(patience, connect(url, patience)).await;
        let stream = opened.map_err(|_| HttpError::Unconnected {
            url: shown(url),
            after: patience,
        })??;
        let (sender, connection) = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| HttpError::Broken {
                url: shown(url),
                source,
            })?;
        // What goes wrong here, whoever waits for the answer is told.
        let task = tokio::spawn(async { drop(connection.await) });
        Ok(Self { sender, task })
    }
}

async fn connect(url: &Url, patience: Duration) -> Result<Box<dyn Stream>, HttpError> {
    let is_tls = url.scheme() == "https";
    let addresses = addresses(url, is_tls).await?;
    let each = patience / u32::try_from(addresses.len()).unwrap_or(1);
    let mut failed = std::io::Error::from(std::io::ErrorKind::TimedOut);
    for address in addresses {
        let stream = match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                failed = error;
                continue;
            }
            Err(_) => continue,
        };
        return if is_tls {
            tls(url, stream).await
        } else {
            Ok(Box::new(stream))
        };
    }
    Err(HttpError::Connect {
        url: shown(url),
        source: failed,
    })
}

/// The addresses of the server. Without TLS, those of this machine alone.
async fn addresses(url: &Url, is_tls: bool) -> Result<Vec<SocketAddr>, HttpError> {
    let bad = || HttpError::Url { url: shown(url) };
    let port = url.port_or_known_default().ok_or_else(bad)?;
    let found: Vec<SocketAddr> = match url.host().ok_or_else(bad)? {
        Host::Ipv4(address) => vec![(address, port).into()],
        Host::Ipv6(address) => vec![(address, port).into()],
        Host::Domain(name) => lookup_host((name, port))
            .await
            .map_err(|source| HttpError::Resolve {
                host: name.to_owned(),
                source,
            })?
            .collect(),
    };
    let may = |address: &SocketAddr| is_tls || address.ip().is_loopback();
    let chosen: Vec<_> = found.into_iter().filter(may).take(ADDRESSES_MAX).collect();
    if chosen.is_empty() {
        return Err(HttpError::Plain { url: shown(url) });
    }
    Ok(chosen)
}

async fn tls(url: &Url, stream: TcpStream) -> Result<Box<dyn Stream>, HttpError> {
    let name = match url.host() {
        Some(Host::Ipv4(address)) => Ok(ServerName::from(std::net::IpAddr::from(address))),
        Some(Host::Ipv6(address)) => Ok(ServerName::from(std::net::IpAddr::from(address))),
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()),
        None => ServerName::try_from(String::new()),
    };
    let name = name.map_err(|_| HttpError::Url { url: shown(url) })?;
    let connected = trust::connector()?.connect(name, stream).await;
    match connected {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => {
            let said = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .cloned();
            let url = shown(url);
            Err(match said {
                Some(rustls::Error::InvalidMessage(_)) => HttpError::NotTls { url },
                Some(source) => HttpError::Tls { url, source },
                None => HttpError::Connect { url, source: error },
            })
        }
    }
}
