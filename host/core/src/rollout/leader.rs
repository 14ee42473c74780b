//! What a leader does next.

use std::time::Duration;

use super::host::{Prepared, Purpose, can_take_back, needs_copy};
use super::{INCONCLUSIVE_MAX, Settings, change};
use crate::cause::Cause;
use crate::clock::Moment;
use crate::records::{
    Changed, Generation, Readiness, ReadyRecord, RolloutRecord, Stage, StateCopy,
};
use crate::restart::PluginFailed;

/// How often a run is looked at that has lasted its time and computes.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What has become of the plugin in this term.
#[derive(Clone, Copy, Debug)]
pub enum Plugin<'a> {
    /// It has not been activated.
    Idle,
    /// It runs, since then without a failure.
    Running {
        /// When this run began.
        since: Moment,
        /// When the plugin last called the host or waited: now, unless it computes.
        alive: Moment,
    },
    /// It has failed, and is started again after a pause.
    Restarting {
        /// How often it has failed in this term.
        failures: u32,
        /// Why it has failed the last time.
        cause: &'a Cause,
    },
    /// `on_elected` has returned without an error.
    Completed,
    /// It asks to give the term up.
    Resigning,
    /// It has failed for good on this host.
    Failed(&'a PluginFailed),
}

/// What a leader has read of the rollout, not before its election.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// There is no record.
    Nothing,
    /// There is one that this host cannot read.
    Unreadable,
    /// The record.
    Record(&'a RolloutRecord),
}

/// A host that says how far it is, or that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The host.
    pub host: String,
    /// Whether it is in the queue. The leader is.
    pub stands: bool,
    /// What it says in `ready/<host>`, if that can be read.
    pub says: Option<ReadyRecord>,
}

impl Participant {
    fn is_ready(&self, generation: Generation) -> bool {
        let says = self.says.as_ref();
        says.and_then(|says| says.of(generation.number))
            .is_some_and(Readiness::is_ready)
    }
}

/// What a leader decides by.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The record of the rollout.
    pub record: Seen<'a>,
    /// Every host that stands or says how far it is, the leader included.
    pub hosts: &'a [Participant],
    /// How far the leader itself is.
    pub prepared: &'a Prepared,
    /// What has become of the plugin.
    pub plugin: Plugin<'a>,
    /// The `ready_timeout` of the wanted generation.
    pub ready_timeout: Duration,
    /// The time of day, for people who read the record.
    pub at: &'a str,
}

/// Why a leader gives its term back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveBack {
    /// An operator has paused the task.
    Paused,
    /// The task is undeployed.
    Undeployed,
    /// Another generation than that of the term is the current one.
    Moved,
    /// The current generation has failed, and there is none to go back to.
    Frozen,
    /// This host cannot run the current generation.
    Unable,
    /// Only a newer host can read the record, and another host stands.
    Unreadable,
    /// The plugin asks for it.
    Resigned,
    /// The lease was over before the plugin had stopped.
    LeaseLost,
}

/// How many hosts are ready for the wanted generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many of those that stand are ready.
    pub ready: usize,
    /// How many stand.
    pub standing: usize,
    /// Which host said why it cannot run the generation, and why; the first of them.
    pub obstacle: Option<(String, String)>,
}

/// What a leader does next. After everything but a wait it reads again, and asks again.
///
/// Every transaction checks the fence and the version of the record that was decided by: the one that writes the record, and each
/// one that copies, restores or deletes before it. If an answer is lost, the record that is read next shows whether it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this record.
    Write(RolloutRecord),
    /// Copy the state, anew if part of a copy is there; then write this record.
    Copy(RolloutRecord),
    /// Make the state what the copy says; then write this record.
    Restore(RolloutRecord),
    /// Delete the copy; then write this record.
    Drop(RolloutRecord),
    /// Start the plugin.
    Activate,
    /// Stop the plugin, and give the term back in order.
    GiveBack(GiveBack),
    /// Mark the task as failed, give the term back and rest, as with a task that was never deployed.
    Fail,
    /// Nothing, until something changes or this moment comes.
    Wait {
        /// When to ask again, even if nothing has changed.
        until: Option<Moment>,
        /// How far the hosts are, if a generation is wanted.
        progress: Option<Progress>,
    },
}

/// The leader of one term of a deployed task.
#[derive(Clone, Debug)]
pub struct Leader {
    host: String,
    generation: Generation,
    purpose: Purpose,
    settings: Settings,
    /// The wanted generation, and since when this term has seen that it is wanted. Only this host's clock counts.
    wanted: Option<(Generation, Moment)>,
    /// How many terms had shown nothing before this one.
    inconclusive_before: Option<u32>,
}

