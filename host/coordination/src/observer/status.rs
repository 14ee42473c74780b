//! What an operator sees.

use std::time::SystemTime;

use serde::Serialize;

use soloist_core::digest::Digest;
use soloist_core::placement::Label;
use soloist_core::records::{DrainProgress, FailedRecord, HostRecord, Readiness, TermEntry};

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// The name of the [`Cause`](soloist_core::cause::Cause).
    pub cause: String,
    /// What went wrong.
    pub detail: String,
}

/// What one host has of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskHost {
    /// The host.
    pub host: String,
    /// The generation that it speaks of: the one that is wanted, or else the current one. None if the task was not deployed.
    pub generation: Option<u64>,
    /// The SHA-256 of the manifest of that generation, if the record of the rollout names it.
    pub sha256: Option<Digest>,
    /// The SHA-256 of the plugin that it runs or would run, if it stands by its own configuration.
    pub digest: Option<Digest>,
    /// How far it has come with the generation.
    #[serde(flatten)]
    pub readiness: Option<Readiness>,
}

/// How a task fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskHealth {
    /// Somebody leads it.
    Led,
    /// Nobody leads it.
    Vacant,
    /// The latest terms have ended because the plugin failed for good. Somebody may lead it and try again.
    Failed,
}

/// One task, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskStatus {
    /// The task.
    pub task: String,
    /// How it fares.
    pub state: TaskHealth,
    /// How its plugin fares.
    pub health: Health,
    /// How often the plugin was restarted after failures in the present term, or else in the latest one, as far as is known. None
    /// where a foreign program leads.
    pub restarts: Option<u32>,
    /// How the plugin failed last, in whatever term.
    pub last_failure: Option<LastFailure>,
    /// When the plugin counts as healthy, if it does not fail before.
    #[serde(skip)]
    pub healthy_at: Option<SystemTime>,
    /// How it has failed, if it has and no later term has run healthy.
    pub failure: Option<FailedRecord>,
    /// Who leads, if anybody does.
    pub leader: Option<Leader>,
    /// The hosts that stand by, in the order in which they will lead.
    pub standbys: Vec<String>,
    /// What each host has of it: of a task that was deployed as they say so, by name; of another one as they stand in the queue.
    pub hosts: Vec<TaskHost>,
}

/// One host, as it registered itself: what it wrote of itself is missing where that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    /// Its id.
    pub host: String,
    /// Its process id.
    pub pid: Option<u32>,
    /// The version of Soloist it runs.
    pub version: Option<String>,
    /// When it started: RFC 3339, UTC, by its clock.
    pub started: Option<String>,
    /// How many tasks it leads; none where it does not say.
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
    pub(super) fn told(host: String, record: Option<HostRecord>) -> Self {
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

/// A host for which there is an order to drain it. It need not be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrainedHost {
    /// Its id.
    pub host: String,
    /// How far the host has come.
    pub state: DrainState,
    /// Whether it keeps the terms that it has.
    pub keep: bool,
    /// Who has drained it; none, as all that follows, if the order cannot be read.
    pub by: Option<String>,
    /// Since when: RFC 3339, UTC, by the operator's clock.
    pub at: Option<String>,
    /// Why, if the operator gave a reason.
    pub reason: Option<String>,
}

/// How far a host has come with the order to drain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DrainState {
    /// It does not run.
    Absent,
    /// It has not said that it has heard the order.
    Ordered,
    /// It hands its tasks over, or keeps what it leads.
    Draining,
    /// It leads nothing and stands for nothing.
    Empty,
}

/// Tasks and hosts, as they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The tasks asked for, sorted.
    pub tasks: Vec<TaskStatus>,
    /// The hosts that are there, sorted.
    pub hosts: Vec<HostStatus>,
    /// The hosts that are drained, whether they are there or not, sorted.
    pub drained: Vec<DrainedHost>,
}

/// What became of an order to resign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The term that has ended, if the history has it.
    pub ended: Option<TermEntry>,
    /// Who leads now.
    pub leader: Leader,
}
