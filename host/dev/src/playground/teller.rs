//! Hears of every event of both hosts, tells it, and knows who leads.

use std::cell::Cell;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value};
use soloist_core::event::{About, Event, Report, Subscriber};
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
    manner: Manner,
    begun: Instant,
    desk: Mutex<Desk>,
    leads: watch::Sender<Option<Leads>>,
}

/// What is taken for as long as an event is noted and told. So nothing is told of a host after its death, whoever reads that a
/// host leads finds it noted, and what the playground says of that comes after it.
struct Desk {
    output: Box<dyn Write + Send>,
    /// The host that is dead: it says nothing.
    dead: Option<&'static str>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

impl Teller {
    /// Tells it in this manner, from now on. Threads that renew leases wait while a line is written: `output` must not block, as
    /// a `LineQueue` does not.
    pub fn new(output: impl Write + Send + 'static, manner: Manner) -> Self {
        Self {
            manner,
            begun: Instant::now(),
            desk: Mutex::new(Desk {
                output: Box::new(output),
                dead: None,
            }),
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
        let told = Told {
            time: SystemTime::now(),
            after: self.begun.elapsed(),
            level,
            host,
            event,
            voice: Voice::Ours,
            message,
            fields,
        };
        self.desk().write(told, self.manner);
    }

    /// Whether fields are told.
    pub(super) fn is_for_programs(&self) -> bool {
        matches!(self.manner, Manner::Json)
    }

    /// From here on the host says nothing, as if its process had ended.
    pub(super) fn silence(&self, host: &'static str) {
        self.desk().dead = Some(host);
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
        self.desk().dead = None;
    }

    /// Who leads, as it changes.
    pub(super) fn leads(&self) -> watch::Receiver<Option<Leads>> {
        self.leads.subscribe()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes who leads, if the event is about that.
    fn note(&self, report: &Report<'_>) {
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

impl Desk {
    fn write(&mut self, told: Told<'_>, manner: Manner) {
        // A line that cannot be written cannot be told either.
        let _ = self.output.write_all(told.line(manner).as_bytes());
    }
}

impl Subscriber for Teller {
    fn event(&self, report: &Report<'_>) {
        let host = match report.about {
            About::Term(term) => Some(&*term.host),
            About::Session | About::Shard(_) | About::Task(_) => HOST.get(),
        };
        let mut desk = self.desk();
        if desk.dead.is_some() && desk.dead == host {
            return;
        }
        self.note(report);
        if self.is_told(report.event) {
            let told = Told {
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
            };
            desk.write(told, self.manner);
        }
    }

    fn wants_line(&self, level: Level) -> bool {
        level <= Level::INFO
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, OnceLock};

    use soloist_core::term::{Demotion, FencingToken, Term};

    use super::*;

    /// Somebody who looks who leads as soon as a line can be read.
    #[derive(Clone, Default)]
    struct Reader {
        leads: Arc<OnceLock<watch::Receiver<Option<Leads>>>>,
        seen: Arc<Mutex<Vec<Option<String>>>>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let leads = self.leads.get().expect("nothing is told before");
            let host = leads.borrow().as_ref().map(|leads| leads.host.clone());
            self.seen.lock().unwrap().push(host);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_reads_that_a_host_leads_or_does_not_any_more_finds_it_noted() {
        let reader = Reader::default();
        let teller = Teller::new(reader.clone(), Manner::Json);
        reader.leads.set(teller.leads()).unwrap();
        let term = Term {
            number: 1,
            fencing_token: FencingToken(1),
            task: "task".into(),
            host: "a".into(),
            record_version: 0,
        };
        for event in [
            &Event::Activated,
            &Event::Demoted {
                reason: Some(Demotion::Shutdown),
            },
        ] {
            let about = About::Term(&term);
            teller.event(&Report { about, event });
        }
        assert_eq!(*reader.seen.lock().unwrap(), [Some("a".to_owned()), None]);
    }
}
