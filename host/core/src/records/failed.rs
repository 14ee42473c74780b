//! The mark on a task whose plugin fails for good.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Changed, bounded, is_about};
use crate::restart::PluginFailed;
use crate::term::Term;

/// Marks a task whose plugin has failed for good in each of its latest terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRecord {
    /// How many terms in a row have failed.
    pub terms: u32,
    /// The number of the last of these terms.
    pub term: u64,
    /// The fencing token of that term. Hosts of an earlier version did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// The generation that those terms ran, if the task was deployed. It says nothing about another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The host that led that term.
    pub host: String,
    /// When the plugin failed: RFC 3339, UTC, by that host's clock.
    pub at: String,
    /// The name of the [`Cause`](crate::cause::Cause).
    pub cause: String,
    /// What went wrong, for people to read.
    pub detail: String,
    /// How often that host had restarted the plugin in the last of these terms. Hosts of an earlier version did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// When a host on which the plugin has failed stands again, and no such host does before: RFC 3339, UTC. The host may
    /// have ended by then.
    #[serde(default)]
    pub retry_at: Option<String>,
    /// The latest order of an operator to the hosts that rest after failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<RetryOrder>,
}

/// An operator's order to all hosts that rest because the plugin has failed for good: stand again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryOrder {
    /// The transaction that had written the mark when the order was given. The order is for the hosts whose terms began before: what
    /// fails later is not meant.
    pub zxid: u64,
    /// Who gave the order, when and why.
    #[serde(flatten)]
    pub given: Changed,
}

impl RetryOrder {
    /// Whether a host rests in vain that has failed in the term with this fencing token.
    pub fn is_for(&self, token: u64) -> bool {
        token < self.zxid
    }

    /// The order as it may be shown: anybody may have written the texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let Changed { by, at, reason } = &self.given;
        let given = Changed::new(by, at).because(reason.as_deref());
        Self { given, ..self }
    }
}

impl FailedRecord {
    /// The mark after one more term has failed, `now`. `retry_at` takes the number of failed terms in a row, and gives the time
    /// at which this host stands again.
    pub fn after(
        before: Option<Self>,
        term: &Term,
        failed: &PluginFailed,
        now: SystemTime,
        retry_at: impl FnOnce(u32) -> Option<SystemTime>,
    ) -> Self {
        let retried = before.as_ref().and_then(|before| before.retried.clone());
        // What was retried begins anew.
        let before = before.filter(|before| !before.is_retried());
        let (terms, others) =
            before.map_or((0, None), |before| (before.terms, before.retry_after(now)));
        let terms = terms.saturating_add(1);
        let retry_at = retry_at(terms).into_iter().chain(others).min();
        let shown = |time| humantime::format_rfc3339_millis(time).to_string();
        Self {
            terms,
            term: term.number,
            fencing_token: Some(term.fencing_token.0),
            generation: None,
            host: term.host.to_string(),
            at: shown(now),
            cause: failed.cause.name().to_owned(),
            detail: bounded(&failed.cause.to_string()),
            restarts: Some(failed.restarts),
            retry_at: retry_at.map(shown),
            retried,
        }
    }

    /// The mark with an operator's order to try again. `zxid` is the transaction that has last written the mark.
    #[must_use]
    pub fn retried(self, zxid: u64, given: Changed) -> Self {
        Self {
            retry_at: None,
            retried: Some(RetryOrder { zxid, given }),
            ..self
        }
    }

    /// Whether an operator has ordered to try again since the last failure.
    pub fn is_retried(&self) -> bool {
        let token = self.fencing_token.unwrap_or(0);
        self.retried.as_ref().is_some_and(|it| it.is_for(token))
    }

    /// The mark on terms that ran this generation.
    #[must_use]
    pub fn in_generation(self, generation: Option<u64>) -> Self {
        Self { generation, ..self }
    }

    /// Whether the mark is about this generation. Marks of another one neither count nor hold hosts back.
    pub fn is_about_generation(&self, generation: Option<u64>) -> bool {
        self.generation == generation
    }

    /// When a host stands again, if that is after `now`.
    pub fn retry_after(&self, now: SystemTime) -> Option<SystemTime> {
        let at = humantime::parse_rfc3339(self.retry_at.as_deref()?).ok()?;
        Some(at).filter(|at| *at > now)
    }

    /// The mark as it reads at `now`: without a `retry_at` that has passed.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        let awaited = self.retry_after(now).is_some();
        Self {
            retry_at: self.retry_at.filter(|_| awaited),
            ..self
        }
    }

    /// Whether the term is the last one that has failed.
    pub fn is_of(&self, term: &Term) -> bool {
        is_about(self.fencing_token, self.term, term)
    }
}
