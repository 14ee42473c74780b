//! What the plugin and its terms report.

use std::cell::RefCell;

use soloist_core::event::{About, Event, Report, Subscriber};
use tracing::Level;

/// How many events are kept: older ones are dropped then.
const EVENTS_MAX: usize = 200_000;

/// An event of a term.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) term: u64,
    pub(super) event: Event,
}

#[derive(Debug, Default)]
struct Kept {
    told: Vec<Told>,
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
            let Some(Kept { told }) = kept else { return };
            if told.len() == EVENTS_MAX {
                told.drain(..EVENTS_MAX / 2);
            }
            told.push(Told {
                term: term.number,
                event: report.event.clone(),
            });
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

/// What was told in a term of this thread's life.
pub(super) fn of_term(term: u64) -> Vec<Event> {
    told(|told| told.term == term)
}

/// What was told since a term, that one included.
pub(super) fn since(term: u64) -> Vec<Event> {
    told(|told| told.term >= term)
}

fn told(wanted: impl Fn(&Told) -> bool) -> Vec<Event> {
    KEPT.with_borrow(|kept| {
        let told = kept.iter().flat_map(|kept| &kept.told);
        told.filter(|told| wanted(told))
            .map(|told| told.event.clone())
            .collect()
    })
}

impl Drop for Record {
    fn drop(&mut self) {
        KEPT.set(None);
    }
}
