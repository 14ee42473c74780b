//! Terms of leadership: pure values, no IO.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A number that grows with every election for as long as the ensemble lives (the czxid of the master node).
///
/// Whoever receives effects of a task can refuse any that carry a smaller token than one already seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One tenure of leadership of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Counts the tenures of this task, from 1; never reused while the task's nodes live.
    pub number: u64,
    /// The token that fences the effects of this term.
    pub fencing_token: FencingToken,
    /// The task's name.
    pub task: Arc<str>,
    /// The id of the host that leads.
    pub host: Arc<str>,
    /// The data version of the task's `term` node in this term: what a fenced write checks.
    pub record_version: i32,
}

/// Why a term ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demotion {
    /// The plugin or an operator asked for it.
    Resigned,
    /// This host is shutting down, or its configuration has changed for the task.
    Shutdown,
    /// The lease could not be renewed in time.
    LeaseExpiring,
    /// The master node, the candidate or the term record is gone though the session lives: somebody else deleted it.
    NodeLost,
    /// The master node now belongs to somebody else.
    Replaced,
}

impl Demotion {
    /// Every reason, in the order of the plugin contract.
    pub const ALL: [Self; 5] = [
        Self::Resigned,
        Self::Shutdown,
        Self::LeaseExpiring,
        Self::NodeLost,
        Self::Replaced,
    ];

    /// The name used in events, in the history and in the plugin contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resigned => "resigned",
            Self::Shutdown => "shutdown",
            Self::LeaseExpiring => "lease-expiring",
            Self::NodeLost => "node-lost",
            Self::Replaced => "replaced",
        }
    }
}

impl Serialize for Demotion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Demotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_reasons_are_written_as_events_and_records_have_them() {
        assert_eq!(FencingToken(4_294_967_301).to_string(), "4294967301");
        let names = [
            "resigned",
            "shutdown",
            "lease-expiring",
            "node-lost",
            "replaced",
        ];
        assert_eq!(Demotion::ALL.map(|reason| reason.to_string()), names);
    }
}
