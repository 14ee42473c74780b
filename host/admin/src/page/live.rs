//! Server-sent events: what has changed, as long as somebody reads.
//!
//! Nothing is queued for a slow reader: when there is room for an event, it is made of what is so by then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use soloist_core::journal::Wanted;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::watch::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, sleep_until, timeout};

use super::lookout::Latest;
use super::query::Query;
use super::{Context, Reader, encoded, shown};
use crate::answer::{self, Answer, plain, respond};

/// How many streams there are at once.
const STREAMS_MAX: usize = 32;
/// How long a stream lives. A connection does not live much longer; the page asks anew.
const LIFE: Duration = Duration::from_secs(100);
/// How often leases are told of, and whether a task has changed.
const TICK: Duration = Duration::from_millis(500);
/// How often new lines are told of.
const LINES: Duration = Duration::from_millis(250);

const EVENTS: &str = "text/event-stream; charset=utf-8";

/// The streams that may still be begun.
#[derive(Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

/// The other side has gone.
struct Gone;

/// A stream that is being written.
struct Stream {
    context: Arc<Context>,
    query: Query,
    reader: Reader,
    hello: Value,
    events: Sender<Bytes>,
    last: String,
    trouble: Option<Arc<str>>,
    _place: OwnedSemaphorePermit,
}

impl Streams {
    /// Begins a stream: of one task closely if the query names one, else of a page of all tasks.
    pub(super) fn begin(
        &self,
        context: &Arc<Context>,
        query: Query,
        reader: Reader,
        hello: Value,
    ) -> Response<Answer> {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            let text = "others look at as many pages as may be looked at: try again\n";
            return answer::whole(plain(StatusCode::SERVICE_UNAVAILABLE, text));
        };
        let view = match context.lookout.view() {
            Ok(view) => view,
            Err(trouble) => return answer::whole(trouble.answer()),
        };
        let (events, body) = mpsc::channel(1);
        let stream = Stream {
            context: Arc::clone(context),
            query,
            reader,
            hello,
            events,
            last: String::new(),
            trouble: None,
            _place: place,
        };
        tokio::spawn(async move {
            // Whoever has gone does not mind.
            let _ = timeout(LIFE, stream.run(view)).await;
        });
        respond(StatusCode::OK, EVENTS, Bytes::new()).map(|_| Answer::live(body))
    }
}

impl Stream {
    async fn run(mut self, mut view: Receiver<Latest>) -> Result<(), Gone> {
        self.send("hello", &self.hello).await?;
        match self.query.task.take() {
            Some(task) => self.task(&task, &view).await,
            None => self.tasks(&mut view).await,
        }
    }

    /// A page of all tasks, whenever it is another one.
    async fn tasks(&mut self, view: &mut Receiver<Latest>) -> Result<(), Gone> {
        loop {
            let Latest { seen, trouble } = view.borrow_and_update().clone();
            self.troubled(trouble).await?;
            if let Some(seen) = seen {
                let rows = self.query.rows(&seen.glance.tasks);
                let list = shown::list(&seen, &self.query, &rows, self.reader);
                let tick = shown::tick(&seen, &rows.page, &self.context.leases());
                self.send_changed("tasks", &list).await?;
                self.send("tick", &tick).await?;
            }
            let due = Instant::now() + TICK;
            tokio::select! {
                changed = view.changed() => changed.map_err(|_| Gone)?,
                () = sleep_until(due.into()) => {}
                () = self.events.closed() => return Err(Gone),
            }
        }
    }

    /// One task, and its lines as they come.
    async fn task(&mut self, task: &str, view: &Receiver<Latest>) -> Result<(), Gone> {
        let mut wanted = Wanted {
            tail: Some(shown::LINES_MAX),
            ..Wanted::default()
        };
        let mut due = Instant::now();
        loop {
            if Instant::now() >= due {
                let read = self.context.lookout.task(task).await;
                let trouble = read.as_ref().err().map(|error| error.to_string().into());
                self.troubled(trouble).await?;
                let seen = view.borrow().seen.clone();
                match read {
                    Ok(Some(detail)) => {
                        let leases = self.context.leases();
                        let mut told = shown::task(&detail, self.reader, &leases, seen.as_deref());
                        let lease = told.as_object_mut().and_then(|told| told.remove("lease"));
                        self.send_changed("task", &told).await?;
                        self.send("tick", &json!({ "lease": lease })).await?;
                    }
                    Ok(None) => self.send_changed("task", &Value::Null).await?,
                    Err(_) => {}
                }
                due = Instant::now() + TICK;
            }
            if let (Some(journal), Reader::Known) = (self.context.journal.clone(), self.reader)
                && let Some(lines) = shown::lines(&journal, task, &mut wanted)
            {
                self.send("lines", &lines).await?;
            }
            tokio::select! {
                () = sleep(LINES) => {}
                () = self.events.closed() => return Err(Gone),
            }
        }
    }

    /// Says that there is trouble, or that there is none any more.
    async fn troubled(&mut self, trouble: Option<Arc<str>>) -> Result<(), Gone> {
        if self.trouble == trouble {
            return Ok(());
        }
        self.trouble.clone_from(&trouble);
        let text = trouble.map(|text| soloist_core::text::printable(&text).into_owned());
        self.send("trouble", &json!({ "text": text })).await
    }

    async fn send_changed(&mut self, event: &str, told: &Value) -> Result<(), Gone> {
        let told = encoded(told);
        if told == self.last {
            return Ok(());
        }
        self.write(event, &told).await?;
        self.last = told;
        Ok(())
    }

    async fn send(&self, event: &str, told: &Value) -> Result<(), Gone> {
        self.write(event, &encoded(told)).await
    }

    /// Waits until there is room for the event: so there is one at a time, however slow the reader is.
    async fn write(&self, event: &str, told: &str) -> Result<(), Gone> {
        let event = format!("event: {event}\ndata: {told}\n\n");
        self.events.send(event.into()).await.map_err(|_| Gone)
    }
}
