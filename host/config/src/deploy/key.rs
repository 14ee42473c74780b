//! The public keys of those who may deploy.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::problem::BadValue;

/// A public key of minisign, in the form that `minisign` prints.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    text: String,
    /// Without its id, which anybody can choose.
    key: Vec<u8>,
}

/// How the signatures of a key are made, its id, and the key itself.
const BYTES: usize = 2 + 8 + 32;

impl PublicKey {
    /// Reads the 56 characters that a key is written as.
    pub(super) fn new(text: &str) -> Result<Self, BadValue> {
        let refuse = |rule| Err(BadValue::PublicKey { rule });
        match STANDARD.decode(text) {
            _ if text.starts_with("untrusted comment:") => {
                refuse("it is a whole file: write its second line alone, or { file = \"FILE\" }")
            }
            Ok(bytes) if bytes.len() == BYTES && bytes.starts_with(b"Ed") => Ok(Self {
                text: text.to_owned(),
                key: bytes[2 + 8..].to_vec(),
            }),
            Ok(bytes) if bytes.starts_with(b"Ed") && bytes.len() > BYTES => {
                refuse("it is as long as a signature or a secret key")
            }
            _ => refuse("it does not have its form"),
        }
    }

    /// Reads the content of a file that `minisign -G` wrote: a comment and the key, or the key alone.
    ///
    /// # Errors
    /// The content is something else.
    pub fn of_file(content: &str) -> Result<Self, BadValue> {
        let mut lines = content.lines();
        let comment = content.starts_with("untrusted comment:");
        let line = lines.nth(usize::from(comment)).unwrap_or_default();
        Self::new(line.trim_end())
    }

    /// The key as minisign writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether both are of one owner, whatever their ids.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
