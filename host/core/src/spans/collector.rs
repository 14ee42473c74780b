//! Where spans are sent.

use crate::grants::{HostPattern, Origin};

/// Where a collector takes spans, by OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its scheme, host and port.
    pub origin: Origin,
    /// The path of a request.
    pub path: String,
}

/// Not where a collector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not the URL of a collector: write http:// or https://, a host, a port and maybe a path, like http://127.0.0.1:4318, without \
     user, query or fragment"
)]
pub struct CollectorError;

impl Collector {
    /// Reads `http://127.0.0.1:4318` or `https://collector.example/otlp`. As OpenTelemetry has it, `/v1/traces` follows.
    ///
    /// # Errors
    /// [`CollectorError`].
    pub fn new(text: &str) -> Result<Self, CollectorError> {
        let (scheme, rest) = text.split_once("://").ok_or(CollectorError)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let origin = Origin::new(&format!("{scheme}://{authority}")).map_err(|_| CollectorError)?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte);
        if matches!(origin.host, HostPattern::Below(_)) || !path.bytes().all(is_plain) {
            return Err(CollectorError);
        }
        let path = path.trim_end_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        Ok(Self {
            origin,
            path: format!("{slash}{path}/v1/traces"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_follows_what_was_written() {
        for (text, path) in [
            ("http://127.0.0.1:4318", "/v1/traces"),
            ("http://127.0.0.1:4318/", "/v1/traces"),
            ("https://collector.example/otlp/a/", "/otlp/a/v1/traces"),
        ] {
            assert_eq!(Collector::new(text).unwrap().path, path);
        }
        for bad in [
            "127.0.0.1:4318",
            "grpc://a:4317",
            "http://",
            "http://u:p@a",
            "http://*.a",
            "http://a/?x=1",
            "http://a/b c",
        ] {
            assert_eq!(Collector::new(bad), Err(CollectorError), "{bad}");
        }
    }
}
