//! What can come between an operator and an answer.

use std::time::Duration;

use super::rollout::Unreadable;
use super::state::StateRefused;
use crate::artefacts::ArtefactError;
use crate::connect::IdentityError;
use crate::error::NodeError;
use soloist_core::records::{FailedRecord, FormatError};
use soloist_core::rollout::Refused;
use soloist_core::text::printable;

/// An operator's question could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ObserverError {
    /// No server let us in.
    #[error("cannot connect to {servers} within {within:?}: {obstacles}")]
    Connect {
        /// The servers.
        servers: String,
        /// How long it was tried.
        within: Duration,
        /// What is in the way, server by server.
        obstacles: String,
    },
    /// The ensemble does not take us for whom we say we are.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Only servers that cannot write are there: what they know may be long out of date.
    #[error("the ensemble at {servers} is read-only: a majority of its servers is missing")]
    ReadOnly {
        /// The servers.
        servers: String,
    },
    /// A node could not be read or written.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A node was written by nobody who is known here.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The order does not fit the rollout as it is.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The state of a task cannot be read or written so.
    #[error(transparent)]
    State(#[from] StateRefused),
    /// An artefact could not be kept or read.
    #[error(transparent)]
    Artefact(Box<ArtefactError>),
    /// The artefact was removed, or written again, before the transaction that relies on it.
    #[error("the artefact is gone from the ensemble since it was put there: deploy it again")]
    ArtefactGone,
    /// There is a generation of that number, which the record knows nothing of.
    #[error(
        "node {} is there already, with another generation: make the manifest anew, under a higher number",
        printable(path)
    )]
    NumberTaken {
        /// The node.
        path: String,
    },
    /// The node of a generation is not what was deployed.
    #[error(
        "node {} has another text than the one that was deployed: somebody has changed it. Deploy a new generation",
        printable(path)
    )]
    OtherText {
        /// The node.
        path: String,
    },
    /// The task was never deployed.
    #[error(
        "task {task} was never deployed (nothing is at {path}/{task}): `soloist tasks` lists those that were"
    )]
    NoRollout {
        /// The task asked for.
        task: String,
        /// Where the records are.
        path: String,
    },
    /// The generation is not kept.
    #[error(
        "task {task} has no generation {number}; these are kept: {}",
        numbers(there)
    )]
    NoGeneration {
        /// The task.
        task: String,
        /// The number asked for.
        number: u64,
        /// Those there are, the newest first.
        there: Vec<u64>,
    },
    /// Somebody stands for the task.
    #[error(
        "these stand for task {task}: {}. Stop them, or take the task out of their configuration",
        names(hosts)
    )]
    Standing {
        /// The task.
        task: String,
        /// Who stands, the leader among them.
        hosts: Vec<String>,
    },
    /// Nobody should run the task any more, and somebody does.
    #[error(
        "not within {within:?}: {} still stand for task {task}. The order stands",
        names(hosts)
    )]
    StillStanding {
        /// The task.
        task: String,
        /// Who stands.
        hosts: Vec<String>,
        /// How long it was waited for.
        within: Duration,
    },
    /// Nobody has ever stood for the task.
    #[error(
        "no task {task} below {path}{}: `soloist status` lists those there are",
        proposal(similar.as_deref())
    )]
    NoTask {
        /// The task asked for.
        task: String,
        /// Where tasks are.
        path: String,
        /// A task whose name is like it.
        similar: Option<String>,
    },
    /// No task has a name like that.
    #[error("no task below {path} matches {pattern}: `soloist status` lists those there are")]
    NoMatch {
        /// What was asked for.
        pattern: String,
        /// Where tasks are.
        path: String,
    },
    /// The host that shall be drained does not run.
    #[error(
        "no host {host} runs; these do: {}. To have the order stand for when it comes, add --absent",
        names(hosts)
    )]
    NoHost {
        /// The host.
        host: String,
        /// The hosts that run.
        hosts: Vec<String>,
    },
    /// There is no order to drain the host.
    #[error("host {host} is not drained; these are: {}", names(drained))]
    NotDrained {
        /// The host.
        host: String,
        /// The hosts that are drained.
        drained: Vec<String>,
    },
    /// What stands in the place of the order to drain a host is none that this program knows.
    #[error("{}: {source}", printable(path))]
    Order {
        /// The node.
        path: String,
        /// Why not.
        source: FormatError,
    },
    /// Somebody ended the drain before the host was empty.
    #[error("somebody has ended the drain of host {host}: it stands again")]
    Undrained {
        /// The host.
        host: String,
    },
    /// Nobody leads, so nobody can resign.
    #[error("nobody leads task {task}")]
    NoLeader {
        /// The task.
        task: String,
    },
    /// Somebody leads the task that is to be tried again.
    #[error(
        "{} leads task {task}: there is nothing to try again. To have its plugin started anew, use `soloist resign {task}`",
        printable(host)
    )]
    TriedAlready {
        /// The task.
        task: String,
        /// Who leads.
        host: String,
    },
    /// The task that is to be tried again has not failed.
    #[error(
        "task {task} has not failed for good, so no host rests for that: there is nothing to try again. Nobody leads it since term \
         {term}: `soloist status {task}` says who stands, `soloist history {task}` how that term has ended"
    )]
    NothingToRetry {
        /// The task.
        task: String,
        /// The number of its latest term.
        term: u64,
    },
    /// The leader has marked the task as failed, and does not give it back.
    #[error(
        "the leader of task {task} has failed for good, and has not given the task back within {within:?}: no order was given"
    )]
    NotRetried {
        /// The task.
        task: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The task was tried again, and its plugin has failed for good again.
    #[error(
        "{} has tried task {task} in term {}, and its plugin has failed again: {}",
        printable(&failed.host), failed.term, printable(&failed.detail)
    )]
    FailsAgain {
        /// The task.
        task: String,
        /// How it has failed.
        failed: Box<FailedRecord>,
    },
    /// The order to try again stands, and nobody leads.
    #[error(
        "nobody leads task {task} within {within:?}; the order stands. It is heard by hosts that run, have the task and rest after \
         failures; hosts of an earlier release stand again in their own time"
    )]
    NobodyTries {
        /// The task.
        task: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// Nobody is to run the task.
    #[error("task {task} is paused: `soloist resume {task}` has hosts stand for it")]
    Paused {
        /// The task.
        task: String,
    },
    /// Nobody is to run the task.
    #[error(
        "generation {generation} of task {task} has failed, and there is none to go back to: deploy another one"
    )]
    GenerationFailed {
        /// The task.
        task: String,
        /// The number of the generation.
        generation: u64,
    },
    /// A program that knows nothing of Soloist leads.
    #[error(
        "task {task} is led by {}, no host of Soloist: only that program itself can give it up",
        printable(holder)
    )]
    Foreign {
        /// The task.
        task: String,
        /// What it wrote into the master node.
        holder: String,
    },
    /// The host that shall lead next leads already.
    #[error("host {host} leads task {task} already")]
    LeadsAlready {
        /// The task.
        task: String,
        /// The host.
        host: String,
    },
    /// The host that shall lead next does not stand.
    #[error(
        "host {host} does not stand by for task {task}; these do: {}",
        names(standbys)
    )]
    NotStanding {
        /// The task.
        task: String,
        /// The host asked for.
        host: String,
        /// Who stands by, in the order in which they would lead.
        standbys: Vec<String>,
    },
    /// The leader was asked, and still leads.
    #[error(
        "{} was asked to resign but has not within {within:?}; the order stands",
        printable(host)
    )]
    StillLeading {
        /// The leader.
        host: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The leader has resigned, and nobody follows.
    #[error(
        "{} has resigned, but nobody leads task {task} within {within:?}",
        printable(host)
    )]
    NobodyFollows {
        /// The task.
        task: String,
        /// Who led.
        host: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The leader has resigned, and another host than the one asked for leads.
    #[error("{} leads task {task} now, not {wanted}", printable(host))]
    OtherLeads {
        /// The task.
        task: String,
        /// Who leads.
        host: String,
        /// Who should.
        wanted: String,
    },
}

impl ObserverError {
    /// Whether the same question may be answered later, by this connection or another.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Node(error) if error.may_pass())
    }
}

fn proposal(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |name| {
        format!(" (did you mean {}?)", printable(name))
    })
}

fn numbers(numbers: &[u64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    if numbers.is_empty() {
        "none".to_owned()
    } else {
        numbers.join(", ")
    }
}

fn names(hosts: &[String]) -> String {
    if hosts.is_empty() {
        "nobody".to_owned()
    } else {
        printable(&hosts.join(", ")).into_owned()
    }
}
