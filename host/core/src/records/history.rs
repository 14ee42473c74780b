//! The terms of a task that have ended.

use serde::{Deserialize, Serialize};

use super::terms::End;
use super::{NUMBER_MAX, TermEntry, decode};

/// How many terms a history keeps.
pub const PAST_TERMS_MAX: usize = 20;

/// The terms of a task that have ended, the latest first; at most [`PAST_TERMS_MAX`]. A leader adds its term when it ends it.
/// If it never did, the next leader adds that term as lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(pub Vec<TermEntry>);

impl History {
    /// Reads a history. Bytes that are no history read as an empty one.
    pub fn read(data: &[u8]) -> Self {
        let mut history: Self = decode(data).unwrap_or_default();
        history.0.truncate(PAST_TERMS_MAX);
        history
    }

    /// The history with one more term, in the order of the fencing tokens.
    #[must_use]
    pub fn with(mut self, term: TermEntry) -> Self {
        let place = self
            .0
            .iter()
            .take_while(|later| later.fencing_token > term.fencing_token)
            .count();
        self.0.insert(place, term);
        self.0.truncate(PAST_TERMS_MAX);
        self
    }

    /// The highest fencing token of a term in the history.
    pub fn latest(&self) -> Option<u64> {
        self.0.iter().filter_map(|term| term.fencing_token).max()
    }

    /// Whether the history has the term with this fencing token.
    pub fn has(&self, token: u64) -> bool {
        self.0.iter().any(|term| term.fencing_token == Some(token))
    }

    /// Whether the leader of the term with this fencing token has itself written how the term ended.
    pub fn has_end_of(&self, token: u64) -> bool {
        let said = |term: &TermEntry| term.end.as_ref().is_some_and(|end| end.reason != End::LOST);
        self.0
            .iter()
            .any(|term| term.fencing_token == Some(token) && said(term))
    }

    /// The highest number of a term in the history; 0 if it is empty.
    pub fn highest(&self) -> u64 {
        self.0
            .iter()
            .map(|term| term.number)
            .filter(|number| *number <= NUMBER_MAX)
            .max()
            .unwrap_or(0)
    }
}
