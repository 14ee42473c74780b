//! What a contender has in one session, and loses with it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};

use super::leading;
use super::request::Answer;
use soloist_coordination::session::{Session, Urgency};
use soloist_coordination::task::{QueueSnapshot, TaskError};
use soloist_coordination::watches::Watches;
use soloist_core::clock::Moment;
use soloist_core::records::{ResignOrder, RetryOrder, TermRecord};

/// Sets or removes the mark on a task that fails, and gives how long this host stays out of the queue then, if at all.
pub(super) type Marking = BoxFuture<'static, Option<Duration>>;

/// A request of a leader that is part of a rollout.
pub(super) struct Asking {
    pub(super) answer: BoxFuture<'static, leading::Answer>,
    /// It is finished even if the term ends meanwhile.
    pub(super) is_finished: bool,
}

/// A contender's part in one session. Dropping it lets go of all that was asked for in the session.
pub(super) struct Standing {
    pub(super) session: Arc<Session>,
    pub(super) reconnects: u64,
    /// The queue and the term record, as last read.
    pub(super) seen: Option<QueueSnapshot>,
    /// The record of the term in which this host leads.
    pub(super) record: Option<TermRecord>,
    pub(super) request: Option<BoxFuture<'static, Result<Answer, TaskError>>>,
    pub(super) watches: Watches,
    /// An order to resign, to come while this host leads.
    pub(super) order: Option<BoxFuture<'static, ResignOrder>>,
    pub(super) marking: Option<Marking>,
    /// A leader says how often its plugin was restarted.
    pub(super) counting: Option<BoxFuture<'static, ()>>,
    /// What a leader asks of the rollout.
    pub(super) rollout: Option<Asking>,
    /// An order to try the task again, to come while this host rests after failures.
    pub(super) retry: Option<BoxFuture<'static, RetryOrder>>,
}

/// Something that was waited for.
pub(super) enum Happened {
    /// The ensemble has answered the request.
    Answered(Box<Result<Answer, TaskError>>),
    /// Something that is watched has changed.
    Changed,
    /// Somebody wants this host to resign.
    Ordered(ResignOrder),
    /// Somebody wants the task to be tried again.
    Retried(RetryOrder),
    /// The mark is set or removed.
    Marked(Option<Duration>),
    /// What was said of restarts stands, or cannot be said, and more may be said.
    Counted,
    /// The ensemble has answered what a leader asked of the rollout.
    Led(Box<leading::Answer>),
}

impl Standing {
    pub(super) fn new(session: Arc<Session>, reconnects: u64) -> Self {
        Self {
            session,
            reconnects,
            seen: None,
            record: None,
            request: None,
            watches: Watches::default(),
            order: None,
            marking: None,
            counting: None,
            rollout: None,
            retry: None,
        }
    }

    /// Until when the session's lease allows effects.
    pub(super) fn deadline(&self) -> Moment {
        self.session.deadline().get()
    }

    /// The name of this host's candidate, as last read.
    pub(super) fn candidate(&self) -> Option<String> {
        self.seen.as_ref().and_then(|seen| seen.candidate.clone())
    }

    /// How urgent it is to look at the queue. A host that has looked and had no candidate has made one since.
    pub(super) fn urgency_of_look(&self) -> Urgency {
        match &self.seen {
            Some(seen) if seen.own.is_empty() => Urgency::Begun,
            _ => Urgency::Patient,
        }
    }

    /// Whether this host may find itself next to be elected when it looks again.
    pub(super) fn may_be_next(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| match seen.queue.ahead {
                // It has joined the end of the queue since.
                None => seen.candidates <= 1,
                Some(ahead) => ahead <= 2,
            })
    }

    /// The names of all candidates of this session, as last read.
    pub(super) fn own(&self) -> Vec<String> {
        self.seen
            .as_ref()
            .map(|seen| seen.own.clone())
            .unwrap_or_default()
    }

    /// Waits for what comes next of all that is under way.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Happened {
        tokio::select! {
            // Whoever has written a record says so, even if the end of the term is known as well.
            biased;
            Some(answer) = OptionFuture::from(self.rollout.as_mut().map(|it| &mut it.answer)) => {
                self.rollout = None;
                Happened::Led(Box::new(answer))
            }
            Some(answer) = OptionFuture::from(self.request.as_mut()) => {
                self.request = None;
                Happened::Answered(Box::new(answer))
            }
            () = self.watches.fired() => Happened::Changed,
            Some(order) = OptionFuture::from(self.order.as_mut()) => {
                self.order = None;
                Happened::Ordered(order)
            }
            Some(stay_out) = OptionFuture::from(self.marking.as_mut()) => {
                self.marking = None;
                Happened::Marked(stay_out)
            }
            Some(order) = OptionFuture::from(self.retry.as_mut()) => {
                self.retry = None;
                Happened::Retried(order)
            }
            Some(()) = OptionFuture::from(self.counting.as_mut()) => {
                self.counting = None;
                Happened::Counted
            }
        }
    }
}
