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
    #[error("not fetched within {after:?}")]
    Late { after: Duration },
    #[error("nothing here fetches from the ensemble: only what is deployed comes from there")]
    Ensemble,
    #[error("fetching cannot be started")]
    Runtime(#[source] io::Error),
}

impl FetchError {
    /// Whether another attempt may go better.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Http(error) if error.is_passing())
    }
}
