//! What an operator sees.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use soloist_core::digest::Digest;
use soloist_core::records::{FailedRecord, Readiness, TermEntry};
use soloist_core::status::{Health, HostStatus, LastFailure, Leader};

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

/// Has hosts lead as many tasks as are led by them. What a host writes of itself is some seconds old.
pub(super) fn count_terms(hosts: &mut [HostStatus], tasks: &[TaskStatus]) {
    let mut led = BTreeMap::<&str, u32>::new();
    let leaders = tasks.iter().filter_map(|task| task.leader.as_ref());
    // What foreign programs call themselves may be the id of a host.
    for leader in leaders.filter(|leader| leader.term.is_some()) {
        *led.entry(&leader.host).or_default() += 1;
    }
    for host in hosts {
        host.leads = Some(led.get(&*host.host).copied().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(by: &str, term: Option<u64>) -> TaskStatus {
        TaskStatus {
            task: "report".to_owned(),
            state: TaskHealth::Led,
            health: Health::Healthy,
            restarts: None,
            last_failure: None,
            healthy_at: None,
            failure: None,
            leader: Some(Leader {
                host: by.to_owned(),
                term,
                fencing_token: 7,
                since: "2026-01-01T00:00:00Z".to_owned(),
                generation: None,
                digest: None,
            }),
            standbys: Vec::new(),
            hosts: Vec::new(),
        }
    }

    #[test]
    fn the_terms_of_hosts_are_counted_and_what_foreign_programs_lead_is_not() {
        let mut hosts = ["a", "b"].map(|host| HostStatus::told(host.to_owned(), None));
        let tasks = [led("a", Some(1)), led("a", Some(2)), led("b", None)];
        count_terms(&mut hosts, &tasks);
        assert_eq!(hosts.map(|host| host.leads), [Some(2), Some(0)]);
    }
}
