//! Plugins that are compiled and linked, each once for all tasks that run it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::load::needs::Needs;
use crate::load::problem::PluginProblem;
use crate::run::program::Program;
use soloist_core::digest::Digest;
use soloist_core::limits::Limits;

/// What makes two plugins the same program: the content of the file, and the limits that the engine keeps. A store keeps all
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProgramKey {
    digest: Digest,
    stack: u64,
}

/// A program, and what a run of it makes.
pub(crate) struct Prepared {
    pub(crate) program: Arc<Program>,
    pub(crate) needs: Needs,
}

/// The programs that plugins share. It holds none: a program goes with the last plugin that has it.
#[derive(Default)]
pub(crate) struct Programs(Mutex<HashMap<ProgramKey, Arc<Slot>>>);

/// Locked while the program is made, so that it is made once.
#[derive(Default)]
struct Slot(Mutex<(Weak<Program>, Needs)>);

impl ProgramKey {
    pub(crate) fn new(digest: Digest, limits: &Limits) -> Self {
        let Limits { stack, .. } = *limits;
        Self { digest, stack }
    }
}

impl Programs {
    /// The program of that key: the one that is there, or the one that `make` makes. Waits while another thread makes it.
    pub(crate) fn shared(
        &self,
        key: ProgramKey,
        make: impl FnOnce() -> Result<Prepared, PluginProblem>,
    ) -> Result<Prepared, PluginProblem> {
        let slot = self.slot(key);
        // Whoever panicked has left there what was before.
        let mut kept = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(program), needs) = (kept.0.upgrade(), kept.1) {
            return Ok(Prepared { program, needs });
        }
        let prepared = make()?;
        *kept = (Arc::downgrade(&prepared.program), prepared.needs);
        Ok(prepared)
    }

    fn slot(&self, key: ProgramKey) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        slots.retain(|_, slot| slot.is_used());
        Arc::clone(slots.entry(key).or_default())
    }
}

impl Slot {
    /// Whether somebody has its program, or is about to.
    fn is_used(self: &Arc<Self>) -> bool {
        let is_waited_for = || Arc::strong_count(self) > 1;
        let made = self.0.try_lock();
        is_waited_for() || made.map_or(true, |made| made.0.strong_count() > 0)
    }
}
