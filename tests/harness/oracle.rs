//! Judges a history.
//!
//! A host is *active* for a task from `activated` to `demoted` or `revoked`, or to its death. A host whose lease is over
//! can have no effect any more, whenever it gets to say so: when it was paused, or its machine kept it waiting. So one
//! whose plugin was stopped by force counts as active up to the pause, or to the end of its lease, and is held to that:
//! a line of its plugin after it counts as an effect.

mod judge;
#[cfg(test)]
mod tests;
mod verdict;

pub use verdict::{Activity, Verdict, Violation};

use crate::history::History;

/// Judges all that has happened; hosts may still be running and active.
pub fn judge(history: &History) -> Verdict {
    judge::judge_records(&history.in_order())
}

/// Judges all that has happened, now that every host has ended: nothing may still be active.
pub fn judge_ended(history: &History) -> Verdict {
    let mut verdict = judge(history);
    let open = verdict
        .activities
        .iter()
        .filter(|activity| activity.to.is_none());
    let open: Vec<Violation> = open
        .map(|activity| Violation::NeverEnded(Box::new(activity.clone())))
        .collect();
    verdict.violations.extend(open);
    verdict
}
