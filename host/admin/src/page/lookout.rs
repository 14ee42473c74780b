//! Looks at the ensemble while somebody wants to know: on a thread of its own, with a session of its own, and as often for many
//! viewers as for one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soloist_core::records::TermEntry;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep_until;

use super::seen::{Detail, Glance, Look, Order, Sight};

/// The shortest pause between two looks at all tasks. It is longer where looking takes long.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// A look may take one part of the time in so many.
const SHARE: u32 = 4;
/// The pause after a look that has failed.
const RETRY: Duration = Duration::from_secs(1);
/// How old what is told of one task may be.
const TASK_AGE: Duration = Duration::from_millis(500);
/// How long the session is kept after nobody looks any more.
const IDLE: Duration = Duration::from_secs(10);
/// How many questions wait, and how many are asked of the ensemble at once.
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
    latest: watch::Receiver<Latest>,
}

type Reply<T> = oneshot::Sender<Result<T, Trouble>>;

enum Question {
    /// Somebody looks from now on.
    Look,
    Task(String, Reply<Option<Arc<Detail>>>),
    Terms(Vec<String>, Reply<Vec<Vec<TermEntry>>>),
    Value(String, String, Reply<Option<Vec<u8>>>),
    Order(String, Order, Reply<Result<String, String>>),
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
        let (sender, latest) = watch::channel(Latest::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("page".into())
            .spawn(move || {
                let local = LocalSet::new();
                // It ends with the last that could ask.
                local.block_on(&runtime, Looking::new(look, sender, idle).run(asked));
            })?;
        Ok(Self { questions, latest })
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
        self.ask(|reply| Question::Order(task, order, reply)).await
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

/// The thread that looks.
struct Looking {
    look: Box<dyn Look>,
    latest: watch::Sender<Latest>,
    idle: Duration,
    sight: Option<Rc<dyn Sight>>,
    tasks: Rc<RefCell<Tasks>>,
}

/// What was read of single tasks a moment ago, and who waits for more.
#[derive(Default)]
struct Tasks {
    read: HashMap<String, (Instant, Option<Arc<Detail>>)>,
    waiting: HashMap<String, Vec<Reply<Option<Arc<Detail>>>>>,
}

impl Looking {
    fn new(look: Box<dyn Look>, latest: watch::Sender<Latest>, idle: Duration) -> Self {
        Self {
            look,
            latest,
            idle,
            sight: None,
            tasks: Rc::default(),
        }
    }

    async fn run(mut self, mut asked: mpsc::Receiver<Question>) {
        let mut reading: Option<JoinHandle<Result<(Glance, Instant), String>>> = None;
        let mut next = Instant::now();
        let mut asked_last = Instant::now();
        loop {
            // The lookout itself has one.
            let is_seen = self.latest.receiver_count() > 1;
            if is_seen {
                asked_last = Instant::now();
            }
            tokio::select! {
                question = asked.recv() => {
                    let Some(question) = question else { return self.end().await };
                    asked_last = Instant::now();
                    self.answer(question).await;
                }
                read = finished(&mut reading) => {
                    reading = None;
                    next = self.told(read);
                }
                () = sleep_until(next.into()), if is_seen && reading.is_none() => {
                    match self.sight().await {
                        Ok(sight) => reading = Some(spawn_local(async move {
                            let begun = Instant::now();
                            sight.glance().await.map(|glance| (glance, begun))
                        })),
                        Err(error) => next = self.told(Err(error)),
                    }
                }
                () = sleep_until((asked_last + self.idle).into()), if !is_seen && self.sight.is_some() => {
                    self.end().await;
                }
            }
        }
    }

    /// Takes note of what was read; gives the time of the next look.
    fn told(&mut self, read: Result<(Glance, Instant), String>) -> Instant {
        let now = Instant::now();
        match read {
            Ok((glance, begun)) => {
                let before = self.latest.borrow().seen.clone();
                let seen = Seen {
                    heard: heard(&glance, begun, before.as_deref()),
                    glance,
                    begun,
                    took: now - begun,
                };
                let next = now + seen.pause();
                self.latest.send_replace(Latest {
                    seen: Some(Arc::new(seen)),
                    trouble: None,
                });
                next
            }
            Err(trouble) => {
                self.latest
                    .send_modify(|latest| latest.trouble = Some(trouble.into()));
                now + RETRY
            }
        }
    }

    /// The session, a new one if there is none or if it has ended.
    async fn sight(&mut self) -> Result<Rc<dyn Sight>, String> {
        if let Some(sight) = self.sight.as_ref().filter(|sight| !sight.is_lost()) {
            return Ok(Rc::clone(sight));
        }
        self.sight = None;
        let sight = self.look.begin().await?;
        self.sight = Some(Rc::clone(&sight));
        Ok(sight)
    }

    async fn end(&mut self) {
        if let Some(sight) = self.sight.take() {
            sight.close().await;
        }
    }

    async fn answer(&mut self, question: Question) {
        if let Question::Look = question {
            return;
        }
        let sight = self.sight().await;
        let sight = sight.map_err(|error| Trouble::Ensemble(error.into()));
        let of_ensemble = |error: String| Trouble::Ensemble(error.into());
        match question {
            Question::Look => {}
            Question::Task(task, reply) => self.answer_task(sight, task, reply),
            Question::Terms(tasks, reply) => {
                spawn_local(async move {
                    let read = async { sight?.terms(&tasks).await.map_err(of_ensemble) };
                    // Nobody may wait any more.
                    let _ = reply.send(read.await);
                });
            }
            Question::Value(task, key, reply) => {
                spawn_local(async move {
                    let read = async { sight?.value(&task, &key).await.map_err(of_ensemble) };
                    let _ = reply.send(read.await);
                });
            }
            // It is carried out whether or not somebody still waits for the answer.
            Question::Order(task, order, reply) => {
                spawn_local(async move {
                    let done = async { Ok(sight?.order(&task, &order).await) };
                    let _ = reply.send(done.await);
                });
            }
        }
    }

    /// Many may look at one task: it is read once for all of them.
    fn answer_task(
        &self,
        sight: Result<Rc<dyn Sight>, Trouble>,
        task: String,
        reply: Reply<Option<Arc<Detail>>>,
    ) {
        let mut tasks = self.tasks.borrow_mut();
        tasks.read.retain(|_, (at, _)| at.elapsed() < TASK_AGE);
        let sight = match (sight, tasks.read.get(&task)) {
            (Err(trouble), _) => return drop(reply.send(Err(trouble))),
            (Ok(_), Some((_, detail))) => return drop(reply.send(Ok(detail.clone()))),
            (Ok(sight), None) => sight,
        };
        let waiting = tasks.waiting.entry(task.clone()).or_default();
        waiting.push(reply);
        if waiting.len() > 1 {
            return;
        }
        let tasks = Rc::clone(&self.tasks);
        spawn_local(async move {
            let begun = Instant::now();
            let read = sight.task(&task).await;
            let read = read.map(|read| read.map(Arc::new));
            let read = read.map_err(|error| Trouble::Ensemble(error.into()));
            let mut tasks = tasks.borrow_mut();
            for reply in tasks.waiting.remove(&task).unwrap_or_default() {
                let _ = reply.send(read.clone());
            }
            if let Ok(detail) = read {
                tasks.read.insert(task, (begun, detail));
            }
        });
    }
}

/// Waits for what is being read, for ever if nothing is.
async fn finished<T>(reading: &mut Option<JoinHandle<Result<T, String>>>) -> Result<T, String> {
    match reading {
        Some(reading) => reading
            .await
            .unwrap_or_else(|error| Err(format!("cannot look: {error}"))),
        None => std::future::pending().await,
    }
}

/// The first moment at which the last heartbeat of each host can have been: the look before, which did not see it.
fn heard(
    glance: &Glance,
    begun: Instant,
    before: Option<&Seen>,
) -> HashMap<String, (i64, Instant)> {
    let since = |host: &String, beat: i64| {
        let before = before?;
        match before.heard.get(host) {
            Some((last, at)) if *last == beat => Some((beat, *at)),
            _ => Some((beat, before.begun)),
        }
    };
    let beats = glance.beats.iter();
    beats
        .map(|(host, beat)| (host.clone(), since(host, *beat).unwrap_or((*beat, begun))))
        .collect()
}

#[cfg(test)]
mod tests;
