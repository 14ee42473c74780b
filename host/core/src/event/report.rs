//! Who hears of an event.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use tracing::Level;

use super::Event;
use crate::term::Term;

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// The session of this host.
    Session,
    /// A task, by its name, outside any term.
    Task(&'a str),
    /// A term of a task.
    Term(&'a Term),
}

/// An event, and what it is about.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What it is about.
    pub about: About<'a>,
    /// What happened.
    pub event: &'a Event,
}

/// Makes something of events.
///
/// Events come from many threads, one of which renews the lease: a subscriber takes what it needs and does not wait.
pub trait Subscriber: Send + Sync {
    /// Takes an event of any level.
    fn event(&self, report: &Report<'_>);

    /// Says whether lines of plugins at that level are of use. Those that are of use to no subscriber are not made, and
    /// count for nothing.
    fn wants_line(&self, level: Level) -> bool;
}

impl<T: Subscriber + ?Sized> Subscriber for Arc<T> {
    fn event(&self, report: &Report<'_>) {
        (**self).event(report);
    }

    fn wants_line(&self, level: Level) -> bool {
        (**self).wants_line(level)
    }
}

/// This process has its subscribers already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process has its subscribers already")]
pub struct AlreadySubscribed;

/// A process has one set of them. A handle would have to be passed to every import of every plugin, and all of them would
/// hold the same one.
static SUBSCRIBERS: OnceLock<Vec<Box<dyn Subscriber>>> = OnceLock::new();

/// Hands every event of this process from here on to each of these. What was reported before is lost.
///
/// # Errors
/// This process has its subscribers already.
pub fn subscribe(subscribers: Vec<Box<dyn Subscriber>>) -> Result<(), AlreadySubscribed> {
    SUBSCRIBERS.set(subscribers).map_err(|_| AlreadySubscribed)
}

fn subscribers() -> &'static [Box<dyn Subscriber>] {
    SUBSCRIBERS.get().map_or(&[], Vec::as_slice)
}

/// Says whether any subscriber of this process wants lines of plugins at that level.
pub fn wants_line(level: Level) -> bool {
    subscribers()
        .iter()
        .any(|subscriber| subscriber.wants_line(level))
}

impl About<'_> {
    /// Hands the event to every subscriber of this process.
    pub fn report(self, event: &Event) {
        let report = Report { about: self, event };
        for subscriber in subscribers() {
            subscriber.event(&report);
        }
    }
}

impl Report<'_> {
    /// What stands beside `event`, `level` and `message` in JSON: what it is about, and the fields of the event.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = match serde_json::to_value(self.event) {
            Ok(Value::Object(fields)) => fields,
            // An event without fields.
            _ => Map::new(),
        };
        let task = match self.about {
            About::Session => return fields,
            About::Task(task) => task,
            About::Term(term) => {
                fields.insert("term".into(), term.number.into());
                fields.insert("fencing_token".into(), term.fencing_token.0.into());
                &*term.task
            }
        };
        fields.insert("task".into(), task.into());
        fields
    }
}
