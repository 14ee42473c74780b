//! Where a contender is, for whoever wants to know.

use std::sync::Arc;

use futures::channel::mpsc;
use tokio::sync::{oneshot, watch};

use super::{Contender, Work};
use crate::duties::HandOver;
use soloist_core::clock::Moment;
use soloist_core::election::Stage;
use soloist_core::term::Term;

/// Where a contender is, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How far it is.
    pub stage: Stage,
    /// The term in which its plugin may be running.
    pub term: Option<Term>,
    /// Since when both are so.
    pub since: Moment,
    /// Whether the plugin has run well in that term, and nothing else is under way: then the term may be moved.
    pub steady: bool,
}

/// What others have of a contender.
#[derive(Debug)]
pub struct ContenderHandle {
    pub(super) status: watch::Receiver<Status>,
    pub(super) renew: watch::Sender<Arc<Work>>,
    pub(super) withdraw: oneshot::Sender<String>,
    pub(super) orders: mpsc::UnboundedSender<HandOver>,
}

impl ContenderHandle {
    /// Where the contender is. It ends with the contender.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What the contender's terms do. It ends with this handle.
    pub fn works(&self) -> watch::Receiver<Arc<Work>> {
        self.renew.subscribe()
    }

    /// Where the contender hears that its term is to be handed over.
    pub fn orders(&self) -> mpsc::UnboundedSender<HandOver> {
        self.orders.clone()
    }

    /// Gives the contender other work: for every term from the next one on. If it leads another generation, it hands that term
    /// over first. It keeps its place in the queue.
    pub fn renew(&self, work: Arc<Work>) {
        // A contender that has ended does nothing.
        let _ = self.renew.send(work);
    }

    /// Asks the contender to withdraw: to give back what it holds and to end, while the session goes on. `why` goes into the
    /// history of the term that ends by it, if one does.
    pub fn withdraw(self, why: impl Into<String>) {
        // A contender that has ended holds nothing.
        let _ = self.withdraw.send(why.into());
    }
}

impl Contender {
    /// Says where this contender is, if that has changed.
    pub(super) fn publish(&self, now: Moment) {
        let (stage, term) = (self.election.stage(), self.election.active_term());
        let steady = self.is_steady();
        self.status.send_if_modified(|status| {
            let moved = (status.stage, status.term.as_ref()) != (stage, term);
            let changed = moved || status.steady != steady;
            if changed {
                *status = Status {
                    stage,
                    term: term.cloned(),
                    since: if moved { now } else { status.since },
                    steady,
                };
            }
            changed
        });
        self.make_room(stage);
    }
}
