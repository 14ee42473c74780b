//! The connection to a server.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi_http::Error;

use super::super::connection::{Connection, Stream};
use super::super::gate::{self, Slot};
use super::super::{Outbound, tls};
use super::failure::{Insecure, connect_error_code, lookup_error_code, tls_error_code};
use soloist_core::grants::{Origin, Scheme};

/// A connection to a server, with or without TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Outbound {
    /// Connects to the first address of the origin that answers. It tries only addresses that the policy grants.
    pub(super) async fn connect(
        self: &Arc<Self>,
        origin: &Origin,
        slot: Slot,
    ) -> Result<(Box<dyn Duplex>, Arc<Connection>), Error> {
        let addresses = self.addresses(&origin.host).await.map_err(|error| {
            self.report(&error);
            lookup_error_code(error)
        })?;
        let mut slot = Some(slot);
        let mut last = Error::DestinationNotFound;
        for address in addresses {
            let Some(slot) = slot.take().or_else(|| self.gate.slot()) else {
                return Err(Error::ConnectionLimitReached);
            };
            let socket = gate::socket(address.is_ipv6()).map_err(|error| {
                self.report_no_room(&error);
                connect_error_code(&error)
            })?;
            let endpoint = SocketAddr::new(address, origin.port);
            match self.gate.connect(socket, endpoint, slot).await {
                Ok(connection) => {
                    return Ok((
                        self.secure(origin, Arc::clone(&connection)).await?,
                        connection,
                    ));
                }
                Err(error) => last = connect_error_code(&error),
            }
        }
        Err(last)
    }

    /// Adds TLS to the connection, if the origin asks for it.
    async fn secure(
        &self,
        origin: &Origin,
        connection: Arc<Connection>,
    ) -> Result<Box<dyn Duplex>, Error> {
        let stream = Stream(connection);
        if origin.scheme == Scheme::Http {
            return Ok(Box::new(stream));
        }
        let name = tls::server_name(&origin.host).map_err(|_| Error::HttpRequestUriInvalid)?;
        let connector = tls::connector().await.map_err(|error| {
            self.report(&error);
            Error::ConfigurationError
        })?;
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                self.report(&Insecure {
                    origin,
                    source: &error,
                });
                Err(tls_error_code(&error).unwrap_or_else(|| connect_error_code(&error)))
            }
        }
    }
}
