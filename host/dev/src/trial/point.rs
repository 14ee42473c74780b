//! The point of a life at which a failover strikes.

use std::fmt;
use std::str::FromStr;

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strike {
    /// The host dies: another is elected when its session has timed out.
    Kill,
    /// The plugin is stopped by force, and another host is elected at once.
    Revoke,
    /// The host is stopped in good order: the plugin is demoted, and another host is elected.
    Demote,
}

/// A call of the plugin, and what happens there to its leader: written like `17:kill` or `17:demote-after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The call, counted from 1.
    pub(super) call: u64,
    pub(super) strike: Strike,
    /// Whether the call has been done, and its answer never arrives.
    pub(super) is_after: bool,
}

impl Point {
    const KINDS: [(&'static str, Strike, bool); 6] = [
        ("kill", Strike::Kill, false),
        ("kill-after", Strike::Kill, true),
        ("revoke", Strike::Revoke, false),
        ("revoke-after", Strike::Revoke, true),
        ("demote", Strike::Demote, false),
        ("demote-after", Strike::Demote, true),
    ];

    /// All there are at a call.
    pub(super) fn at(call: u64) -> impl Iterator<Item = Self> {
        Self::KINDS
            .into_iter()
            .map(move |(_, strike, is_after)| Self {
                call,
                strike,
                is_after,
            })
    }

    /// The call, counted from 1.
    pub fn call(self) -> u64 {
        self.call
    }

    fn kind(self) -> &'static str {
        let is_it = |(_, strike, is_after): &&(_, Strike, bool)| {
            *strike == self.strike && *is_after == self.is_after
        };
        Self::KINDS.iter().find(is_it).map_or("", |(name, ..)| name)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.call, self.kind())
    }
}

/// A text is no [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write CALL:KIND, like 17:kill, where KIND is kill, revoke or demote, or one of these with -after, like kill-after"
)]
pub struct BadPoint;

impl FromStr for Point {
    type Err = BadPoint;

    fn from_str(text: &str) -> Result<Self, BadPoint> {
        let (call, kind) = text.split_once(':').ok_or(BadPoint)?;
        let call: u64 = call.parse().map_err(|_| BadPoint)?;
        let found = Self::at(call).find(|point| point.kind() == kind);
        found.filter(|_| call > 0).ok_or(BadPoint)
    }
}
