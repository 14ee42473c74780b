//! Hears of every event of both hosts, tells it, and knows who leads.

use std::cell::Cell;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value};
use soloist_core::event::{About, Event, Report, Subscriber};
use soloist_runtime::report::LineQueue;
use tokio::sync::watch;
use tracing::Level;

use super::told::{Manner, Told, Voice};

thread_local! {
    /// The host whose session and elections go on on this thread.
    static HOST: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Has what this thread reports of sessions and elections told as of this host.
pub(super) fn speak_as(host: &'static str) {
    HOST.set(Some(host));
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leads {
    pub(super) host: String,
    pub(super) term: u64,
}

/// Tells what happens.
#[derive(Debug)]
pub struct Teller {
    queue: LineQueue,
    manner: Manner,
    begun: Instant,
    /// The host that is dead: it says nothing.
    dead: Mutex<Option<&'static str>>,
    leads: watch::Sender<Option<Leads>>,
}

impl Teller {
    /// Tells it in this manner, from now on.
    pub fn new(queue: LineQueue, manner: Manner) -> Self {
        Self {
            queue,
            manner,
            begun: Instant::now(),
            dead: Mutex::default(),
            leads: watch::Sender::new(None),
        }
    }

    /// Tells what no host reports, under this name, of a host if it is about one. A message may have several lines.
    pub fn say(&self, level: Level, host: Option<&str>, event: &str, message: &str) {
        self.say_with(level, host, event, message, Map::new());
    }

    /// The same, with fields for programs.
    pub(super) fn say_with(
        &self,
        level: Level,
        host: Option<&str>,
        event: &str,
        message: &str,
        fields: Map<String, Value>,
    ) {
        self.write(Told {
            time: SystemTime::now(),
            after: self.begun.elapsed(),
            level,
            host,
            event,
            voice: Voice::Ours,
            message,
            fields,
        });
    }

    /// Whether fields are told.
    pub(super) fn is_for_programs(&self) -> bool {
        matches!(self.manner, Manner::Json)
    }

    /// From here on the host says nothing, as if its process had ended.
    pub(super) fn silence(&self, host: &'static str) {
        *self.dead() = Some(host);
        self.leads.send_if_modified(|leads| {
            let led = leads.as_ref().is_some_and(|leads| leads.host == host);
            if led {
                *leads = None;
            }
            led
        });
    }

    /// The host that was dead is there again.
    pub(super) fn hear_again(&self) {
        *self.dead() = None;
    }

    /// Who leads, as it changes.
    pub(super) fn leads(&self) -> watch::Receiver<Option<Leads>> {
        self.leads.subscribe()
    }

    fn write(&self, told: Told<'_>) {
        // A line that cannot be written cannot be told either.
        let _ = self
            .queue
            .clone()
            .write_all(told.line(self.manner).as_bytes());
    }

    fn dead(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody wants to read of it: that a host begins and ends its session goes without saying.
    fn is_told(&self, event: &Event) -> bool {
        let is_noise = matches!(
            event,
            Event::SessionConnecting { .. }
                | Event::SessionConnected { again: false, .. }
                | Event::SessionClosed { .. }
        );
        event.level() <= Level::INFO && (self.is_for_programs() || !is_noise)
    }
}

impl Subscriber for Teller {
    fn event(&self, report: &Report<'_>) {
        let host = match report.about {
            About::Term(term) => Some(&*term.host),
            About::Session | About::Task(_) => HOST.get(),
        };
        // Held until it is told, so that nothing is told of a host after its death.
        let dead = self.dead();
        if dead.is_some() && *dead == host {
            return;
        }
        if self.is_told(report.event) {
            self.write(Told {
                time: SystemTime::now(),
                after: self.begun.elapsed(),
                level: report.event.level(),
                host,
                event: report.event.name(),
                voice: if report.event.is_of_plugin() {
                    Voice::Plugin
                } else {
                    Voice::Host
                },
                message: &report.event.message(),
                fields: report.fields(),
            });
        }
        let About::Term(term) = report.about else {
            return;
        };
        match report.event {
            Event::Activated => {
                let leads = Leads {
                    host: term.host.to_string(),
                    term: term.number,
                };
                self.leads.send_replace(Some(leads));
            }
            Event::Demoted { .. } | Event::Revoked { .. } => {
                self.leads.send_if_modified(|leads| {
                    let ends = leads
                        .as_ref()
                        .is_some_and(|leads| leads.term == term.number);
                    if ends {
                        *leads = None;
                    }
                    ends
                });
            }
            _ => {}
        }
    }

    fn wants_line(&self, level: Level) -> bool {
        level <= Level::INFO
    }
}
