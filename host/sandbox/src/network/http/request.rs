//! What a request is for, and what the host sets in it.

use http::header::{HOST, HeaderName, HeaderValue};
use http::{Request, Uri};
use wasmtime_wasi_http::Error;

use super::HEADER_BYTES;
use soloist_core::grants::{HostPattern, Origin, Scheme};
use soloist_core::term::Term;

const TASK: HeaderName = HeaderName::from_static("soloist-task");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const FENCING_TOKEN: HeaderName = HeaderName::from_static("soloist-fencing-token");

/// The origin of a request. The host connects to it, and derives the header `Host` from it: the two cannot differ.
pub(super) fn origin(uri: &Uri) -> Result<Origin, Error> {
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(Error::HttpProtocolError),
    };
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let origin = Origin::new(&format!("{scheme}://{authority}"))
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    match origin.host {
        HostPattern::Below(_) => Err(Error::HttpRequestUriInvalid),
        _ => Ok(origin),
    }
}

/// Sets the parts of a request that the host decides: the path without the authority, `Host`, if `identity` is given, the headers
/// that name the task and the term, and `traceparent`, if `trace` is given and the plugin has set none: its own stays.
pub(super) fn complete<B>(
    request: &mut Request<B>,
    origin: &Origin,
    identity: Option<&Term>,
    trace: Option<&str>,
) -> Result<(), Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let path = Uri::builder()
        .path_and_query(path)
        .build()
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    if path.to_string().len() > HEADER_BYTES {
        return Err(Error::HttpRequestUriTooLong);
    }
    *request.uri_mut() = path;
    let authority =
        HeaderValue::from_str(&origin.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
    let headers = request.headers_mut();
    headers.insert(HOST, authority);
    headers.remove(TASK);
    headers.remove(FENCING_TOKEN);
    if let Some(term) = identity {
        // The name of a task may have letters that a header must not have.
        let task = HeaderValue::from_str(&percent_encoded(&term.task))
            .map_err(|_| Error::ConfigurationError)?;
        headers.insert(TASK, task);
        headers.insert(FENCING_TOKEN, HeaderValue::from(term.fencing_token.0));
    }
    if let (Some(trace), false) = (trace, headers.contains_key(TRACE_PARENT)) {
        let trace = HeaderValue::from_str(trace).map_err(|_| Error::ConfigurationError)?;
        headers.insert(TRACE_PARENT, trace);
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if bytes > HEADER_BYTES {
        return Err(Error::HttpRequestHeaderSectionSize(
            u32::try_from(bytes).ok(),
        ));
    }
    Ok(())
}

/// The text with each byte that is no visible ASCII character, and each `%`, written as `%` and two hexadecimal digits.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests;
