//! What is seen of the ensemble. Whoever knows how to look makes these values; what is in their texts, anybody may have written.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use soloist_core::records::{RolloutRecord, TermEntry};
use soloist_core::schedule::{Record, Time};
use soloist_core::status::{Health, HostStatus, LastFailure, Leader};

/// How many slots of a schedule are told that come next.
const SLOTS_MAX: usize = 5;

/// How to begin to look.
#[async_trait(?Send)]
pub trait Look: Send {
    /// Connects to the ensemble.
    ///
    /// # Errors
    /// Why that is not possible, in words.
    async fn begin(&self) -> Result<Rc<dyn Sight>, String>;
}

/// What looks at the ensemble, with a session of its own.
#[async_trait(?Send)]
pub trait Sight {
    /// Whether the session has ended.
    fn is_lost(&self) -> bool;

    /// All tasks and hosts, at a glance.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    async fn glance(&self) -> Result<Glance, String>;

    /// One task, closely. None if nobody ever stood for it.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    async fn task(&self, task: &str) -> Result<Option<Detail>, String>;

    /// The terms of these tasks that have ended, the latest first.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    async fn terms(&self, tasks: &[String]) -> Result<Vec<Vec<TermEntry>>, String>;

    /// A value of a task's state.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    async fn value(&self, task: &str, key: &str) -> Result<Option<Vec<u8>>, String>;

    /// Carries an order out. Gives what was done, in words.
    ///
    /// # Errors
    /// Why it was not done, or why that is not known, in words.
    async fn order(&self, task: &str, order: &Order) -> Result<String, String>;

    /// Ends the session.
    async fn close(self: Rc<Self>);
}

/// What a task is to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase", deny_unknown_fields)]
pub enum Order {
    /// Its leader resigns.
    Resign {
        /// In favour of that host.
        to: Option<String>,
        /// Why.
        reason: Option<String>,
    },
    /// Nobody runs it until it is resumed.
    Pause {
        /// Why.
        reason: Option<String>,
    },
    /// It is run again.
    Resume {
        /// Why.
        reason: Option<String>,
    },
    /// The newest generation is taken back.
    Rollback {
        /// Why.
        reason: Option<String>,
    },
}

impl Order {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Resign { .. } => "resign",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Rollback { .. } => "rollback",
        }
    }
}

/// All tasks and hosts, at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The tasks, sorted by their names.
    pub tasks: Vec<Row>,
    /// The hosts, sorted by their ids.
    pub hosts: Vec<HostRow>,
    /// What changes in the ensemble with each heartbeat of a host, by its id.
    pub beats: BTreeMap<String, i64>,
    /// How long a lease of each host lasts from its last heartbeat, if the host says so.
    pub leases: BTreeMap<String, Duration>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub task: String,
    /// How its plugin fares.
    pub health: Health,
    /// Who leads it.
    pub leader: Option<Leader>,
    /// Who stands by, in the order in which they will lead.
    pub standbys: Vec<String>,
    /// How often the plugin was restarted in the latest term.
    pub restarts: Option<u32>,
    /// How the plugin failed last.
    pub failure: Option<LastFailure>,
    /// When a host tries again that has given up on it.
    pub retry_at: Option<String>,
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRow {
    /// What it says of itself. Of one that is not there, its id is all.
    pub status: HostStatus,
    /// How far it is with an order to drain it, if there is one.
    pub drained: Option<&'static str>,
    /// Whether it is there.
    pub there: bool,
}

/// A task, closely.
#[derive(Clone, Debug)]
pub struct Detail {
    /// How it stands.
    pub row: Row,
    /// What each host has of it.
    pub hosts: Vec<Readied>,
    /// Its terms that have ended, the latest first.
    pub ended: Vec<TermEntry>,
    /// The keys of its state, sorted.
    pub keys: Vec<String>,
    /// Its schedules.
    pub plans: Vec<PlanRow>,
    /// Its rollout, if it was deployed, or why that cannot be read.
    pub rollout: Option<Result<RolloutRecord, String>>,
    /// The numbers of the generations that are kept, the newest first.
    pub generations: Vec<u64>,
}

/// What a host has of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readied {
    /// The host.
    pub host: String,
    /// The generation that it speaks of.
    pub generation: Option<u64>,
    /// The SHA-256 of the plugin that it would run, if it stands by its own configuration.
    pub digest: Option<String>,
    /// How far it is with the generation.
    pub state: Option<&'static str>,
    /// Why it is not ready.
    pub reason: Option<String>,
}

/// A schedule.
#[derive(Clone, Debug)]
pub struct PlanRow {
    /// Its name.
    pub name: String,
    /// What is kept of it, or why that cannot be read.
    pub record: Result<Record, String>,
    /// Its next slots, when it was read. None if its rule cannot be understood.
    pub next: Option<Vec<Time>>,
}

impl PlanRow {
    /// What was read of a schedule at `now`. Anybody may have written its rule, so looking for slots may take long: that is done here,
    /// once for all who look, and not by what answers them.
    pub fn read(name: String, record: Result<Record, String>, now: Time) -> Self {
        let known = record.as_ref().ok();
        let next = known.and_then(|it| it.slots_after(now.max(it.after()), SLOTS_MAX));
        Self { name, record, next }
    }
}