impl Leader {
    /// The leader of a term that runs `generation`: the current one at its election. The purpose is what the host stood for, and
    /// the settings are those of that generation.
    pub fn new(host: &str, generation: Generation, purpose: Purpose, settings: Settings) -> Self {
        Self {
            host: host.to_owned(),
            generation,
            purpose,
            settings,
            wanted: None,
            inconclusive_before: None,
        }
    }

    /// What the leader does next.
    pub fn next(&mut self, now: Moment, view: &View<'_>) -> Next {
        let record = match view.record {
            Seen::Record(record) => record,
            Seen::Nothing => return Next::GiveBack(GiveBack::Undeployed),
            Seen::Unreadable => return self.without_record(view),
        };
        if record.paused.is_some() {
            return Next::GiveBack(GiveBack::Paused);
        }
        match record.current {
            None => return Next::GiveBack(GiveBack::Undeployed),
            Some(current) if current != self.generation => {
                return Next::GiveBack(GiveBack::Moved);
            }
            Some(_) => {}
        }
        if matches!(record.stage, Stage::Failed(_)) {
            return self.stand_in(view, record);
        }
        let next = match view.plugin {
            Plugin::Idle => Some(self.begin(view, record)),
            _ if matches!(record.stage, Stage::Probation { .. }) => self.judge(now, view, record),
            Plugin::Failed(failed) => Some(self.failed(view, record, failed)),
            Plugin::Resigning => Some(Next::GiveBack(GiveBack::Resigned)),
            _ => None,
        };
        // An old generation need not be started only to be stopped at once.
        let can_move = matches!(next, None | Some(Next::Activate));
        let moves = can_move.then(|| self.move_on(now, view, record)).flatten();
        moves
            .or(next)
            .unwrap_or_else(|| self.wait(now, view, record))
    }

    /// A leader that cannot read the record gives way to those who can. If nobody else stands, it runs on.
    fn without_record(&self, view: &View<'_>) -> Next {
        let others = |it: &Participant| it.stands && it.host != self.host;
        match view.plugin {
            Plugin::Failed(_) => Next::Fail,
            Plugin::Resigning => Next::GiveBack(GiveBack::Resigned),
            Plugin::Idle => Next::GiveBack(GiveBack::Unreadable),
            _ if view.hosts.iter().any(others) => Next::GiveBack(GiveBack::Unreadable),
            _ => Next::Wait {
                until: None,
                progress: None,
            },
        }
    }

    /// Before the plugin is activated.
    fn begin(&self, view: &View<'_>, record: &RolloutRecord) -> Next {
        if self.purpose == Purpose::Promote || !view.prepared.current.is_ready() {
            return self.stand_in(view, record);
        }
        if record.restore {
            return Next::Restore(change::restored(record, self.changed(view)));
        }
        if needs_copy(record, self.settings) {
            return Next::Copy(change::copied(record, self.changed(view)));
        }
        Next::Activate
    }

    /// The term of a host that does not run the current generation.
    fn stand_in(&self, view: &View<'_>, record: &RolloutRecord) -> Next {
        if record.wanted.is_some() && view.prepared.wanted.is_ready() {
            return Next::Write(change::promote(record, self.changed(view)));
        }
        // The host has waited before it stood, and only if it stood to take the generation back.
        let others_can = view.hosts.iter().any(|it| it.is_ready(self.generation));
        if let Readiness::Unready { reason } = &view.prepared.current
            && self.purpose == Purpose::TakeBack
            && can_take_back(record, view.prepared)
            && !others_can
        {
            return self.take_back(view, record, "unready", reason);
        }
        Next::GiveBack(match record.stage {
            Stage::Failed(_) => GiveBack::Frozen,
            _ => GiveBack::Unable,
        })
    }

    /// What the plugin of a generation on probation has shown.
    fn judge(&mut self, now: Moment, view: &View<'_>, record: &RolloutRecord) -> Option<Next> {
        let is_healthy = match view.plugin {
            Plugin::Failed(failed) => {
                return Some(match &failed.cause {
                    Cause::LeaseLost(_) => Next::GiveBack(GiveBack::LeaseLost),
                    cause @ (Cause::Host(_) | Cause::HostPanicked) => {
                        self.showed_nothing(view, record, Next::Fail, cause.name())
                    }
                    cause => self.take_back(view, record, cause.name(), &cause.to_string()),
                });
            }
            Plugin::Restarting { failures, cause } if failures > self.settings.max_restarts => {
                return Some(self.take_back(view, record, cause.name(), &cause.to_string()));
            }
            Plugin::Resigning => {
                let give_back = Next::GiveBack(GiveBack::Resigned);
                return Some(self.showed_nothing(view, record, give_back, "resigned"));
            }
            Plugin::Completed => true,
            // One that has begun to compute without end may hang: it has to show more than its beginning.
            Plugin::Running { since, alive } => {
                now >= since + self.settings.healthy_after && alive >= self.shown_at(since)
            }
            Plugin::Restarting { .. } | Plugin::Idle => false,
        };
        // While another one is wanted, the one to go back to stays what it was.
        let shows = is_healthy && record.wanted.is_none();
        shows.then(|| Next::Write(change::healthy(record, self.changed(view))))
    }

