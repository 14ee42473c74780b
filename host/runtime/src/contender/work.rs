//! What a contender's terms do, and when they have other work to do.

use std::sync::Arc;

use super::{Contender, watched};
use crate::activation::ActivationSettings;
use crate::rollout::{Heard, Rollout};
use soloist_coordination::task::Generation;
use soloist_core::election::{Input, Settings};
use soloist_core::placement::TaskPlacement;
use soloist_core::records::CandidateRecord;
use soloist_core::restart::Runs;
use soloist_core::rollout::Purpose;
use soloist_sandbox::Plugin;

/// What a host does while it leads a task, and how. Each term has one from its election on.
#[derive(Debug)]
pub struct Work {
    /// What runs while this host leads. None if its terms run nothing, because the host stands only to move a rollout on.
    pub plugin: Option<Arc<Plugin>>,
    /// How it runs.
    pub activation: ActivationSettings,
    /// How the election goes.
    pub election: Settings,
    /// Where the task is led best.
    pub placement: TaskPlacement,
    /// Which generation of the task that is, if it was deployed.
    pub generation: Option<Generation>,
    /// The part in the rollout of the task, if it was deployed.
    pub rollout: Option<Rollout>,
}

/// The number of the generation that a work is, and what the host stands for.
pub(super) type WorkKey = (Option<u64>, Option<Purpose>);

impl Work {
    /// The number of its generation.
    pub(super) fn number(&self) -> Option<u64> {
        self.generation.map(|generation| generation.number)
    }

    /// What a candidate says of it. Hosts say elsewhere which generation of a deployed task they can run, since that changes while
    /// a candidate stands.
    pub(super) fn candidate(&self) -> CandidateRecord {
        let plugin = self.plugin.as_ref().filter(|_| self.generation.is_none());
        CandidateRecord {
            priority: self.placement.priority,
            digest: plugin.map(|plugin| plugin.digest()),
        }
    }

    /// Whether the host has heard of another manifest than the one that this work is for, and is about to be given other work.
    pub(super) fn is_overtaken(&self) -> bool {
        let (Some(generation), Some(rollout)) = (&self.generation, &self.rollout) else {
            return false;
        };
        let known = rollout.known.borrow();
        matches!(known.record, Heard::Record(_, version) if version > generation.manifest_version)
    }

    /// What makes it other work: a host that rests, and is to move the rollout on, has to stand at once.
    pub(super) fn key(&self) -> WorkKey {
        (self.number(), self.rollout.as_ref().map(|it| it.purpose))
    }
}

impl Contender {
    /// There is other work.
    pub(super) fn renewed(&mut self) {
        let work = Arc::clone(&self.works.borrow_and_update());
        // The manifest changes more often than the generation: neither a term nor a rest ends by that.
        self.rollout_sight = watched::rollout_sight(&work);
        let before = std::mem::replace(&mut self.known, work.key());
        match work.key() {
            key if key == before => return,
            (Some(number), _) if Some(number) != before.0 => {
                self.explain(format!("generation {number} takes over"));
            }
            _ => self.explain("this host has another part in the rollout"),
        }
        // What the plugin before has given up is no fault of this one.
        self.given_up = Runs::new(work.activation.restart);
        self.inputs.push_back(Input::Renewed(work.election));
    }

    /// Whether the work of the present term is no longer to be done, or is not what the term's record says: an election whose
    /// answer was lost may have been for other work.
    pub(super) fn is_outdated(&self) -> bool {
        let next = self.works.borrow().key();
        let record = self.standing.as_ref().and_then(|it| it.record.as_ref());
        let recorded = record.map_or(next.0, |record| record.term.generation);
        self.tenure
            .as_ref()
            .is_some_and(|tenure| tenure.work.key() != next || recorded != next.0)
    }
}
