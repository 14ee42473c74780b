//! The order to a leader to resign.

use serde::{Deserialize, Serialize};

use super::is_about;
use crate::term::Term;

/// An operator's order to the leader of one term: give the term up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResignOrder {
    /// The number of the term that shall end. The leader of another term ignores the order.
    pub term: u64,
    /// The fencing token of that term. The command line of an earlier version did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// The host that shall lead next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The operator's reason, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ResignOrder {
    /// Whether this term is the one that shall end.
    pub fn is_for(&self, term: &Term) -> bool {
        is_about(self.fencing_token, self.term, term)
    }
}