    /// The term ends, and the generation has neither failed nor been healthy. That is counted once, and not without end.
    fn showed_nothing(
        &mut self,
        view: &View<'_>,
        record: &RolloutRecord,
        then: Next,
        cause: &str,
    ) -> Next {
        let Stage::Probation { inconclusive } = record.stage else {
            return then;
        };
        let before = *self.inconclusive_before.get_or_insert(inconclusive);
        if inconclusive > before {
            return then;
        }
        let terms = before.saturating_add(1);
        if terms >= INCONCLUSIVE_MAX {
            let detail = format!("{terms} terms on probation have shown nothing");
            return self.take_back(view, record, cause, &detail);
        }
        Next::Write(change::inconclusive(record, terms, self.changed(view)))
    }

    /// A generation that has been healthy has failed for good on this host. It is not taken back.
    fn failed(&self, view: &View<'_>, record: &RolloutRecord, failed: &PluginFailed) -> Next {
        if matches!(failed.cause, Cause::LeaseLost(_)) {
            return Next::GiveBack(GiveBack::LeaseLost);
        }
        let is_ready = |wanted| view.hosts.iter().any(|it| it.is_ready(wanted));
        if record.wanted.is_some_and(is_ready) {
            return Next::Write(change::promote(record, self.changed(view)));
        }
        Next::Fail
    }

    /// The change to the wanted generation, if it is time.
    fn move_on(&mut self, now: Moment, view: &View<'_>, record: &RolloutRecord) -> Option<Next> {
        let wanted = record.wanted?;
        let since = match self.wanted {
            Some((seen, since)) if seen == wanted => since,
            _ => now,
        };
        self.wanted = Some((wanted, since));
        let is_ready = |it: &Participant| it.is_ready(wanted);
        let mut standing = view.hosts.iter().filter(|it| it.stands);
        let all = view.hosts.iter().any(is_ready) && standing.all(is_ready);
        let some = now >= since + view.ready_timeout && view.hosts.iter().any(is_ready);
        (all || some).then(|| Next::Write(change::promote(record, self.changed(view))))
    }

    /// When a run has shown that it goes on: a sign of life from then on is one of the second half of `healthy_after`, or later.
    fn shown_at(&self, since: Moment) -> Moment {
        since + self.settings.healthy_after / 2
    }

    fn wait(&self, now: Moment, view: &View<'_>, record: &RolloutRecord) -> Next {
        if record.copy == Some(StateCopy::Stale) {
            return Next::Drop(change::dropped(record, self.changed(view)));
        }
        let progress = record.wanted.map(|wanted| progress(view.hosts, wanted));
        let until = match (self.wanted, view.plugin, &record.stage) {
            (Some((_, since)), ..) if record.wanted.is_some() => Some(since + view.ready_timeout),
            (_, Plugin::Running { since, .. }, Stage::Probation { .. }) => {
                let due = since + self.settings.healthy_after;
                Some(if due > now { due } else { now + LOOK_AGAIN })
            }
            _ => None,
        };
        Next::Wait {
            until: until.filter(|until| *until > now),
            progress,
        }
    }

    fn take_back(
        &self,
        view: &View<'_>,
        record: &RolloutRecord,
        cause: &str,
        detail: &str,
    ) -> Next {
        let on_rollback = self.settings.on_rollback;
        let changed = self.changed(view);
        Next::Write(change::take_back(
            record,
            on_rollback,
            (cause, detail),
            changed,
        ))
    }

    fn changed(&self, view: &View<'_>) -> Changed {
        Changed::new(&self.host, view.at)
    }
}

fn progress(hosts: &[Participant], wanted: Generation) -> Progress {
    let standing = || hosts.iter().filter(|it| it.stands);
    let obstacle = hosts
        .iter()
        .find_map(|it| match it.says.as_ref()?.of(wanted.number)? {
            Readiness::Unready { reason } => Some((it.host.clone(), reason.clone())),
            _ => None,
        });
    Progress {
        ready: standing().filter(|it| it.is_ready(wanted)).count(),
        standing: standing().count(),
        obstacle,
    }
}
