//! What every write of a term is checked against, within the same transaction.

use zookeeper_client::{Error, MultiWriteError, MultiWriter};

use soloist_core::records::TaskPaths;
use soloist_core::term::Term;

/// The checks that a write of one term begins with.
///
/// The version of the term record alone would not do: it comes again when nodes are deleted and made anew. The candidate of
/// the leader does not, because its name carries the session; and it goes with whatever is above it.
#[derive(Clone, Debug)]
pub struct Fence {
    record: String,
    record_version: i32,
    candidate: String,
}

impl Fence {
    /// How many operations the checks are.
    pub(super) const CHECKS: usize = 2;

    /// The fence of a term whose leader has the candidate of that name.
    pub fn new(paths: &TaskPaths, term: &Term, candidate: &str) -> Self {
        Self {
            record: paths.term.clone(),
            record_version: term.record_version,
            candidate: format!("{}/{candidate}", paths.candidates),
        }
    }

    /// Begins a transaction with the checks.
    pub(super) fn check(&self, multi: &mut MultiWriter<'_>) -> Result<(), Error> {
        multi.add_check_version(&self.record, self.record_version)?;
        multi.add_check_version(&self.candidate, -1)
    }

    /// Whether a transaction that began with the checks failed because the term is over.
    pub(super) fn has_refused(error: &MultiWriteError) -> bool {
        matches!(
            error,
            MultiWriteError::OperationFailed {
                index: ..Self::CHECKS,
                source: Error::BadVersion | Error::NoNode
            }
        )
    }
}
