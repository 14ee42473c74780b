//! How often the leader of a term has restarted its plugin.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::bounded;
use crate::cause::Cause;
use crate::term::Term;

/// What a leader says of its plugin when that has failed in the term and is to run again. It stands until the plugin of the same
/// term or of a later one fails again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartsRecord {
    /// The number of the term.
    pub term: u64,
    /// The fencing token of the term. A record with another token than that of the leader is about a term that has ended.
    pub fencing_token: u64,
    /// The generation that the term runs, if the task was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The host that leads the term.
    pub host: String,
    /// How often the plugin has failed in the term and was to run again.
    pub restarts: u32,
    /// When it failed last: RFC 3339, UTC, as all times here by that host's clock.
    pub at: String,
    /// The name of the [`Cause`](crate::cause::Cause).
    pub cause: String,
    /// What went wrong, for people to read.
    pub detail: String,
    /// When it runs again.
    pub runs_at: String,
    /// When that run counts as healthy, if it does not fail before.
    pub healthy_at: String,
}

impl RestartsRecord {
    /// The record of a term whose plugin has failed `now`, for the number of times `restarts`. It runs again after `pause`, and is
    /// healthy when it has run for `healthy_after`.
    pub fn new(
        term: &Term,
        (restarts, cause): (u32, &Cause),
        now: SystemTime,
        pause: Duration,
        healthy_after: Duration,
    ) -> Self {
        // No host waits longer than humantime can write a time.
        let shown = |after: Duration| {
            let time = now.checked_add(after.min(LONGEST)).unwrap_or(now);
            humantime::format_rfc3339_millis(time).to_string()
        };
        Self {
            term: term.number,
            fencing_token: term.fencing_token.0,
            generation: None,
            host: term.host.to_string(),
            restarts,
            at: shown(Duration::ZERO),
            cause: cause.name().to_owned(),
            detail: bounded(&cause.to_string()),
            runs_at: shown(pause),
            healthy_at: shown(pause.saturating_add(healthy_after)),
        }
    }

    /// The record of a term that runs this generation.
    #[must_use]
    pub fn in_generation(self, generation: Option<u64>) -> Self {
        Self { generation, ..self }
    }

    /// When the run after the last failure counts as healthy, if that is after `now`: until then the plugin is failing. A time that
    /// cannot be read has passed.
    pub fn healthy_after(&self, now: SystemTime) -> Option<SystemTime> {
        let at = humantime::parse_rfc3339(&self.healthy_at).ok()?;
        Some(at).filter(|at| *at > now)
    }
}

/// A hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;
    use crate::term::FencingToken;

    fn term() -> Term {
        Term {
            number: 3,
            fencing_token: FencingToken(77),
            task: "report".into(),
            host: "a".into(),
            record_version: 5,
        }
    }

    #[test]
    fn a_plugin_is_failing_until_its_run_has_lasted_long_enough() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let cause = Cause::Returned("é".repeat(1_000));
        let minute = Duration::from_secs(60);
        let record = RestartsRecord::new(&term(), (4, &cause), now, minute, minute);
        assert_eq!(decode(&encode(&record)), Some(record.clone()));
        assert_eq!((record.restarts, &*record.cause), (4, "error"));
        assert!(record.detail.chars().count() <= super::super::DETAIL_MAX_CHARS);
        assert_eq!(record.healthy_after(now), Some(now + 2 * minute));
        assert_eq!(record.healthy_after(now + 2 * minute), None);
        let endless = RestartsRecord::new(&term(), (1, &cause), now, Duration::MAX, minute);
        assert!(endless.healthy_after(now).is_some());
        let garbled = RestartsRecord {
            healthy_at: "soon".into(),
            ..record
        };
        assert_eq!(garbled.healthy_after(now), None);
    }
}
