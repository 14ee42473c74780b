//! The tokens that requests show.

use std::fmt;

use http::header::{self, HeaderMap};
use sha2::{Digest as _, Sha256};
use soloist_core::secret::Secret;
use subtle::ConstantTimeEq as _;

/// What a request has to show: the SHA-256 of it. Digests have one length, so that a comparison takes one time.
pub(crate) struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    pub(crate) fn of(token: &Secret) -> Self {
        Self(Sha256::digest(token.expose()).into())
    }

    /// Whether the headers show the token, once. How long that takes tells nothing of the token.
    pub(crate) fn is_shown_by(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let (scheme, shown) = shown.as_bytes().split_at(shown.len().min(7));
        let shown: [u8; 32] = Sha256::digest(shown).into();
        scheme.eq_ignore_ascii_case(b"bearer ") & bool::from(shown[..].ct_eq(&self.0[..]))
    }
}
