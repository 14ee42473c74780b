//! What leaders and operators write, and what the ensemble takes in.

use soloist_core::records::RolloutRecord;

use super::World;
use crate::chronicle::Author;
use crate::host::{Job, Tenure, Work};
use crate::{Broken, Rule};

/// A write that arrives late.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) term: u64,
    pub(super) work: Work,
}

impl World {
    pub(crate) fn put(&mut self, record: &RolloutRecord, author: Author) -> Result<(), Broken> {
        let old = self.ensemble.read().record;
        self.chronicle
            .written((old.as_ref(), record), author, &self.fates, &self.ensemble)?;
        self.ensemble.put(record);
        Ok(())
    }

    /// The ensemble takes one step of a leader's work in. Says whether it was done.
    pub(super) fn take_in(&mut self, term: u64, work: &Work) -> Result<bool, Broken> {
        if self.holds(Rule::Fence) && !self.ensemble.is_term(term) {
            return Ok(false);
        }
        let restores_late = work.job == Job::Restore && !self.holds(Rule::Restore);
        let step = if restores_late {
            // The broken rule: the record says so, and then it is done.
            [2, 0, 1][work.step]
        } else {
            work.step
        };
        let is_over = work.over == self.ensemble.version() || restores_late && step < 2;
        if self.holds(Rule::Over) && !is_over {
            return Ok(false);
        }
        let copies = self.holds(Rule::Copy);
        let ensemble = &mut self.ensemble;
        match (work.job, step) {
            (Job::Write, _) | (_, 2) => {
                let can_be_ready = work.can_be_ready;
                self.put(&work.record, Author::Host { can_be_ready })?;
            }
            (Job::Copy, 0) if copies => ensemble.copy = Some(None),
            (Job::Copy, _) if copies => ensemble.copy = Some(ensemble.state),
            (Job::Restore, 0) => ensemble.state = None,
            (Job::Restore, _) => ensemble.state = ensemble.copy.flatten(),
            (Job::Drop, 0) => ensemble.copy = Some(None),
            (Job::Drop, _) => ensemble.copy = None,
            (Job::Copy, _) => {}
        }
        Ok(true)
    }

    /// One step of what a leader is at; what is left of it.
    pub(super) fn work(&mut self, term: u64, work: Work) -> Result<Option<Work>, Broken> {
        let last = if work.job == Job::Write { 0 } else { 2 };
        // What a session has sent before arrives before, or not at all: the ensemble refuses what comes by a connection that
        // the session has left.
        self.late.retain(|late| late.term != term);
        if self.goes_wrong(8) {
            // The request or its answer is lost; the host looks, and decides anew.
            match self.random.below(4) {
                0 | 1 => {
                    self.take_in(term, &work)?;
                }
                2 => self.late.push(Late { term, work }),
                _ => {}
            }
            return Ok(None);
        }
        let is_done = self.take_in(term, &work)?;
        let step = work.step + 1;
        Ok((is_done && step <= last).then_some(Work { step, ..work }))
    }

    /// The plugin writes its state.
    pub(super) fn store(&mut self, tenure: &Tenure) {
        if tenure.acts.is_some() && self.ensemble.is_term(tenure.term) {
            self.writes += 1;
            let number = tenure.generation.number;
            self.ensemble.state = Some((number, self.writes));
            self.chronicle.stored(number, &self.ensemble);
        }
    }
}
