//! What a contender shows to whoever watches the host.

use std::sync::Arc;

use soloist_core::clock::Moment;
use soloist_core::election::Record;
use soloist_core::permit::Permit;
use soloist_core::roster::{Enlisted, RolloutShown, RolloutSight};
use soloist_core::term::Term;

use super::{Contender, Work};
use crate::rollout::Heard;

impl Contender {
    /// Shows where this contender is.
    pub(super) fn show(&self, now: Moment) {
        let Some(enlisted) = &self.enlisted else {
            return;
        };
        let term = self.election.active_term();
        let seen = self.standing.as_ref().and_then(|it| it.seen.as_ref());
        let mut standing = enlisted.member().standing();
        standing.at(self.election.stage(), self.standing.is_some(), now);
        standing.ahead = seen.and_then(|seen| seen.queue.ahead);
        standing.generation = self.known.0;
        standing.rollout = self.rollout_sight.clone();
        if standing.term.as_ref() != term {
            standing.term = term.cloned();
            standing.elected = self.tenure.as_ref().map(|tenure| tenure.since);
        }
        if term.is_none() {
            standing.elected = None;
            standing.permit = None;
        }
    }

    /// An election is under way over this record: how the term before has ended is known with it.
    pub(super) fn over(&mut self, record: &Record) {
        self.after = match record {
            Record { number: 0, .. } => "none",
            Record { released: true, .. } => "released",
            Record { .. } => "lost",
        };
    }

    /// The election was won.
    pub(super) fn tell_elected(&self) {
        if let Some(enlisted) = &self.enlisted {
            enlisted.member().meter.count("terms", self.after, 1);
        }
    }
}

/// What tells how far the rollout is that the work belongs to.
pub(super) fn rollout_sight(work: &Work) -> RolloutSight {
    let Some(rollout) = &work.rollout else {
        return RolloutSight::default();
    };
    let known = rollout.known.clone();
    RolloutSight::new(move || match &known.borrow().record {
        Heard::Record(record, _) => Some(RolloutShown::of(record)),
        Heard::Nothing | Heard::Unreadable => None,
    })
}

/// The permit of the plugin that is about to run; its calls are measured if the host is watched.
pub(super) fn measured(
    enlisted: Option<&Enlisted>,
    term: &Term,
    elected: Moment,
    permit: Permit,
) -> Permit {
    let Some(enlisted) = enlisted else {
        return permit;
    };
    let member = enlisted.member();
    member.standing().activated(term, elected, permit.clone());
    permit.measured(Some(Arc::clone(&member.meter)))
}
