//! Who may ask, and what they have to show.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, uri::Authority};
use soloist_core::secret::Secret;

use crate::answer::plain;
use crate::token::Token;

/// What the connection has shown of whoever asks. It is an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    /// A certificate that one of those in `listen_client_ca` vouches for.
    Certificate,
}

/// Who may ask, and what they have to have shown.
#[derive(Debug)]
pub(crate) struct Admission {
    guard: Guard,
    wants_certificate: bool,
}

/// Who may ask.
#[derive(Debug)]
enum Guard {
    /// Whoever shows the token.
    Token(Token),
    /// Everybody who can reach the address.
    Open,
    /// Whoever could connect: with a certificate, or on this machine by a name that the certificate of this host is for.
    Known,
    /// Everybody on this machine. A page of a browser that runs here, whose name leads here, is not meant.
    Local,
    /// Nobody: who may ask was decided for another address than this.
    Nobody,
}

impl Admission {
    /// `is_open`: whoever can reach the address may ask, if there is no token.
    pub(crate) fn new(token: Option<&Secret>, is_open: bool) -> Self {
        let guard = match token {
            Some(token) => Guard::Token(Token::of(token)),
            None if is_open => Guard::Open,
            None => Guard::Local,
        };
        Self {
            guard,
            wants_certificate: false,
        }
    }

    /// That of an address for which nothing was decided.
    pub(crate) fn nobody() -> Self {
        Self {
            guard: Guard::Nobody,
            wants_certificate: false,
        }
    }

    /// Who may ask over TLS. A browser that comes by a name that leads here does not take the certificate for that of the name.
    pub(crate) fn over_tls(self, wants_certificate: bool) -> Self {
        let guard = match self.guard {
            Guard::Local => Guard::Known,
            Guard::Open if wants_certificate => Guard::Known,
            guard => guard,
        };
        Self {
            guard,
            wants_certificate,
        }
    }

    /// Whether everybody is answered who can reach the address.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.guard, Guard::Open)
    }

    /// What holds of every request, whatever it shows in its head.
    pub(crate) fn admit_asked_here(&self, request: &Parts) -> Result<(), Box<Response<Bytes>>> {
        self.admit_connection(request)?;
        match &self.guard {
            Guard::Local | Guard::Nobody => self.admit(request),
            Guard::Open | Guard::Known | Guard::Token(_) => Ok(()),
        }
    }

    /// What the connection has to have shown.
    fn admit_connection(&self, request: &Parts) -> Result<(), Box<Response<Bytes>>> {
        if self.wants_certificate && request.extensions.get() != Some(&Shown::Certificate) {
            let text = "show a certificate of those in listen_client_ca\n";
            return Err(Box::new(plain(StatusCode::FORBIDDEN, text)));
        }
        Ok(())
    }

    /// What a request has to show for all that tells more than a word.
    pub(crate) fn admit(&self, request: &Parts) -> Result<(), Box<Response<Bytes>>> {
        self.admit_connection(request)?;
        match &self.guard {
            Guard::Open | Guard::Known => Ok(()),
            Guard::Token(token) if token.is_shown_by(&request.headers) => Ok(()),
            Guard::Token(_) => {
                let mut refused = plain(
                    StatusCode::UNAUTHORIZED,
                    "show the token: Authorization: Bearer TOKEN\n",
                );
                let scheme = HeaderValue::from_static("Bearer");
                refused
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
                Err(Box::new(refused))
            }
            Guard::Local if is_local(&request.headers) => Ok(()),
            Guard::Local => Err(Box::new(plain(
                StatusCode::MISDIRECTED_REQUEST,
                "ask by address or as localhost, or have the host listen with a token\n",
            ))),
            Guard::Nobody => Err(Box::new(plain(
                StatusCode::FORBIDDEN,
                "only probes are answered here: `listen` has another address since the process was started anew\n",
            ))),
        }
    }
}

/// Whether the request names an address, or localhost, as what it asks. A name could be one whose owner has it lead here, so
/// that a browser takes this for a page of that owner.
fn is_local(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(named), None) = (named.next(), named.next()) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(named.as_bytes()) else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// Whether it is a request to read.
pub(crate) fn is_read(request: &Parts) -> bool {
    request.method == Method::GET || request.method == Method::HEAD
}

/// Refuses what is no request to read.
pub(crate) fn read_only(request: &Parts) -> Result<(), Box<Response<Bytes>>> {
    if is_read(request) {
        return Ok(());
    }
    let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    let allowed = HeaderValue::from_static("GET, HEAD");
    refused.headers_mut().insert(header::ALLOW, allowed);
    Err(Box::new(refused))
}
