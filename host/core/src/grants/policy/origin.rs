//! Where HTTP requests go.

use std::fmt;
use std::str::FromStr;

use super::host::host_and_port;
use super::{HostPattern, PolicyError};

/// The scheme of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Scheme, host and port of a request, or of a grant. Only the host of a grant may be a [`HostPattern::Below`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: HostPattern,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// Reads `https://api.example.com`, `http://*.internal:8080` or `http://[fd00::1]`.
    ///
    /// # Errors
    /// [`PolicyError`] says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, PolicyError> {
        let (scheme, authority) = text
            .split_once("://")
            .ok_or(PolicyError("has no scheme, http:// or https://"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(PolicyError("has a scheme other than http and https")),
        };
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(PolicyError("goes on after the port: an origin has no path"));
        }
        let (host, port) = host_and_port(authority)?;
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.default_port()),
        })
    }

    /// The value of the header `Host`: the host, and the port unless it is the default of the scheme.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.bracketed()
        } else {
            format!("{}:{}", self.host.bracketed(), self.port)
        }
    }

    /// Whether every origin that the other grant covers is covered by this one.
    pub(in crate::grants) fn covers_all(&self, other: &Self) -> bool {
        (self.scheme, self.port) == (other.scheme, other.port) && self.host.covers_all(&other.host)
    }

    pub(super) fn covers(&self, asked: &Self) -> bool {
        (self.scheme, self.port) == (asked.scheme, asked.port) && self.host.covers(&asked.host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

impl FromStr for Origin {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::new(text)
    }
}
