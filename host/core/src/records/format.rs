//! Records that say which version of the format they have.

use serde::Deserialize;

/// A record that this host can neither read nor write over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No host wrote it so.
    #[error("it is no {what}: {remedy}")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// It is longer than any that a host reads.
    #[error("it has {bytes} bytes, and a {what} has {max} at most: make it shorter")]
    TooLong {
        /// What it should be.
        what: &'static str,
        /// How long it is, in bytes.
        bytes: usize,
        /// How long it may be, in bytes.
        max: usize,
    },
    /// A newer host or operator wrote it.
    #[error(
        "it is a {what} of version {found}, and this host knows version {known}: update this host"
    )]
    Version {
        /// What it is.
        what: &'static str,
        /// The version that the record says.
        found: u32,
        /// The only version that this host reads and writes.
        known: u32,
    },
}

/// A kind of record: what it is, and what its readers hold it to.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) what: &'static str,
    pub(super) remedy: &'static str,
    pub(super) version: u32,
    pub(super) max_bytes: usize,
}

impl Format {
    /// Decodes a record of this kind. The version is read first, because a newer record may have any shape.
    pub(super) fn decode<'a, R: Deserialize<'a>>(&self, data: &'a [u8]) -> Result<R, FormatError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        self.check_length(data.len())?;
        let read: Option<Version> = serde_json::from_slice(data).ok();
        match read.ok_or(self.unreadable())?.version {
            found if found == self.version => {
                serde_json::from_slice(data).map_err(|_| self.unreadable())
            }
            found => Err(FormatError::Version {
                what: self.what,
                found,
                known: self.version,
            }),
        }
    }

    pub(super) fn check_length(&self, bytes: usize) -> Result<(), FormatError> {
        if bytes > self.max_bytes {
            return Err(FormatError::TooLong {
                what: self.what,
                bytes,
                max: self.max_bytes,
            });
        }
        Ok(())
    }

    pub(super) const fn unreadable(&self) -> FormatError {
        FormatError::Unreadable {
            what: self.what,
            remedy: self.remedy,
        }
    }
}
