//! What a contender has in one term: from its election until it is given back, or lost.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};

use super::leading::Leading;
use super::{Contender, Work};
use crate::activation::{Activation, Turn};
use soloist_coordination::task::{HistorySnapshot, TermEnding};
use soloist_core::clock::{self, Moment};
use soloist_core::election::Input;
use soloist_core::event::{About, Event, Seconds};
use soloist_core::records::{End, ResignOrder, RestartsRecord, RolloutRecord};
use soloist_core::restart::PluginFailed;
use soloist_core::term::{Demotion, Term};

/// A contender's part in one term. It outlives the session that ends it, since the plugin has to be stopped then.
pub(super) struct Tenure {
    /// What it does.
    pub(super) work: Arc<Work>,
    /// Since when this host leads.
    pub(super) since: Moment,
    /// The terms before it, once they are read.
    pub(super) kept: Option<HistorySnapshot>,
    pub(super) activation: Option<Activation>,
    /// The record of the rollout and its data version, if the election has written it and the part in the rollout has not begun.
    pub(super) copied: Option<(Box<RolloutRecord>, i32)>,
    /// The part in the rollout, from when the term begins, if the task was deployed.
    pub(super) leading: Option<Leading>,
    /// How often the plugin was restarted, until that is told.
    pub(super) restarts: Option<RestartsRecord>,
    /// Whether the plugin has run well.
    pub(super) healthy: bool,
    /// Why it ends.
    pub(super) reason: Option<Demotion>,
    /// While the demotion waits for its turn.
    pub(super) turn: Option<BoxFuture<'static, Option<Turn>>>,
    /// How the plugin has failed for good.
    pub(super) failed: Option<PluginFailed>,
    /// What else the history tells of its end.
    pub(super) detail: Option<String>,
    /// Who is to lead next.
    pub(super) successor: Option<String>,
    /// How long this host stays out of the queue once it is given back.
    pub(super) stay_out: Duration,
}

/// What there is to do in a term.
pub(super) enum Stirred {
    /// The part in the rollout has something new to decide by.
    News,
    /// The demotion begins, in this turn.
    Turn(Option<Turn>),
}

impl Tenure {
    pub(super) fn begin(work: Arc<Work>) -> Self {
        Self {
            work,
            since: clock::now(),
            kept: None,
            activation: None,
            copied: None,
            leading: None,
            restarts: None,
            healthy: false,
            reason: None,
            turn: None,
            failed: None,
            detail: None,
            successor: None,
            stay_out: Duration::ZERO,
        }
    }

    /// Waits until there is something to do, in a session whose lease ends at `deadline`.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn stirred(&mut self, deadline: Moment) -> Stirred {
        let Self {
            work,
            leading,
            turn,
            ..
        } = self;
        let time = work.activation.demote_timeout;
        let due = turn.as_ref().map(|_| clock::sleep_until(deadline - time));
        tokio::select! {
            Some(()) = OptionFuture::from(leading.as_mut().map(Leading::stirred)) => Stirred::News,
            Some(turn) = OptionFuture::from(turn.as_mut()) => Stirred::Turn(turn),
            // The lease, which is renewed as a rule, leaves no more time than the demotion may take.
            Some(()) = OptionFuture::from(due) => Stirred::Turn(None),
            else => pending().await,
        }
    }

    /// How it ends, for the history.
    fn end(&self) -> End {
        let reason = self.reason.unwrap_or(Demotion::LeaseExpiring).name();
        self.failed
            .as_ref()
            .map_or_else(|| End::now(reason, self.detail.as_deref()), End::failed)
    }
}

impl Contender {
    /// Somebody has asked for the end of this term.
    pub(super) fn ordered(&mut self, ResignOrder { to, reason, .. }: ResignOrder) {
        if let Some(tenure) = &mut self.tenure {
            tenure.detail = reason;
            tenure.successor = to;
        }
        self.inputs.push_back(Input::Resign {
            stay_out: Duration::ZERO,
        });
    }

    /// Notes what the history is to tell of the end of this term, unless that is known already.
    pub(super) fn explain(&mut self, detail: impl Into<String>) {
        if let Some(tenure) = &mut self.tenure {
            tenure.detail.get_or_insert_with(|| detail.into());
        }
    }

    /// What is to be written of a term that has ended.
    pub(super) fn ending(&self, term: Term) -> TermEnding {
        let record = self
            .standing
            .as_ref()
            .and_then(|standing| standing.record.clone());
        let tenure = self.tenure.as_ref();
        let kept = tenure.and_then(|tenure| tenure.kept.clone());
        let end = tenure.map_or_else(
            || End::now(Demotion::LeaseExpiring.name(), None),
            Tenure::end,
        );
        let successor = tenure.and_then(|tenure| tenure.successor.clone());
        TermEnding::new(term, record, kept, end, successor, self.has_done())
    }
}

pub(super) fn report_released(term: &Term, stay_out: Duration) {
    About::Term(term).report(&Event::Released {
        number: term.number,
        stands_again_in: (!stay_out.is_zero()).then_some(Seconds(stay_out)),
    });
}
