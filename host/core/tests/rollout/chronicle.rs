//! What has happened, and what of it must not.

use std::collections::{BTreeMap, BTreeSet};

use soloist_core::records::{Failure, RolloutRecord, Stage, StateCopy};
use soloist_core::rollout::OnRollback;

use crate::ensemble::{Ensemble, Master};
use crate::fate::Fate;
use crate::{Broken, Seen};

/// Who has written a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Operator,
    /// A host, and whether it was ready for the current generation when it decided.
    Host {
        can_be_ready: bool,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    pub(crate) seen: Seen,
    healthy: BTreeSet<u64>,
    taken_back: BTreeSet<u64>,
    /// What the state was when a generation that is healthy had written it last.
    left: Option<(u64, u64)>,
    /// A generation that was not healthy has acted, and what it did to the state is not to be undone.
    is_mixed: bool,
}

impl Chronicle {
    /// A record is about to be written over another one.
    pub(crate) fn written(
        &mut self,
        (old, new): (Option<&RolloutRecord>, &RolloutRecord),
        author: Author,
        fates: &BTreeMap<u64, Fate>,
        ensemble: &Ensemble,
    ) -> Result<(), Broken> {
        if old.is_some_and(|old| old.newest > new.newest) {
            return Err("a number of a generation comes again".into());
        }
        if let Some(wanted) = new.wanted
            && fates[&wanted.number].replaces != new.replaced_next()
        {
            return Err(format!(
                "{} is wanted, and replaces another one",
                wanted.number
            ));
        }
        let stage_before = old.map(|old| &old.stage);
        let current_before = old.and_then(|old| old.current);
        if let Some(current) = new.current
            && new.current != current_before
            && self.taken_back.contains(&current.number)
        {
            return Err(format!(
                "{} runs again after it was taken back",
                current.number
            ));
        }
        if old.is_some_and(|old| old.restore && !new.restore && new.current.is_some()) {
            self.seen.restored += 1;
            if !self.is_mixed && ensemble.state != self.left {
                return Err(format!("it was not restored: {:?}", ensemble.state));
            }
        }
        if stage_before == Some(&new.stage) {
            return Ok(());
        }
        match &new.stage {
            Stage::RolledBack(failure) => {
                let back = new.current.map_or(0, |current| current.number);
                if !self.healthy.contains(&back) {
                    return Err(format!("{back} was never healthy, and is gone back to"));
                }
                self.seen.rolled_back += 1;
                // The manifest of the one that is taken back decides, whatever those before it say that were not healthy.
                let fate = &fates[&failure.from.number];
                self.is_mixed |= fate.on_rollback == OnRollback::Keep;
                self.taken_back(failure, author, fates)
            }
            Stage::Failed(failure) => {
                self.seen.frozen += 1;
                self.taken_back(failure, author, fates)
            }
            Stage::Healthy => {
                let current = new.current.map_or(0, |current| current.number);
                if !fates[&current].can_be_healthy() {
                    return Err(format!("{current} is found healthy"));
                }
                self.seen.healthy += 1;
                self.healthy.insert(current);
                self.left = ensemble.state;
                self.is_mixed = false;
                Ok(())
            }
            Stage::Probation { .. } => {
                self.seen.promoted += usize::from(new.current != current_before);
                Ok(())
            }
            Stage::Undeployed => {
                self.is_mixed = true;
                Ok(())
            }
        }
    }

    fn taken_back(
        &mut self,
        failure: &Failure,
        author: Author,
        fates: &BTreeMap<u64, Fate>,
    ) -> Result<(), Broken> {
        let from = failure.from.number;
        if !self.taken_back.insert(from) {
            return Err(format!("{from} is taken back twice"));
        }
        match author {
            Author::Operator => self.seen.by_operators += 1,
            Author::Host { can_be_ready } if failure.cause == "unready" => {
                self.seen.unready += 1;
                if can_be_ready {
                    return Err(format!("{from} is taken back, and can be run"));
                }
            }
            Author::Host { .. } if fates[&from].can_be_healthy() => {
                return Err(format!("{from} is taken back, and has not failed"));
            }
            Author::Host { .. } => {}
        }
        Ok(())
    }

    /// A plugin is about to act.
    pub(crate) fn activated(
        &mut self,
        master: Master,
        fate: &Fate,
        record: &RolloutRecord,
        ensemble: &Ensemble,
    ) -> Result<(), Broken> {
        self.seen.activations += 1;
        let number = master.generation.number;
        if ensemble.state.is_none() {
            return Err(format!("{number} acts on half a state"));
        }
        if self.healthy.contains(&number) {
            if !self.is_mixed && ensemble.state != self.left {
                return Err(format!("{number} acts on a state that was not restored"));
            }
            self.left = ensemble.state;
            self.is_mixed = false;
        } else if record.back.is_none() {
            self.is_mixed = true;
        } else {
            let is_whole = record.copy == Some(StateCopy::Kept) && ensemble.copy == Some(self.left);
            if fate.migrates && !self.is_mixed && !is_whole {
                return Err(format!("{number} acts, and there is no copy to go back to"));
            }
            self.is_mixed |= !fate.migrates || fate.on_rollback == OnRollback::Keep;
        }
        Ok(())
    }

    /// A plugin has written its state.
    pub(crate) fn stored(&mut self, number: u64, ensemble: &Ensemble) {
        if self.healthy.contains(&number) {
            self.left = ensemble.state;
        }
    }
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        let sums = [
            (&mut self.elections, other.elections),
            (&mut self.activations, other.activations),
            (&mut self.promoted, other.promoted),
            (&mut self.healthy, other.healthy),
            (&mut self.rolled_back, other.rolled_back),
            (&mut self.by_operators, other.by_operators),
            (&mut self.unready, other.unready),
            (&mut self.frozen, other.frozen),
            (&mut self.restored, other.restored),
            (&mut self.copied_with_election, other.copied_with_election),
            (&mut self.refused, other.refused),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
    }

    /// Whether each kind of thing has happened.
    pub(crate) fn is_enough(&self) -> bool {
        self.elections > 100
            && self.healthy > 100
            && self.rolled_back > 50
            && self.by_operators > 10
            && self.unready > 0
            && self.frozen > 50
            && self.restored > 10
            && self.copied_with_election > 10
            && self.refused > 10
    }
}
