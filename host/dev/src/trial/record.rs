//! What the plugin and its terms report.

use std::cell::RefCell;
use std::collections::VecDeque;

use soloist_core::event::{About, Event, Origin, Report, Subscriber};
use tracing::Level;

/// How many events are kept, and how many bytes of lines: older ones are dropped then.
const EVENTS_MAX: usize = 200_000;
const LINE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How many failures are kept: a life that has more has told enough.
const FAILURES_MAX: usize = 1_000;

/// An event of a term.
#[derive(Clone, Debug)]
struct Told {
    term: u64,
    event: Event,
}

/// A failure of the plugin.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) term: u64,
    pub(super) message: String,
}

#[derive(Debug, Default)]
struct Kept {
    told: VecDeque<Told>,
    line_bytes: usize,
    /// The term of the latest event that was dropped.
    dropped: Option<u64>,
    failures: Vec<Failed>,
}

impl Kept {
    fn add(&mut self, term: u64, event: Event) {
        if let Event::PluginFailed { .. } = event
            && self.failures.len() < FAILURES_MAX
        {
            let message = event.message().into_owned();
            self.failures.push(Failed { term, message });
        }
        self.line_bytes += line_bytes(&event);
        self.told.push_back(Told { term, event });
        while self.told.len() > EVENTS_MAX || self.line_bytes > LINE_BYTES_MAX {
            let Some(oldest) = self.told.pop_front() else {
                return;
            };
            self.line_bytes -= line_bytes(&oldest.event);
            self.dropped = Some(oldest.term);
        }
    }
}

fn line_bytes(event: &Event) -> usize {
    let Event::PluginLog(line) = event else {
        return 0;
    };
    let fields = match &line.origin {
        Origin::Log { fields, .. } => fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum(),
        _ => 0,
    };
    line.text.len() + fields
}

thread_local! {
    /// The record of the life that this thread runs, if it runs one.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Hears of what is reported on a thread that runs a life. The process has to [subscribe](soloist_core::event::subscribe)
/// it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listener;

impl Subscriber for Listener {
    fn event(&self, report: &Report<'_>) {
        let About::Term(term) = report.about else {
            return;
        };
        KEPT.with_borrow_mut(|kept| {
            if let Some(kept) = kept {
                kept.add(term.number, report.event.clone());
            }
        });
    }

    fn wants_line(&self, _: Level) -> bool {
        KEPT.with_borrow(Option::is_some)
    }
}

/// The record of this thread's life. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Record(());

impl Record {
    /// Begins a record on this thread.
    pub(super) fn begin() -> Self {
        KEPT.set(Some(Kept::default()));
        Self(())
    }
}

/// What was told in a term of this thread's life, and whether that is all of it.
pub(super) fn of_term(term: u64) -> (Vec<Event>, bool) {
    KEPT.with_borrow(|kept| {
        let told = kept.iter().flat_map(|kept| &kept.told);
        let told = told.filter(|told| told.term == term);
        let told = told.map(|told| told.event.clone()).collect();
        let dropped = kept.as_ref().and_then(|kept| kept.dropped);
        (told, dropped.is_none_or(|dropped| dropped < term))
    })
}

/// Every failure of the plugin so far.
pub(super) fn failures() -> Vec<Failed> {
    KEPT.with_borrow(|kept| {
        kept.as_ref()
            .map_or_else(Vec::new, |kept| kept.failures.clone())
    })
}

impl Drop for Record {
    fn drop(&mut self) {
        KEPT.set(None);
    }
}

#[cfg(test)]
mod tests {
    use soloist_core::cause::Cause;
    use soloist_core::event::PluginLine;

    use super::*;

    fn line(text: String) -> Event {
        Event::PluginLog(PluginLine {
            level: Level::INFO,
            text,
            origin: Origin::Stdio { stream: "stdout" },
        })
    }

    #[test]
    fn failures_are_known_however_much_is_written_after_them() {
        let mut kept = Kept::default();
        kept.add(
            1,
            Event::PluginFailed {
                cause: Cause::Returned("early".to_owned()),
                backtrace: None,
                restart_in: None,
            },
        );
        for _ in 0..EVENTS_MAX {
            kept.add(2, line(String::new()));
        }
        assert_eq!(kept.told.len(), EVENTS_MAX);
        assert_eq!((kept.failures.len(), kept.dropped), (1, Some(1)));
        let large = LINE_BYTES_MAX / 4;
        for _ in 0..9 {
            kept.add(3, line("x".repeat(large)));
        }
        assert_eq!(kept.told.len(), 4);
        assert_eq!(kept.dropped, Some(3));
    }
}
