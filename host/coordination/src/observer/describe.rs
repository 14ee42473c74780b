//! Everything that the ensemble knows of one task.

use serde::Serialize;

use super::rollout::HostReadiness;
use super::state::StateKey;
use super::{Observer, ObserverError, TaskStatus};
use crate::error::NodeError;
use soloist_core::digest::Digest;
use soloist_core::records::{
    self, CandidateRecord, Completion, ResignOrder, RolloutRecord, TaskPaths, TermEntry, TermRecord,
};
use soloist_core::schedule::{Record, Time};
use soloist_core::status::HostStatus;

/// How many slots of a schedule are told that come next.
const SLOTS_TOLD: usize = 3;

/// Everything that is known of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// Who leads, how the plugin fares, who stands by.
    #[serde(flatten)]
    pub status: TaskStatus,
    /// The path of the master node.
    pub master: String,
    /// The number of the latest term.
    pub latest_term: u64,
    /// The session of the leader.
    pub session: Option<LeaderSession>,
    /// An order to resign that the leader has not followed yet, or that was left behind.
    pub order: Option<ResignOrder>,
    /// All that stand, the leader among them, in the order of the queue.
    pub queue: Vec<Place>,
    /// The rollout, if the task was deployed.
    pub rollout: Option<Rollout>,
    /// The schedules of the plugin.
    pub schedules: Vec<Schedule>,
    /// What the plugin keeps.
    pub state: StateSize,
    /// The copy of that as it was before a generation on probation.
    pub saved_state: StateSize,
    /// What has been done once.
    pub completed: Vec<Completion>,
    /// The latest terms, the latest first.
    pub terms: Vec<TermEntry>,
}

/// A leader's session, as the ensemble knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaderSession {
    /// Its id, in hexadecimal.
    pub id: String,
    /// When the leader's host has renewed its lease last: RFC 3339, UTC, by the ensemble's clock. None if it has no node.
    pub heartbeat_at: Option<String>,
    /// The host, as it registered itself.
    pub host: Option<HostStatus>,
}

/// A place in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The host.
    pub host: String,
    /// Its session, in hexadecimal.
    pub session: String,
    /// The number of its candidate: candidates lead in this order.
    pub sequence: u64,
    /// Since when it stands: RFC 3339, UTC, by the ensemble's clock.
    pub since: String,
    /// The priority that the task has on the host.
    pub priority: i32,
    /// The SHA-256 of the plugin that the host would run, if it stands by its own configuration.
    pub digest: Option<Digest>,
    /// Whether it leads.
    pub leads: bool,
}

/// The rollout of a deployed task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rollout {
    /// The record. None if it cannot be read.
    pub record: Option<RolloutRecord>,
    /// Why not.
    pub problem: Option<String>,
    /// The numbers of the generations that are kept, the newest first.
    pub generations: Vec<u64>,
    /// What each host says.
    pub readiness: Vec<HostReadiness>,
}

/// A schedule of the plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// The rule that its slots come from. None if the record cannot be read.
    pub rule: Option<String>,
    /// The slot that was claimed last: RFC 3339, UTC.
    pub slot: Option<String>,
    /// How often that was claimed.
    pub attempt: Option<u32>,
    /// Whether it was completed.
    pub done: Option<bool>,
    /// How many slots were missed since, at least.
    pub missed: Option<u32>,
    /// The next slots, without the jitter: RFC 3339, UTC.
    pub next: Vec<String>,
    /// Why the record cannot be read.
    pub problem: Option<String>,
}

/// How much is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateSize {
    /// How many keys.
    pub keys: usize,
    /// How many bytes the values have together.
    pub bytes: u64,
    /// The entry with the largest value.
    pub largest: Option<StateKey>,
}

impl Observer {
    /// Everything that is known of a task. What is read is not of one instant.
    ///
    /// # Errors
    /// [`ObserverError::NoTask`], [`ObserverError::Node`].
    pub async fn describe(&self, task: &str, now: Time) -> Result<Description, ObserverError> {
        self.catch_up().await?;
        let latest = self.existing(task).await?.record;
        let paths = TaskPaths::new(&self.root, task, latest.path.as_deref());
        let mut status = self.task(task).await?;
        let rollout = self.rollout_of(task).await?;
        if rollout.is_some() {
            status.hosts = self.hosts_of(task).await?;
        }
        let owner = self.data(&paths.master).await?;
        let owner = owner.map(|(_, stat)| stat.ephemeral_owner);
        let owner = owner.filter(|owner| records::is_session(*owner));
        let order = self.data(&paths.resign).await?;
        let saved = |kind| format!("{}/{kind}", paths.saved);
        let TermRecord {
            term, completed, ..
        } = latest;
        Ok(Description {
            latest_term: term.number,
            session: match (owner, &status.leader) {
                (Some(owner), Some(leader)) => Some(self.session_of(owner, &leader.host).await?),
                _ => None,
            },
            order: order.and_then(|(data, _)| records::decode(&data)),
            queue: self.places(&paths, owner).await?,
            rollout,
            schedules: self.schedules(&paths, now).await?,
            state: StateSize::of(self.entries(&paths.state, "").await?),
            saved_state: StateSize::of(self.entries(&saved("state"), "").await?),
            completed,
            terms: self.history(task).await?,
            master: paths.master,
            status,
        })
    }

