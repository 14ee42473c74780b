//! Looks at the ensemble while somebody wants to know: on a thread of its own, with a session of its own, and as often for many
//! viewers as for one.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soloist_core::records::TermEntry;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::order::ORDERS_MAX;
use super::seen::{Detail, Glance, Look, Order};
use looking::Looking;

mod looking;

/// The shortest pause between two looks at all tasks. It is longer where looking takes long.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// A look may take one part of the time in so many.
const SHARE: u32 = 4;
/// How long the session is kept after nobody looks any more.
const IDLE: Duration = Duration::from_secs(10);
/// How many questions wait.
const QUESTIONS_MAX: usize = 64;

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("too many ask at once: try again")]
    Busy,
    #[error("the ensemble has not answered in time: try again")]
    Slow,
    #[error("{0}")]
    Ensemble(Arc<str>),
    #[error("nothing is known under that name")]
    NoTask,
    #[error(
        "values are shown where the host is told to, with listen_values, and to who shows a token or asks on its machine"
    )]
    ValuesHidden,
}

/// What was seen, and when.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) glance: Glance,
    /// When the look began.
    pub(super) begun: Instant,
    pub(super) took: Duration,
    /// The first moment at which the last heartbeat of each host can have been.
    heard: HashMap<String, (i64, Instant)>,
}

/// The latest that was seen, or why nothing is.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest {
    pub(super) seen: Option<Arc<Seen>>,
    pub(super) trouble: Option<Arc<str>>,
}

/// Asks what looks.
#[derive(Debug)]
pub(super) struct Lookout {
    questions: mpsc::Sender<Question>,
    orders: mpsc::Sender<Given>,
    latest: watch::Receiver<Latest>,
}

type Reply<T> = oneshot::Sender<Result<T, Trouble>>;

enum Question {
    /// Somebody looks from now on.
    Look,
    Task(String, Reply<Option<Arc<Detail>>>),
    Terms(Vec<String>, Reply<Vec<Vec<TermEntry>>>),
    Value(String, String, Reply<Option<Vec<u8>>>),
}

/// An order that was given to a task.
struct Given {
    task: String,
    order: Order,
    reply: Reply<Result<String, String>>,
}

/// The other ends of what a lookout sends.
struct Inbox {
    questions: mpsc::Receiver<Question>,
    orders: mpsc::Receiver<Given>,
}

impl Seen {
    /// How much is left of the lease of a host, at least, and how much a lease has at most.
    pub(super) fn left_at_least(&self, host: &str) -> Option<(Duration, Duration)> {
        let full = *self.glance.leases.get(host)?;
        let (_, heard) = self.heard.get(host)?;
        Some((full.saturating_sub(heard.elapsed()), full))
    }
}

impl Lookout {
    /// Begins. It does nothing until somebody looks.
    pub(super) fn begin(look: Box<dyn Look>) -> io::Result<Self> {
        Self::patient(look, IDLE)
    }

    /// The same, with a session that is kept for so long after nobody looks any more.
    fn patient(look: Box<dyn Look>, idle: Duration) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let (orders, given) = mpsc::channel(ORDERS_MAX);
        let inbox = Inbox {
            questions: asked,
            orders: given,
        };
        let (sender, latest) = watch::channel(Latest::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("page".into())
            .spawn(move || {
                let local = LocalSet::new();
                // It ends with the last that could ask.
                local.block_on(&runtime, Looking::new(look, sender, idle).run(inbox));
            })?;
        Ok(Self {
            questions,
            orders,
            latest,
        })
    }

    /// What is seen from now on, until it is dropped.
    pub(super) fn view(&self) -> Result<watch::Receiver<Latest>, Trouble> {
        let view = self.latest.clone();
        match self.questions.try_send(Question::Look) {
            // What is full is awake.
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(view),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Trouble::Busy),
        }
    }

    /// What was seen at a look that began no longer than a pause before `at`.
    pub(super) async fn fresh(&self, at: Instant) -> Result<Arc<Seen>, Trouble> {
        let mut view = self.view()?;
        let mut looked_before = true;
        loop {
            let Latest { seen, trouble } = view.borrow_and_update().clone();
            if let Some(seen) = seen
                && seen.begun + seen.pause() >= at
            {
                return Ok(seen);
            }
            if let (Some(trouble), false) = (trouble, looked_before) {
                return Err(Trouble::Ensemble(trouble));
            }
            looked_before = false;
            view.changed().await.map_err(|_| Trouble::Busy)?;
        }
    }

    pub(super) async fn task(&self, task: &str) -> Result<Option<Arc<Detail>>, Trouble> {
        self.ask(|reply| Question::Task(task.to_owned(), reply))
            .await
    }

    pub(super) async fn terms(&self, tasks: Vec<String>) -> Result<Vec<Vec<TermEntry>>, Trouble> {
        self.ask(|reply| Question::Terms(tasks, reply)).await
    }

    pub(super) async fn value(&self, task: &str, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let (task, key) = (task.to_owned(), key.to_owned());
        self.ask(|reply| Question::Value(task, key, reply)).await
    }

    /// What came of an order: what was done, or why nothing was.
    pub(super) async fn order(
        &self,
        task: String,
        order: Order,
    ) -> Result<Result<String, String>, Trouble> {
        let (reply, answer) = oneshot::channel();
        let sent = self.orders.try_send(Given { task, order, reply });
        sent.map_err(|_| Trouble::Busy)?;
        answer.await.unwrap_or(Err(Trouble::Busy))
    }

    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Trouble> {
        let (reply, answer) = oneshot::channel();
        let sent = self.questions.try_send(question(reply));
        sent.map_err(|_| Trouble::Busy)?;
        answer.await.unwrap_or(Err(Trouble::Busy))
    }
}

impl Seen {
    /// How long nobody looks after it.
    fn pause(&self) -> Duration {
        PAUSE.max(self.took * SHARE)
    }
}

#[cfg(test)]
mod tests;
