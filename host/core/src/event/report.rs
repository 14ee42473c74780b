//! Hands events to their subscribers.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use tracing::Level;

use super::Event;
use crate::term::Term;

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// The session of this host, or the host itself.
    Session,
    /// A further session of this host, by its number, which counts from 2.
    Shard(u32),
    /// A task, by its name, outside any term.
    Task(&'a str),
    /// A term of a task.
    Term(&'a Term),
}

/// An event together with its subject.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The subject of the event.
    pub about: About<'a>,
    /// The event.
    pub event: &'a Event,
}

/// Receives events and makes something of them.
///
/// Many threads report events, and one of them renews the lease. So a subscriber copies what it needs and never waits.
pub trait Subscriber: Send + Sync {
    /// Receives an event of any level.
    fn event(&self, report: &Report<'_>);

    /// Whether this subscriber uses lines of plugins at that level. The host does not make a line that no subscriber uses,
    /// nor count it.
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

/// [`subscribe`] was called a second time in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process has its subscribers already")]
pub struct AlreadySubscribed;

/// The subscribers of this process. They are global, because every import of every plugin reports events, and all of them
/// would hold the same handle.
static SUBSCRIBERS: OnceLock<Vec<Box<dyn Subscriber>>> = OnceLock::new();

/// Hands every later event of this process to each of these subscribers. Earlier events are lost.
///
/// # Errors
/// [`AlreadySubscribed`] if this process has its subscribers already.
pub fn subscribe(subscribers: Vec<Box<dyn Subscriber>>) -> Result<(), AlreadySubscribed> {
    SUBSCRIBERS.set(subscribers).map_err(|_| AlreadySubscribed)
}

fn subscribers() -> &'static [Box<dyn Subscriber>] {
    SUBSCRIBERS.get().map_or(&[], Vec::as_slice)
}

/// Whether any subscriber of this process uses lines of plugins at that level.
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
    /// The fields beside `event`, `level` and `message` in JSON: those of the subject and those of the event.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = match serde_json::to_value(self.event) {
            Ok(Value::Object(fields)) => fields,
            // An event without fields.
            _ => Map::new(),
        };
        let task = match self.about {
            About::Session => return fields,
            About::Shard(number) => {
                fields.insert("shard".into(), number.into());
                return fields;
            }
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
