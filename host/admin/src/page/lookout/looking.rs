//! The thread that looks. It has one look at all tasks under way, and so many questions; orders wait for neither.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep_until;

use super::{Given, Inbox, Latest, Question, Reply, Seen, Trouble};
use crate::page::seen::{Detail, Glance, Look, Sight};

/// The pause after a look that has failed.
const RETRY: Duration = Duration::from_secs(1);
/// How old what is told of one task may be.
const TASK_AGE: Duration = Duration::from_millis(500);
/// How many questions are asked of the ensemble at once, so that whoever may only read does not hold it up.
const ASKED_AT_ONCE: usize = 4;

/// The thread that looks.
pub(super) struct Looking {
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
    pub(super) fn new(look: Box<dyn Look>, latest: watch::Sender<Latest>, idle: Duration) -> Self {
        Self {
            look,
            latest,
            idle,
            sight: None,
            tasks: Rc::default(),
        }
    }

    pub(super) async fn run(mut self, mut inbox: Inbox) {
        let places = Arc::new(Semaphore::new(ASKED_AT_ONCE));
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
                question = next_question(&mut inbox.questions, &places) => {
                    let Some((question, place)) = question else { return self.end().await };
                    asked_last = Instant::now();
                    self.answer(question, place).await;
                }
                given = inbox.orders.recv() => {
                    let Some(given) = given else { return self.end().await };
                    asked_last = Instant::now();
                    self.carry_out(given).await;
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

    async fn answer(&mut self, question: Question, place: OwnedSemaphorePermit) {
        if !question.is_awaited() {
            return;
        }
        let sight = self.sight().await.map_err(of_ensemble);
        match question {
            Question::Look => {}
            Question::Task(task, reply) => self.answer_task(sight, task, reply, place),
            Question::Terms(tasks, reply) => {
                spawn_local(async move {
                    let _place = place;
                    let read = async { sight?.terms(&tasks).await.map_err(of_ensemble) };
                    // Nobody may wait any more.
                    let _ = reply.send(read.await);
                });
            }
            Question::Value(task, key, reply) => {
                spawn_local(async move {
                    let _place = place;
                    let read = async { sight?.value(&task, &key).await.map_err(of_ensemble) };
                    let _ = reply.send(read.await);
                });
            }
        }
    }

    /// It is carried out whether or not somebody still waits for the answer.
    async fn carry_out(&mut self, given: Given) {
        let sight = self.sight().await.map_err(of_ensemble);
        let Given { task, order, reply } = given;
        spawn_local(async move {
            let done = async { Ok(sight?.order(&task, &order).await) };
            let _ = reply.send(done.await);
        });
    }

    /// Many may look at one task: it is read once for all of them.
    fn answer_task(
        &self,
        sight: Result<Rc<dyn Sight>, Trouble>,
        task: String,
        reply: Reply<Option<Arc<Detail>>>,
        place: OwnedSemaphorePermit,
    ) {
        let mut tasks = self.tasks.borrow_mut();
        tasks.read.retain(|_, (at, _)| at.elapsed() < TASK_AGE);
        let sight = match (sight, tasks.read.get(&task)) {
            (Err(trouble), _) => return drop(reply.send(Err(trouble))),
            (Ok(_), Some((_, detail))) => return drop(reply.send(Ok(detail.clone()))),
            (Ok(sight), None) => sight,
        };
        match tasks.waiting.entry(task.clone()) {
            Entry::Vacant(waiting) => drop(waiting.insert(vec![reply])),
            Entry::Occupied(waiting) => {
                let waiting = waiting.into_mut();
                // Whoever asks and goes again does not fill the memory.
                waiting.retain(|reply| !reply.is_closed());
                return waiting.push(reply);
            }
        }
        let tasks = Rc::clone(&self.tasks);
        spawn_local(async move {
            let _place = place;
            let begun = Instant::now();
            let read = sight.task(&task).await;
            let read = read.map(|read| read.map(Arc::new)).map_err(of_ensemble);
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

impl Question {
    /// Whether somebody still waits for an answer.
    fn is_awaited(&self) -> bool {
        match self {
            Self::Look => false,
            Self::Task(_, reply) => !reply.is_closed(),
            Self::Terms(_, reply) => !reply.is_closed(),
            Self::Value(_, _, reply) => !reply.is_closed(),
        }
    }
}

/// The next question, as soon as there is a place for its answer. None if nobody can ask any more.
async fn next_question(
    questions: &mut mpsc::Receiver<Question>,
    places: &Arc<Semaphore>,
) -> Option<(Question, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    Some((questions.recv().await?, place))
}

fn of_ensemble(error: String) -> Trouble {
    Trouble::Ensemble(error.into())
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
