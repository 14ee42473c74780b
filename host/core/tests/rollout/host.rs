//! A host of the model: what it has prepared, what it has read, and the term that it leads.

use std::collections::BTreeMap;
use std::time::Duration;

use soloist_core::cause::Cause;
use soloist_core::clock::Moment;
use soloist_core::records::{Generation, Readiness, RolloutRecord};
use soloist_core::restart::PluginFailed;
use soloist_core::rollout::{Leader, Participant, Plugin, Prepared, Purpose};

use crate::ensemble::{Read, State};
use crate::fate::{Fate, HEALTHY_AFTER, Kind};

/// What a host has read, maybe a while ago.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) read: Read,
    pub(crate) hosts: Vec<Participant>,
    /// The state, and the number of the last term if that had been given back by then.
    pub(crate) state: State,
    pub(crate) given_back: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) lives: bool,
    /// How far its clock is ahead.
    pub(crate) ahead: u64,
    prepared: BTreeMap<u64, Readiness>,
    /// Until when its disk is full.
    pub(crate) full_until: u64,
    /// The generation that has failed here, and until when the host rests.
    pub(crate) rest: Option<(Generation, u64)>,
    pub(crate) view: Option<View>,
    /// Since when it has seen nobody else in the queue.
    pub(crate) alone_since: Option<u64>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) tenure: Option<Tenure>,
}

/// A term that a host leads.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) term: u64,
    pub(crate) generation: Generation,
    pub(crate) leader: Leader,
    pub(crate) work: Option<Work>,
    pub(crate) acts: Option<Acts>,
    /// It is to be given back, and whether the plugin has failed for good.
    pub(crate) ends: Option<bool>,
}

/// What a plugin has done in a term.
#[derive(Debug)]
pub(crate) struct Acts {
    pub(crate) since: u64,
    pub(crate) failures: u32,
    pub(crate) failed: PluginFailed,
}

/// What a leader is at, step by step.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) job: Job,
    pub(crate) step: usize,
    pub(crate) record: RolloutRecord,
    pub(crate) over: u64,
    /// Whether its host was ready for the current generation when it was decided.
    pub(crate) can_be_ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Write,
    Copy,
    Restore,
    Drop,
}

impl Host {
    pub(crate) fn new(ahead: u64) -> Self {
        Self {
            lives: true,
            ahead,
            prepared: BTreeMap::new(),
            full_until: 0,
            rest: None,
            view: None,
            alone_since: None,
            purpose: None,
            tenure: None,
        }
    }

    /// It is killed: what it has on disk stays.
    pub(crate) fn dies(&mut self) {
        self.lives = false;
        self.forgets();
        self.prepared.clear();
        self.rest = None;
    }

    /// Its session has ended.
    pub(crate) fn forgets(&mut self) {
        self.tenure = None;
        self.view = None;
        self.alone_since = None;
        self.purpose = None;
    }

    pub(crate) fn acts(&self) -> bool {
        let acts = self.tenure.as_ref().map(|tenure| tenure.acts.is_some());
        acts.unwrap_or(false)
    }

    /// One more look at a generation that it prepares.
    pub(crate) fn prepares(&mut self, id: usize, generation: Generation, fate: &Fate, now: u64) {
        let known = self
            .prepared
            .insert(generation.number, Readiness::Preparing);
        let is_started = known.is_some();
        let readiness = if !is_started {
            Readiness::Preparing
        } else if self.full_until > now {
            Readiness::unready("the disk is full")
        } else if fate.can_be_ready(id) {
            Readiness::Ready
        } else {
            Readiness::unready("it is nowhere to be had")
        };
        self.prepared.insert(generation.number, readiness);
    }

    pub(crate) fn readiness(&self, generation: Option<Generation>) -> Readiness {
        let readiness = generation.and_then(|it| self.prepared.get(&it.number));
        readiness.cloned().unwrap_or_default()
    }

    pub(crate) fn prepared(&self, record: &RolloutRecord) -> Prepared {
        Prepared {
            current: self.readiness(record.current),
            wanted: self.readiness(record.wanted),
            back: self.readiness(record.back),
        }
    }

    pub(crate) fn rests(&self, current: Option<Generation>, now: u64) -> bool {
        self.rest
            .is_some_and(|(generation, until)| Some(generation) == current && until > now)
    }

    pub(crate) fn moment(&self, now: u64) -> Moment {
        Moment::from_nanos(0) + Duration::from_secs(now + self.ahead)
    }
}

impl Acts {
    pub(crate) fn new(now: u64, cause: Cause) -> Self {
        Self {
            since: now,
            failures: 0,
            failed: PluginFailed { cause, restarts: 0 },
        }
    }

    /// What has become of the plugin by now. `ahead` is how far the host's clock is.
    pub(crate) fn plugin(
        &mut self,
        kind: Kind,
        now: u64,
        ahead: u64,
        is_proven: bool,
    ) -> Plugin<'_> {
        let ran = now.saturating_sub(self.since);
        match kind {
            Kind::Completes if ran >= 3 => Plugin::Completed,
            Kind::Bad | Kind::Hosts if ran >= 2 => Plugin::Failed(&self.failed),
            Kind::Later if is_proven && ran >= 3 * HEALTHY_AFTER => Plugin::Failed(&self.failed),
            Kind::Resigns if ran >= 2 => Plugin::Resigning,
            Kind::Crashes if ran >= HEALTHY_AFTER / 2 => {
                self.failures += 1;
                self.since = now;
                Plugin::Restarting {
                    failures: self.failures,
                    cause: &self.failed.cause,
                }
            }
            _ => Plugin::Running {
                since: Moment::from_nanos(0) + Duration::from_secs(self.since + ahead),
                alive: Moment::from_nanos(u64::MAX),
            },
        }
    }
}
