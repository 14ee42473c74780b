//! What is seen of a task and of a host, by whoever reads the nodes of both: for operators' commands and for the page of a host.
//! What is in the texts, anybody may have written.

use serde::Serialize;

use crate::digest::Digest;
use crate::placement::Label;
use crate::records::{DrainProgress, HostRecord};

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leader {
    /// The host, or what a foreign program wrote into the master node.
    pub host: String,
    /// The number of the term; none for a foreign program.
    pub term: Option<u64>,
    /// The czxid of the master node.
    pub fencing_token: u64,
    /// Since when: RFC 3339, UTC, by the leader's clock; for a foreign program by the ensemble's.
    pub since: String,
    /// The generation that the term runs, if the task was deployed.
    pub generation: Option<u64>,
    /// The SHA-256 of the plugin that the term runs, if the leader says so.
    pub digest: Option<Digest>,
}

/// How the plugin of a task fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It runs, and has not failed in this term, or has run well since.
    Healthy,
    /// It runs, or is about to, and has failed before without having run well since.
    Failing,
    /// Nobody leads the task, because the plugin has failed for good in its latest terms.
    Failed,
    /// Nobody leads the task.
    Vacant,
    /// A program leads it that knows nothing of Soloist, and so tells nothing of its health.
    Foreign,
}

impl Health {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::Failed => "failed",
            Self::Vacant => "vacant",
            Self::Foreign => "foreign",
        }
    }
}

/// The last failure of a task's plugin that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// When: RFC 3339, UTC, by the host's clock.
    pub at: String,
    /// The host on which it failed.
    pub host: String,
    /// The number of the term in which it failed.
    pub term: u64,
    /// The fencing token of that term, where that is known.
    pub fencing_token: Option<u64>,
    /// The name of the [`Cause`](crate::cause::Cause).
    pub cause: String,
    /// What went wrong.
    pub detail: String,
}

/// One host, as it registered itself: what it wrote of itself is missing where that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    /// Its id.
    pub host: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// The version of Soloist it runs.
    pub version: Option<String>,
    /// When it started: RFC 3339, UTC, by its clock.
    pub started: Option<String>,
    /// How many tasks it leads. If all tasks were asked for, this is counted from their leaders. Each task was read at its own
    /// moment, so the count may exceed `max_active` while tasks are handed over. If some tasks were asked for, it is what the host
    /// wrote some seconds ago, or none if it wrote nothing.
    pub leads: Option<u32>,
    /// How many it leads at most, if it leads no more than a number.
    pub max_active: Option<u32>,
    /// Its labels.
    pub labels: Vec<Label>,
    /// Where it answers over HTTP, if it listens, as it says.
    pub listen: Option<String>,
    /// How long its lease lasts from a heartbeat, in milliseconds, as it says.
    #[serde(skip)]
    pub lease_ms: Option<u64>,
    /// How far it says it has come with an order to drain it.
    #[serde(skip)]
    pub drain: Option<DrainProgress>,
}

impl HostStatus {
    /// A host of this id, by what it has written of itself, if that can be read.
    pub fn told(host: String, record: Option<HostRecord>) -> Self {
        let load = record.as_ref().and_then(|record| record.placement.as_ref());
        Self {
            host,
            pid: record.as_ref().map(|record| record.pid),
            version: record.as_ref().map(|record| record.version.clone()),
            leads: load.map(|load| load.active),
            max_active: load.and_then(|load| load.max_active),
            labels: load.map(|load| load.labels.clone()).unwrap_or_default(),
            listen: record.as_ref().and_then(|record| record.listen.clone()),
            lease_ms: record.as_ref().and_then(|record| record.lease_ms),
            drain: record.as_ref().and_then(|record| record.drain),
            started: record.map(|record| record.started),
        }
    }
}
