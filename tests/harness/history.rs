//! All that happened: the events of every host, and what was done to the hosts, in one place to wait on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::watch;

use crate::clock;

/// One thing that happened to one run of one host.
#[derive(Clone, Debug)]
pub struct Record {
    /// When, on the wall clock that all processes of this machine share.
    pub at: SystemTime,
    /// When the harness came to know of it.
    pub received: SystemTime,
    /// The id of the host.
    pub host: String,
    /// The process id: tells the runs of a host apart.
    pub pid: u32,
    /// What it was.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum What {
    /// The host reported an event.
    Event(Event),
    /// The host wrote a line on stdout that is no event.
    Unreadable(String),
    /// The harness stopped the host where it stood (SIGSTOP).
    Paused,
    /// The harness let the host go on (SIGCONT).
    Resumed,
    /// The harness killed the host (SIGKILL), which has ended.
    Killed,
}

/// One line of a host's `--log-format json`.
#[derive(Clone, Debug)]
pub struct Event {
    /// The `event` field; empty for a line that is about nothing in particular.
    pub name: String,
    /// The `task` field.
    pub task: Option<String>,
    /// The `term` field.
    pub term: Option<u64>,
    /// The `fencing_token` field.
    pub fencing_token: Option<u64>,
    /// The `message` field.
    pub message: String,
    /// The whole line.
    pub line: Value,
}

impl Event {
    /// Reads a line; also the time it bears.
    pub fn parse(line: &str) -> Result<(SystemTime, Self)> {
        let line: Value = serde_json::from_str(line).context("not JSON")?;
        let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| line.get(name).and_then(Value::as_u64);
        let at = humantime::parse_rfc3339(&text("timestamp").context("no timestamp")?)
            .context("bad timestamp")?;
        let event = Self {
            name: text("event").unwrap_or_default(),
            task: text("task"),
            term: number("term"),
            fencing_token: number("fencing_token"),
            message: text("message").context("no message")?,
            line,
        };
        Ok((at, event))
    }

    /// A field of the line, as text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.line.get(field)?.as_str()
    }

    /// A field of the line that is a duration.
    pub fn duration(&self, field: &str) -> Option<Duration> {
        Duration::try_from_secs_f64(self.line.get(field)?.as_f64()?).ok()
    }
}

impl Record {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&Event> {
        match &self.what {
            What::Event(event) => Some(event),
            _ => None,
        }
    }

    /// Whether this is the event of that name.
    pub fn is(&self, name: &str) -> bool {
        self.event().is_some_and(|event| event.name == name)
    }

    /// By how many hours the clock of the host was wrong when it reported this.
    pub fn hours_wrong(&self) -> i64 {
        let stamp = self
            .event()
            .and_then(|event| humantime::parse_rfc3339(event.text("timestamp")?).ok());
        stamp.map_or(0, |stamp| clock::hours_wrong(stamp, self.at))
    }

    /// Whether this is the event of that name, about that task.
    pub fn is_of(&self, name: &str, task: &str) -> bool {
        self.event()
            .is_some_and(|event| event.name == name && event.task.as_deref() == Some(task))
    }
}

/// Everything recorded so far, in the order of arrival. Clones share it.
#[derive(Clone, Debug)]
pub struct History(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    records: Mutex<Vec<Record>>,
    length: watch::Sender<usize>,
}

impl Default for History {
    fn default() -> Self {
        Self(Arc::new(Shared {
            records: Mutex::default(),
            length: watch::Sender::new(0),
        }))
    }
}

impl History {
    /// Adds a record.
    pub fn add(&self, record: Record) {
        let mut records = self.lock();
        records.push(record);
        self.0.length.send_replace(records.len());
    }

    /// How many records there are: what comes later has a position from here on.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of all records from position `from` on.
    pub fn since(&self, from: usize) -> Vec<Record> {
        self.lock().get(from..).unwrap_or_default().to_vec()
    }

    /// A copy of all records, in the order in which things happened.
    pub fn in_order(&self) -> Vec<Record> {
        let mut records = self.since(0);
        records.sort_by_key(|record| record.at);
        records
    }

    /// Waits for the first record from position `from` on that fits, which may be there already.
    ///
    /// # Errors
    /// Names `what` and shows the latest records when none has come within `patience`.
    pub async fn wait_for(
        &self,
        from: usize,
        what: &str,
        patience: Duration,
        mut fits: impl FnMut(&Record) -> bool,
    ) -> Result<Record> {
        let mut length = self.0.length.subscribe();
        let mut position = from;
        let search = async {
            loop {
                let known = *length.borrow_and_update();
                {
                    let records = self.lock();
                    if let Some(found) = records
                        .get(position..known)
                        .and_then(|new| new.iter().find(|r| fits(r)))
                    {
                        return found.clone();
                    }
                }
                position = position.max(known);
                // The sender lives in `self`, so this cannot fail.
                let _ = length.changed().await;
            }
        };
        let found = tokio::time::timeout(patience, search).await;
        found.with_context(|| {
            format!(
                "waited {patience:?} in vain for {what}; the latest records:\n{}",
                self.tail()
            )
        })
    }

    fn tail(&self) -> String {
        let records = self.lock();
        let tail = &records[records.len().saturating_sub(40)..];
        let lines: Vec<String> = tail.iter().map(|record| format!("  {record}")).collect();
        lines.join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.0
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            at,
            host,
            pid,
            what,
            ..
        } = self;
        write!(
            f,
            "{} {host} ({pid}) ",
            humantime::format_rfc3339_micros(*at)
        )?;
        match what {
            What::Event(event) => event.line.fmt(f),
            other => write!(f, "{other:?}"),
        }
    }
}
