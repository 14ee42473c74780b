//! How a term ends: why, what is written of it, and what is told.

use std::time::Duration;

use super::Contender;
use soloist_coordination::task::TermEnding;
use soloist_core::election::Input;
use soloist_core::event::{About, Event};
use soloist_core::records::{End, ResignOrder};
use soloist_core::restart::PluginFailed;
use soloist_core::term::{Demotion, Term};

/// How the present term ends, for the history.
#[derive(Default)]
pub(super) struct Ending {
    pub(super) reason: Option<Demotion>,
    pub(super) failed: Option<PluginFailed>,
    pub(super) detail: Option<String>,
    pub(super) successor: Option<String>,
}

impl Contender {
    /// Somebody has asked for the end of this term.
    pub(super) fn ordered(&mut self, ResignOrder { to, reason, .. }: ResignOrder) {
        self.ending.detail = reason;
        self.ending.successor = to;
        self.inputs.push_back(Input::Resign {
            stay_out: Duration::ZERO,
        });
    }

    /// What is to be written of a term that has ended.
    pub(super) fn end(&self, term: Term) -> TermEnding {
        let Ending {
            reason,
            failed,
            detail,
            successor,
        } = &self.ending;
        let reason = || reason.unwrap_or(Demotion::LeaseExpiring).name();
        let end = failed
            .as_ref()
            .map_or_else(|| End::now(reason(), detail.as_deref()), End::failed);
        let (record, kept) = (self.record.clone(), self.kept.clone());
        TermEnding::new(term, record, kept, end, successor.clone(), self.has_done())
    }
}

pub(super) fn report_released(term: &Term, stay_out: Duration) {
    About::Term(term).report(&Event::Released {
        number: term.number,
        stands_again_in: (!stay_out.is_zero()).then_some(stay_out),
    });
}