    async fn rollout_of(&self, task: &str) -> Result<Option<Rollout>, ObserverError> {
        let (record, problem) = match self.record(task).await {
            Ok(None) => return Ok(None),
            Ok(Some(read)) => (Some(read.record), None),
            Err(ObserverError::Unreadable(error)) => (None, Some(error.to_string())),
            Err(error) => return Err(error),
        };
        Ok(Some(Rollout {
            record,
            problem,
            generations: self.generations(task).await?,
            readiness: self.readiness(task).await?,
        }))
    }

    /// The session that leads. A host has more than one if it has many tasks, each with a node of its own.
    async fn session_of(&self, owner: i64, host: &str) -> Result<LeaderSession, NodeError> {
        let mut nodes = vec![records::host_path(&self.root, host)];
        let shards = self.children(&records::shards_path(&self.root)).await?;
        let numbers = shards.iter().filter_map(|number| number.parse().ok());
        nodes.extend(numbers.map(|number| records::shard_path(&self.root, number, host)));
        let mut heartbeat_at = None;
        for node in nodes {
            if let Some((_, stat)) = self.data(&node).await?
                && stat.ephemeral_owner == owner
            {
                heartbeat_at = Some(records::rfc3339(stat.mtime));
                break;
            }
        }
        let hosts = self.hosts().await?;
        Ok(LeaderSession {
            id: format!("{owner:#x}"),
            heartbeat_at,
            host: hosts.into_iter().find(|it| it.host == host),
        })
    }

    async fn places(&self, paths: &TaskPaths, owner: Option<i64>) -> Result<Vec<Place>, NodeError> {
        let mut places = Vec::new();
        for candidate in records::queue(self.children(&paths.candidates).await?) {
            let path = format!("{}/{}", paths.candidates, candidate.name);
            let read = self.data(&path).await?;
            let read = read.filter(|(_, stat)| candidate.is_held_by(stat.ephemeral_owner));
            let Some((data, stat)) = read else { continue };
            let told: CandidateRecord = records::decode(&data).unwrap_or_default();
            places.push(Place {
                leads: Some(candidate.session) == owner,
                host: candidate.host,
                session: format!("{:#x}", candidate.session),
                sequence: candidate.sequence,
                since: records::rfc3339(stat.ctime),
                priority: told.priority,
                digest: told.digest,
            });
        }
        Ok(places)
    }

    async fn schedules(&self, paths: &TaskPaths, now: Time) -> Result<Vec<Schedule>, NodeError> {
        let mut schedules = Vec::new();
        for name in self.children(&paths.schedules).await? {
            let path = format!("{}/{name}", paths.schedules);
            if let Some((data, _)) = self.data(&path).await? {
                schedules.push(Schedule::of(name, &data, now));
            }
        }
        Ok(schedules)
    }
}

impl Schedule {
    /// What a record tells at `now`. Anybody may have written it.
    fn of(name: String, data: &[u8], now: Time) -> Self {
        let nothing = Self {
            name,
            rule: None,
            slot: None,
            attempt: None,
            done: None,
            missed: None,
            next: Vec::new(),
            problem: None,
        };
        let record = match Record::decode(data) {
            Ok(record) => record,
            Err(error) => {
                let problem = Some(error.to_string());
                return Self { problem, ..nothing };
            }
        };
        let slot = record.slot();
        let next = record.slots_after(now.max(record.after()), SLOTS_TOLD);
        let next = next.unwrap_or_default().into_iter();
        Self {
            rule: Some(record.rule().to_owned()),
            slot: slot.map(|slot| slot.at.to_string()),
            attempt: slot.map(|slot| slot.attempt),
            done: slot.map(|slot| slot.is_done()),
            missed: Some(record.missed()),
            next: next.map(|time| time.to_string()).collect(),
            ..nothing
        }
    }
}

impl StateSize {
    fn of(entries: Vec<StateKey>) -> Self {
        Self {
            keys: entries.len(),
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            largest: entries.into_iter().max_by_key(|entry| entry.bytes),
        }
    }
}
