//! Why an artefact is not there.

mod oci;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use soloist_core::digest::Digest;

pub use self::oci::OciError;
use crate::cache::CacheError;
use crate::http::HttpError;

/// Why an artefact is not there.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Oci(#[from] OciError),
    #[error("{path} cannot be read", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is not a file", path = path.display())]
    NoFile { path: PathBuf },
    #[error("it has more than {max} bytes")]
    TooLarge { max: u64 },
    #[error(
        "it is not the artefact that was asked for: its SHA-256 is {found}, and not {wanted}. Nothing of it was used"
    )]
    Mismatch { found: Digest, wanted: Digest },
    #[error("no SHA-256 says which artefact is meant: set `sha256`")]
    NoDigest,
    #[error("not done within {after:?}")]
    Late { after: Duration },
    #[error("not begun within {after:?}: others were being fetched all that time")]
    Busy { after: Duration },
    #[error("nothing here fetches from the ensemble: only what is deployed comes from there")]
    Ensemble,
    #[error("the thread that fetches cannot be started, or has failed")]
    Thread(#[source] io::Error),
}

impl FetchError {
    /// Whether a later call may go better though nobody has changed what is asked for. Otherwise something has to be mended:
    /// the source, its digest, the credentials, or this machine.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Cache(error) => error.is_transient(),
            Self::Oci(error) => error.is_transient(),
            Self::Late { .. } | Self::Busy { .. } | Self::Thread(_) => true,
            error => error.is_passing(),
        }
    }

    /// Whether another attempt may go better at once.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Http(error) => error.is_passing(),
            // A directory of another machine may come back.
            Self::File { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::InvalidFilename
            ),
            _ => false,
        }
    }
}
