//! What the oracle says: who was active when, and what must not have happened.

use std::fmt;
use std::time::{Duration, SystemTime};

/// One host's activity in one term of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The task.
    pub task: String,
    /// The host's id.
    pub host: String,
    /// The process that was active.
    pub pid: u32,
    /// The term.
    pub term: u64,
    /// The fencing token.
    pub fencing_token: u64,
    /// When the plugin was entered.
    pub from: SystemTime,
    /// From when on it could have no effect; `None` while it still can.
    pub to: Option<SystemTime>,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            task,
            host,
            term,
            fencing_token,
            ..
        } = self;
        write!(f, "{host} in term {term} of {task} (token {fencing_token})")
    }
}

/// Something that must never happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two hosts were active at once.
    Overlap {
        /// The one that was active first.
        earlier: Box<Activity>,
        /// The one that came too soon.
        later: Box<Activity>,
        /// For how long; `None` if the earlier one never ended.
        time: Option<Duration>,
    },
    /// A later activity has no larger token, or a term number was used again.
    TokenNotLarger {
        /// The one before.
        earlier: Box<Activity>,
        /// The one after.
        later: Box<Activity>,
    },
    /// A host was activated and never said it had stopped, though it lives or has ended in good order.
    NeverEnded(Box<Activity>),
    /// An event came when it could not be true: the reason, and the line.
    OutOfPlace(&'static str, String),
    /// A host wrote something on stdout that is no event.
    Unreadable(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap {
                earlier,
                later,
                time: Some(time),
            } => {
                write!(f, "two hosts active for {time:?}: {earlier}, and {later}")
            }
            Self::Overlap {
                earlier,
                later,
                time: None,
            } => {
                write!(
                    f,
                    "two hosts active: {earlier} had not stopped when {later} began"
                )
            }
            Self::TokenNotLarger { earlier, later } => {
                write!(f, "tokens do not grow: {earlier}, then {later}")
            }
            Self::NeverEnded(activity) => write!(f, "never said to have stopped: {activity}"),
            Self::OutOfPlace(reason, line) => write!(f, "{reason}: {line}"),
            Self::Unreadable(line) => write!(f, "no event: {line}"),
        }
    }
}

/// What the oracle has found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Every activity, in order.
    pub activities: Vec<Activity>,
    /// Everything that must not be; empty when all is well.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// How long two hosts were active at once for any task, all overlaps together.
    pub fn overlap(&self) -> Duration {
        let times = self.violations.iter().map(|violation| match violation {
            Violation::Overlap { time, .. } => time.unwrap_or(Duration::MAX),
            _ => Duration::ZERO,
        });
        times.fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Fails if anything happened that must not, and shows it.
    pub fn check(&self) -> anyhow::Result<()> {
        let list: Vec<String> = self
            .violations
            .iter()
            .map(|violation| format!("\n  {violation}"))
            .collect();
        anyhow::ensure!(list.is_empty(), "the oracle objects:{}", list.concat());
        Ok(())
    }
}
