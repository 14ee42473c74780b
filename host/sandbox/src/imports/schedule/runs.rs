//! What one run of a plugin does with its schedules: whom it waits for, and which slots it has claimed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contract::bindings::schedule::{Error, Slot};
use soloist_core::schedule::{Busy, Claim, Invalid, SCHEDULES_MAX, Schedule, Settings, Time};

/// The schedules of one run. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// All that were tried, so that none has to be read twice: to find that a day never comes takes a while.
    tried: Vec<(Settings, Result<Arc<Schedule>, Invalid>)>,
    /// By the name of the schedule.
    runs: BTreeMap<String, Run>,
}

#[derive(Clone, Copy, Default)]
struct Run {
    is_waited_for: bool,
    claim: Option<Claim>,
    busy: Option<Busy>,
}

impl Runs {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nobody panics while it holds the lock; and each change is done at once.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The schedule of a task that a plugin asks for.
    pub(super) fn schedule(&self, task: &str, settings: Settings) -> Result<Arc<Schedule>, Error> {
        if settings.is_too_long() {
            return Ok(Arc::new(Schedule::new(task, settings)?));
        }
        let mut known = self.known();
        let found = known.tried.iter().find(|(tried, _)| *tried == settings);
        let schedule = match found {
            Some((_, schedule)) => schedule.clone(),
            None if known.tried.len() >= SCHEDULES_MAX => return Err(Error::TooMany),
            None => {
                let schedule = Schedule::new(task, settings.clone()).map(Arc::new);
                known.tried.push((settings, schedule.clone()));
                schedule
            }
        };
        Ok(schedule?)
    }

    /// Begins to wait for the next slot.
    pub(super) fn wait(&self, schedule: &Schedule) -> Result<Waiting, Error> {
        let name = schedule.name();
        let mut known = self.known();
        let run = known.runs.entry(name.to_owned()).or_default();
        if run.is_waited_for {
            let reason = format!(
                "the schedule {name} is waited for already: give each schedule a name of its own"
            );
            return Err(Error::OutOfTurn(reason));
        }
        if let Some(claim) = run.claim {
            let key = schedule.key(claim.at);
            let reason = format!("the slot {key} has not been completed: complete it first");
            return Err(Error::OutOfTurn(reason));
        }
        run.is_waited_for = true;
        drop(known);
        Ok(Waiting {
            runs: self.clone(),
            name: name.to_owned(),
        })
    }

    /// The claim of a slot that this run has claimed.
    pub(super) fn claimed(&self, slot: &Slot) -> Result<Claimed, Error> {
        let known = self.known();
        let claim = known.runs.get(&slot.schedule).and_then(|run| run.claim);
        let is_same =
            |claim: &Claim| claim.at == Time::from_secs(slot.time) && claim.attempt == slot.attempt;
        let Some(claim) = claim.filter(is_same) else {
            let reason = format!(
                "this run has not claimed the slot {}, or has completed it already",
                slot.key
            );
            return Err(Error::OutOfTurn(reason));
        };
        drop(known);
        Ok(Claimed {
            runs: self.clone(),
            name: slot.schedule.clone(),
            claim,
        })
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Run)) {
        if let Some(run) = self.known().runs.get_mut(name) {
            change(run);
        }
    }
}

/// A call that waits for the next slot. Another one can wait once it is dropped.
pub(super) struct Waiting {
    runs: Runs,
    name: String,
}

impl Waiting {
    /// Since when slots are run one after the other, if they are.
    pub(super) fn busy(&self) -> Option<Busy> {
        self.runs.known().runs.get(&self.name)?.busy
    }

    /// Nothing is due.
    pub(super) fn is_idle(&self) {
        self.runs.change(&self.name, |run| run.busy = None);
    }

    /// A slot has been claimed.
    pub(super) fn claimed(&self, claim: Claim, now: Time) {
        self.runs.change(&self.name, |run| {
            run.claim = Some(claim);
            run.busy.get_or_insert(Busy { since: now });
        });
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.runs
            .change(&self.name, |run| run.is_waited_for = false);
    }
}

/// A slot that this run has claimed.
pub(super) struct Claimed {
    runs: Runs,
    name: String,
    claim: Claim,
}

impl Claimed {
    pub(super) fn claim(&self) -> Claim {
        self.claim
    }

    /// It has been completed.
    pub(super) fn is_over(&self) {
        self.runs.change(&self.name, |run| {
            run.claim = run.claim.filter(|claim| *claim != self.claim);
        });
    }
}
