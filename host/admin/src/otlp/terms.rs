//! The spans of terms, from what events tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use soloist_core::clock;
use soloist_core::event::{About, Event, Report, Subscriber};
use soloist_core::spans::{TermTrace, Tracer};
use tracing::Level;

/// The terms whose spans are open, by task.
type Open = BTreeMap<Arc<str>, (TermTrace, SystemTime)>;

/// Reports a span for each term of this host, from the election to the end of its plugin.
#[derive(Debug)]
pub struct TermSpans {
    tracer: Arc<Tracer>,
    open: Mutex<Open>,
}

impl TermSpans {
    /// Reports to this tracer.
    pub fn new(tracer: Arc<Tracer>) -> Self {
        Self {
            tracer,
            open: Mutex::default(),
        }
    }
}

impl Subscriber for TermSpans {
    fn event(&self, report: &Report<'_>) {
        let About::Term(term) = report.about else {
            return;
        };
        let reason = match report.event {
            Event::Elected { .. } => None,
            Event::Demoted { reason } | Event::Revoked { reason, .. } => {
                Some(reason.map_or("none", |reason| reason.name()))
            }
            _ => return,
        };
        // Each entry is right by itself.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = match reason {
            // A term before it whose plugin never ran has no end that is told.
            None => {
                let begun = (TermTrace::of(term), clock::wall());
                drop(open.insert(Arc::clone(&term.task), begun));
                None
            }
            Some(reason) => open.remove(&term.task).map(|begun| (begun, reason)),
        };
        drop(open);
        if let Some(((trace, begun), reason)) = ended {
            self.tracer.report(trace.whole(begun, reason));
        }
    }

    fn wants_line(&self, _: Level) -> bool {
        false
    }
}
