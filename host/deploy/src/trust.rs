//! Who signed a text, and whether that is enough. Pure.
//!
//! The signatures are those of [minisign](https://jedisct1.github.io/minisign/). Those of its legacy kind are refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{Error, Signature};
use soloist_core::records::SIGNATURES_MAX;

/// The longest signature that is read, in bytes. Those of minisign have some 300 and their comments.
const SIGNATURE_BYTES_MAX: usize = 4096;

/// The keys that a host trusts, and how many of them have to have signed a text.
#[derive(Clone, Debug)]
pub struct Trust {
    keys: Vec<minisign_verify::PublicKey>,
    require: usize,
}

/// The host's keys do not make up a [`Trust`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTrust {
    /// One of them is no key.
    #[error("key {0} is not a public key of minisign")]
    Key(usize),
    /// One of them is there before, if under another id: its owner would count twice.
    #[error("key {0} is there already: each key counts once")]
    KeyTwice(usize),
    /// None, or more than there are keys, would have to sign.
    #[error("{require} signatures of {keys} keys cannot be required: require 1 to {keys}")]
    Require {
        /// How many keys are trusted.
        keys: usize,
        /// How many have to sign.
        require: usize,
    },
}

/// Too few of the trusted keys have signed a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    /// How many of the trusted keys have signed it.
    pub found: usize,
    /// How many have to.
    pub require: usize,
    /// What is wrong with the signatures that do not count, each with its number, from 1.
    pub problems: Vec<(usize, SignatureProblem)>,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// It is cut off, or something else.
    #[error("is not a whole signature of minisign: give all four lines that `minisign -S` writes")]
    Unreadable,
    /// It is of the kind that signs the text itself and not a hash of it.
    #[error(
        "is of minisign's legacy kind, which is not taken: sign again without -l, with minisign 0.10 or newer"
    )]
    Legacy,
    /// No trusted key made it.
    #[error("is of the key {0}, which this host does not trust")]
    UnknownKey(KeyId),
    /// A trusted key is named, but it did not sign this.
    #[error(
        "does not fit the text: it is of another text, or the text, the signature or its trusted comment has been changed \
         since the key {0} signed"
    )]
    Wrong(KeyId),
    /// The same key has signed twice.
    #[error("is of the key {0} like signature {1}, and a key counts once")]
    SameKey(KeyId, usize),
    /// There are more than are read.
    #[error("is one too many: {SIGNATURES_MAX} are read")]
    TooMany,
}

/// What minisign calls a key by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As minisign shows it.
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl Trust {
    /// Trusts the owners of these keys, each as minisign writes it, if `require` of them agree.
    ///
    /// # Errors
    /// [`BadTrust`]; a host's configuration has neither.
    pub fn new<'a>(
        keys: impl IntoIterator<Item = &'a str>,
        require: usize,
    ) -> Result<Self, BadTrust> {
        let mut trusted = Vec::new();
        let mut seen = Vec::new();
        for (number, key) in (1..).zip(keys) {
            let public = minisign_verify::PublicKey::from_base64(key);
            trusted.push(public.map_err(|_| BadTrust::Key(number))?);
            // What is behind the algorithm and the id.
            let bytes = STANDARD.decode(key).map_err(|_| BadTrust::Key(number))?;
            let bytes = bytes.get(10..).map(<[u8]>::to_vec);
            if seen.contains(&bytes) {
                return Err(BadTrust::KeyTwice(number));
            }
            seen.push(bytes);
        }
        let keys = trusted;
        if !(1..=keys.len()).contains(&require) {
            let keys = keys.len();
            return Err(BadTrust::Require { keys, require });
        }
        Ok(Self { keys, require })
    }

    /// Checks that enough of the keys have signed the text, byte for byte. Signatures beyond those, whatever they are, do no
    /// harm: hosts may trust different keys.
    ///
    /// # Errors
    /// [`Untrusted`] says of each signature that does not count why not.
    pub fn check(&self, text: &str, signatures: &[String]) -> Result<(), Untrusted> {
        let mut problems = Vec::new();
        // Which key, and the number of its signature.
        let mut signed: Vec<(usize, usize)> = Vec::new();
        for (number, signature) in (1..).zip(signatures) {
            match self.judge(text, signature, &signed, number) {
                Ok(key) => signed.push((key, number)),
                Err(problem) => problems.push((number, problem)),
            }
            if number > SIGNATURES_MAX {
                break;
            }
        }
        let (found, require) = (signed.len(), self.require);
        if found >= require {
            return Ok(());
        }
        Err(Untrusted {
            found,
            require,
            problems,
        })
    }

    /// Which of the keys made the signature.
    fn judge(
        &self,
        text: &str,
        written: &str,
        signed: &[(usize, usize)],
        number: usize,
    ) -> Result<usize, SignatureProblem> {
        if number > SIGNATURES_MAX {
            return Err(SignatureProblem::TooMany);
        }
        if written.len() > SIGNATURE_BYTES_MAX {
            return Err(SignatureProblem::Unreadable);
        }
        let signature = Signature::decode(written).map_err(|_| SignatureProblem::Unreadable)?;
        let id = key_id(written).ok_or(SignatureProblem::Unreadable)?;
        let mut problem = SignatureProblem::UnknownKey(id);
        for (key, public) in self.keys.iter().enumerate() {
            match public.verify(text.as_bytes(), &signature, false) {
                Ok(()) => {
                    let before = signed.iter().find(|(other, _)| *other == key);
                    return match before {
                        Some((_, before)) => Err(SignatureProblem::SameKey(id, *before)),
                        None => Ok(key),
                    };
                }
                Err(Error::UnexpectedKeyId) => {}
                Err(Error::UnexpectedAlgorithm) => problem = SignatureProblem::Legacy,
                Err(_) => problem = SignatureProblem::Wrong(id),
            }
        }
        Err(problem)
    }
}

/// The key that a signature says it is of: bytes 2 to 9 of its second line.
fn key_id(signature: &str) -> Option<KeyId> {
    let bytes = STANDARD.decode(signature.lines().nth(1)?).ok()?;
    bytes.get(2..10)?.try_into().ok().map(KeyId)
}

impl std::error::Error for Untrusted {}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            found,
            require,
            problems,
        } = self;
        write!(
            f,
            "{found} of the {require} keys that this host requires have signed the manifest"
        )?;
        for (number, problem) in problems {
            write!(f, "; signature {number} {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
