//! Where TCP connections go.

use std::fmt;
use std::str::FromStr;

use super::host::host_and_port;
use super::{HostPattern, PolicyError};

/// The host and the port of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub host: HostPattern,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `db.internal:5432`, `*.internal:5432`, `10.0.0.7:5432` or `[fd00::7]:5432`.
    ///
    /// # Errors
    /// [`PolicyError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        let (host, port) = host_and_port(text)?;
        let port = port.ok_or(PolicyError("has no port"))?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.bracketed(), self.port)
    }
}

impl FromStr for Endpoint {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::new(text)
    }
}
