//! Whether this host has room for the task, and whether its term is to be handed over.

use std::future::pending;

use futures::StreamExt as _;
use futures::channel::mpsc;
use tokio::sync::watch;

use super::Contender;
use crate::duties::{Duties, HandOver, NotAdmitted};
use crate::rollout::Heard;
use soloist_core::election::{Appointed, Input, Record, Stage as Place};
use soloist_core::event::{About, Event};
use soloist_core::records::Stage;

/// What a contender knows of that.
pub(super) struct Placing {
    /// The tasks of the host. Without it there is always room.
    duties: Option<Duties>,
    /// While there is no room: another task has gone.
    freed: Option<watch::Receiver<()>>,
    /// The record over which it has given way: it does so once.
    given_way: Option<Record>,
    /// It takes little memory as long as nothing is in it, which tokio's takes at once.
    orders: mpsc::UnboundedReceiver<HandOver>,
}

/// Something that concerns where the task is led.
pub(super) enum Placed {
    /// There may be room.
    Room,
    /// The term is to be handed over.
    HandOver(HandOver),
}

impl Placing {
    pub(super) fn new() -> (mpsc::UnboundedSender<HandOver>, Self) {
        let (sender, orders) = mpsc::unbounded();
        let placing = Self {
            duties: None,
            freed: None,
            given_way: None,
            orders,
        };
        (sender, placing)
    }

    /// Waits for what comes next.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Placed {
        let Self { freed, orders, .. } = self;
        let freed = async {
            let changed = match freed {
                Some(freed) => freed.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                pending::<()>().await;
            }
        };
        let ordered = async {
            match orders.next().await {
                Some(order) => order,
                None => pending().await,
            }
        };
        tokio::select! {
            () = freed => Placed::Room,
            order = ordered => Placed::HandOver(order),
        }
    }
}

impl Contender {
    /// Has it lead only as one of these tasks of its host.
    #[must_use]
    pub fn with_duties(mut self, duties: Duties) -> Self {
        self.placing.duties = Some(duties);
        self
    }

    /// Whether the host takes the task, asked before the election is. If not, the election is told.
    pub(super) fn is_admitted(&mut self, over: &Record) -> bool {
        let Some(duties) = &self.placing.duties else {
            return true;
        };
        let seen = self.standing.as_ref().and_then(|it| it.seen.as_ref());
        // Somebody wants it to be this host.
        let is_appointed = seen.is_some_and(|it| it.queue.appointed == Appointed::ThisHost);
        let insists = is_appointed || self.placing.given_way.as_ref() == Some(over);
        let work = self.works.borrow().clone();
        match duties.admit(&self.task.name, &work.placement, insists) {
            Ok(()) => true,
            Err(full @ NotAdmitted::Full(_)) => {
                let reason = full.to_string();
                About::Task(&self.task.name).report(&Event::NotStanding { reason });
                self.placing.freed = Some(duties.freed());
                self.inputs.push_back(Input::Full);
                false
            }
            Err(NotAdmitted::Avoids(_)) => {
                self.placing.given_way = Some(over.clone());
                self.inputs.push_back(Input::Yield);
                false
            }
        }
    }

    /// Makes room for other tasks, unless the contender leads or may.
    pub(super) fn make_room(&self, place: Place) {
        let needs = matches!(
            place,
            Place::Electing | Place::Leading | Place::Stopping | Place::Releasing
        );
        if let Some(duties) = self.placing.duties.as_ref().filter(|_| !needs) {
            duties.dismiss(&self.task.name);
        }
    }

    pub(super) fn placed(&mut self, placed: Placed) {
        match placed {
            Placed::Room => {
                self.placing.freed = None;
                self.inputs.push_back(Input::Room);
            }
            Placed::HandOver(order) => self.hand_over(order),
        }
    }

    /// Whether the plugin has run well in the present term, and neither its end nor a rollout is under way.
    pub(super) fn is_steady(&self) -> bool {
        let Some(tenure) = self.tenure.as_ref().filter(|it| it.healthy) else {
            return false;
        };
        let rolls_out = tenure.work.rollout.as_ref().is_some_and(|rollout| {
            let known = rollout.known.borrow();
            let Heard::Record(record, _) = &known.record else {
                return true;
            };
            let is_done = matches!(record.stage, Stage::Healthy | Stage::RolledBack(_));
            !is_done || record.wanted.is_some() || record.paused.is_some() || record.restore
        });
        // Moved, what is done once would be begun anew.
        tenure.reason.is_none() && !rolls_out && self.task.once.is_none()
    }

    fn hand_over(&mut self, HandOver { token, to, why }: HandOver) {
        let steady = self.is_steady();
        let term = self.election.active_term();
        let Some(term) = term.filter(|term| term.fencing_token == token && steady) else {
            return;
        };
        let (to_tell, reason) = (to.clone(), why);
        About::Term(term).report(&Event::Moved {
            to: to_tell,
            reason,
        });
        if let Some(tenure) = &mut self.tenure {
            tenure.detail = Some(why.tell(&to));
            tenure.successor = Some(to);
        }
        self.inputs.push_back(Input::Resign {
            stay_out: std::time::Duration::ZERO,
        });
    }
}
