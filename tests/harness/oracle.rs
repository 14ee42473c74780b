//! Judges a history.
//!
//! A host is *active* for a task from `activated` to `demoted` or `revoked`, or to its death. A host has no effect after
//! the end of its lease, but it may say so late, because it was paused or its machine kept it waiting. So a host that
//! stopped its plugin by force counts as active up to the pause, or to the end of its lease. If the plugin wrote a line
//! after that, the host counts as active up to its event `revoked`.

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
