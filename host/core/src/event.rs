//! What a host tells the world: one event for everything that happens to a session or a task.
//!
//! The names and fields are an interface (REFERENCE.md, "Events"): people's dashboards and scripts read them. An event is a
//! value until a [`Subscriber`] makes something of it: a line on stdout, a number, a row of a page.

use std::time::Duration;

use serde::Serialize;

use crate::cause::Cause;
use crate::digest::Digest;
use crate::placement::Why;
use crate::schedule::Missed;
use crate::term::Demotion;

mod examples;
mod fields;
mod kinds;
mod line;
mod message;
mod report;

pub use fields::{Seconds, SessionId};
pub use line::{Origin, PluginLine};
pub use message::chain;
pub use report::{About, AlreadySubscribed, Report, Subscriber, subscribe, wants_line};

/// Something that happened to a session or a task.
///
/// An event is serialised as its fields. A field that only the [message](Event::message) tells is left out. A duration is
/// a number of seconds ([`Seconds`]).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// The host has begun to look for the ensemble.
    SessionConnecting {
        /// The connection string of the ensemble.
        #[serde(skip)]
        servers: String,
    },
    /// The host has a session that can write.
    SessionConnected {
        /// The session.
        session: SessionId,
        /// The session timeout that host and ensemble have agreed on.
        session_timeout: Seconds,
        /// Whether the session had only lost its connection, and has it again.
        #[serde(skip)]
        again: bool,
    },
    /// The session is connected to a server that cannot write. No host can be elected through it.
    SessionReadOnly {
        /// What the host has found.
        #[serde(skip)]
        text: String,
        /// The pause before the host connects anew. None if the host keeps the session.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<Seconds>,
    },
    /// The connection is lost. The session may live on, and leadership with it.
    SessionDisconnected {
        /// How long the lease still lasts.
        #[serde(skip)]
        lease: Duration,
    },
    /// A server grants a shorter session timeout than the host knew. The host shortens the lease to it.
    SessionShortened {
        /// The address of the server.
        server: String,
        /// The session timeout that the server grants.
        session_timeout: Seconds,
        /// The session timeout that the host knew before.
        #[serde(skip)]
        before: Duration,
    },
    /// The ensemble has refused the credentials.
    SessionAuthFailed {
        /// The error of the ensemble.
        #[serde(skip)]
        text: String,
        /// The pause before the host connects anew. None if the refusal has ended a session: the host connects at once.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<Seconds>,
    },
    /// The ensemble has ended the session and deleted its nodes. The host asks for a new one.
    SessionExpired {
        /// The session that has ended.
        #[serde(skip)]
        session: SessionId,
    },
    /// The host has closed the session.
    SessionClosed {
        /// The session.
        #[serde(skip)]
        session: SessionId,
        /// What became of the session, as the end of a sentence.
        #[serde(skip)]
        how: String,
    },
    /// A request to the ensemble has failed. The host tries it again.
    SessionError {
        /// What failed.
        #[serde(skip)]
        text: String,
        /// The pause before the host connects anew. None if the host keeps the session.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<Seconds>,
    },
    /// The files of `[zookeeper.tls]` hold something else. New connections go by it.
    SessionTlsReloaded,
    /// The files of `[zookeeper.tls]` cannot be used any more. New connections go by what they held before.
    SessionTlsNotReloaded {
        /// What is wrong, and where.
        #[serde(skip)]
        problem: String,
    },
    /// Some nodes gave other rights than `acl` says. The host has corrected them.
    AclCorrected {
        /// How many nodes.
        nodes: usize,
        /// The path of one of them.
        node: String,
    },
    /// Some nodes give other rights than `acl` says, and the host may not correct them.
    AclDiffers {
        /// How many nodes.
        nodes: usize,
        /// The path of one of them.
        node: String,
        /// What an operator can do, as the end of a sentence.
        #[serde(skip)]
        hint: String,
    },
    /// The host answers requests over HTTP.
    HostListening {
        /// The address, with its port.
        address: String,
        /// Whether it does so over TLS.
        #[serde(skip)]
        over_tls: bool,
    },
    /// The files of the listener's certificates hold something else. New connections go by it.
    HostTlsReloaded,
    /// The files of the listener's certificates cannot be used any more. New connections go by what they held before.
    HostTlsNotReloaded {
        /// What is wrong, and where.
        #[serde(skip)]
        problem: String,
    },
    /// The host has read its configuration again, and done what has changed.
    Reloaded {
        /// How many tasks it stands for that it did not stand for before.
        added: usize,
        /// How many tasks it does not stand for any more.
        removed: usize,
        /// How many tasks have changed: it stands for them anew.
        replaced: usize,
        /// How many tasks go on untouched.
        unchanged: usize,
        /// Which tasks these are, as the end of a sentence.
        #[serde(skip)]
        changes: String,
    },
    /// The host has read its configuration again, and cannot use it. All goes on as before.
    NotReloaded {
        /// What is wrong, and where.
        #[serde(skip)]
        problem: String,
    },
    /// An operator has drained the host. It hands its tasks over, and stands for nothing.
    HostDraining {
        /// The operator.
        by: String,
        /// The operator's reason.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether the host keeps the terms that it has until each ends for another reason.
        #[serde(skip)]
        keep: bool,
    },
    /// The host is drained: it leads nothing and stands for nothing.
    HostDrained,
    /// The host is drained no more. It stands for its tasks.
    HostUndrained,
    /// The process of the host is dead. Its guardian, which tells this, gives back what it had.
    HostDied {
        /// How the process ended, like `killed: signal 9`.
        how: String,
        /// The pause before the guardian starts it again. None if the guardian ends as well.
        #[serde(skip_serializing_if = "Option::is_none")]
        restart_in: Option<Seconds>,
    },
    /// The guardian has given back what the dead process had in the ensemble.
    GivenBack {
        /// How many terms.
        terms: usize,
        /// How many places in queues of tasks that it did not lead.
        places: usize,
        /// How many other nodes.
        nodes: usize,
        /// How many of all these could not be given back. They go with their sessions.
        left: usize,
        /// How long that took.
        took: Seconds,
    },
    /// The guardian of this process has gone. The host hands its tasks over, and ends.
    GuardianLost,
    /// What has been deployed cannot be heard of, or read.
    DeployError {
        /// What, and why.
        #[serde(skip)]
        text: String,
        /// The pause before the host tries again. None if it goes on.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<Seconds>,
    },
    /// The host can run a generation of a deployed task at once.
    GenerationReady {
        /// The number of the generation.
        generation: u64,
        /// The SHA-256 of the plugin.
        digest: Digest,
    },
    /// The host cannot run a generation of a deployed task.
    GenerationUnready {
        /// The number of the generation.
        generation: u64,
        /// Why not.
        reason: String,
        /// The pause before it tries again.
        retry_in: Seconds,
    },
    /// The host does not stand for a task.
    NotStanding {
        /// Why not.
        reason: String,
    },
    /// The host waits its turn for a task.
    Standby {
        /// How many candidates stand before this host.
        ahead: usize,
        /// The host that leads. None if no host leads.
        leader: Option<String>,
    },
    /// The election is committed: this host holds the master node.
    Elected {
        /// The number of the term.
        #[serde(skip)]
        number: u64,
    },
    /// The host is about to enter the plugin.
    Activated,
    /// A line of a plugin's log.
    PluginLog(PluginLine),
    /// Slots of a schedule will never be run.
    SlotsMissed {
        /// The name of the schedule.
        schedule: String,
        /// Which, and why.
        #[serde(flatten)]
        missed: Missed,
    },
    /// The plugin's `on_elected` has returned without an error.
    PluginCompleted {
        /// The pause before the host runs the plugin again. None if it does not.
        #[serde(skip_serializing_if = "Option::is_none")]
        restart_in: Option<Seconds>,
    },
    /// The task is to run once, and a host has completed it before. This host ends.
    CompletedBefore {
        /// The host that completed the task.
        by: String,
        /// The number of the term in which that host completed it.
        in_term: u64,
        /// When it was completed: RFC 3339, UTC, by that host's clock.
        at: String,
        /// The name of the run, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
    /// The plugin has failed.
    PluginFailed {
        /// Why the plugin failed.
        cause: Cause,
        /// Where in the plugin it failed: one function a line, the innermost first.
        #[serde(skip_serializing_if = "Option::is_none")]
        backtrace: Option<String>,
        /// The pause before the host runs the plugin again. None if it does not.
        #[serde(skip_serializing_if = "Option::is_none")]
        restart_in: Option<Seconds>,
    },
    /// The plugin has failed on this host as often as it may. The host lets another host lead.
    Failed {
        /// Why the plugin failed the last time.
        cause: Cause,
        /// How often the host had restarted the plugin.
        restarts: u32,
        /// How many terms in a row have ended with a failure for good.
        terms: u32,
        /// How long this host stays out of the queue. None if it does not stand again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<Seconds>,
    },
    /// An operator has the task tried again. The host, which rested because the plugin had failed for good on it, stands again.
    Retried {
        /// The operator.
        by: String,
        /// The operator's reason.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The host has begun to demote the plugin.
    Draining {
        /// Why the plugin is demoted.
        reason: Demotion,
    },
    /// The host hands the task over by itself, to a host that should rather lead it.
    Moved {
        /// Who is to lead it.
        to: String,
        /// Why.
        reason: Why,
    },
    /// The plugin has stopped by itself. It can have no effect any more.
    Demoted {
        /// Why the plugin had to stop. None if it was not asked to.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Demotion>,
    },
    /// The host has stopped the plugin by force. It can have no effect any more.
    Revoked {
        /// Why the plugin had to stop. None if it was not asked to.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Demotion>,
        /// How long ago the lease ended, if it has. The plugin has had no effect since then.
        #[serde(skip_serializing_if = "Option::is_none")]
        overdue: Option<Seconds>,
        /// Whether the host had asked the plugin to stop before.
        #[serde(skip)]
        drained: bool,
    },
    /// The host cannot stop the plugin, because a system call that the plugin made does not return. The host ends.
    PluginStuck,
    /// The plugin was stopped at once, since nothing could have told it that demotion had begun. Said once for a plugin.
    PluginUnreachable,
    /// The host has given the master node back.
    Released {
        /// The number of the term.
        #[serde(skip)]
        number: u64,
        /// How long the host stays out of the queue. None if it stands again at once.
        #[serde(skip_serializing_if = "Option::is_none")]
        stands_again_in: Option<Seconds>,
    },
    /// A generation is wanted, and too few hosts are ready for it.
    RolloutWaiting {
        /// The generation that is wanted.
        generation: u64,
        /// How many of the hosts that stand are ready for it.
        ready: usize,
        /// How many hosts stand.
        standing: usize,
        /// A host that cannot run the generation.
        #[serde(skip_serializing_if = "Option::is_none")]
        obstacle: Option<String>,
        /// Why that host cannot.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The wanted generation has become the current one. It is on probation.
    GenerationPromoted {
        /// The generation.
        generation: u64,
        /// The one that was current before.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
    },
    /// The state was copied, so that it can be restored if the generation fails.
    StateCopied {
        /// The generation that may change the state.
        generation: u64,
    },
    /// The state is again what it was before the generation that was taken back.
    StateRestored {
        /// The generation that runs on it.
        generation: u64,
    },
    /// The generation has shown that it is healthy.
    GenerationHealthy {
        /// The generation.
        generation: u64,
    },
    /// The generation has failed, and is taken back.
    RolledBack {
        /// The generation that has failed.
        from: u64,
        /// The one that runs again. None if there was none before: then nobody runs the task.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
        /// The name of the cause.
        cause: String,
        /// What went wrong.
        detail: String,
    },
    /// A step of the election has failed and the host tries it again, or a node is in its way.
    ElectionError {
        /// What failed.
        #[serde(skip)]
        text: String,
        /// How long the host leaves the queue. None if it stays.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<Seconds>,
    },
}

impl Event {
    /// A failure of the session that leads to no pause.
    pub fn session_error(text: impl Into<String>) -> Self {
        let (text, retry_in) = (text.into(), None);
        Self::SessionError { text, retry_in }
    }

    /// A failure of a step of the election for which the host does not leave the queue.
    pub fn election_error(text: impl Into<String>) -> Self {
        let (text, retry_in) = (text.into(), None);
        Self::ElectionError { text, retry_in }
    }
}

#[cfg(test)]
mod tests;
