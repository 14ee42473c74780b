//! What an operator sees.

use serde::Serialize;

use soloist_core::placement::Label;
use soloist_core::records::{DrainProgress, FailedRecord, TermEntry};

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
    /// How it has failed, if it has and no later term has run healthy.
    pub failure: Option<FailedRecord>,
    /// Who leads, if anybody does.
    pub leader: Option<Leader>,
    /// The hosts that stand by, in the order in which they will lead.
    pub standbys: Vec<String>,
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
    /// How far it says it has come with an order to drain it.
    #[serde(skip)]
    pub drain: Option<DrainProgress>,
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
    /// The task asked for, or all that anybody ever stood for, sorted.
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
