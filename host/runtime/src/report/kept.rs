//! Keeps the lines about tasks for whoever asks the host for them later.

use std::sync::Arc;
use std::time::SystemTime;

use soloist_core::event::{About, Report, Subscriber};
use soloist_core::journal::Journal;
use tracing::Level;

use super::levels::{Levels, OWN};
use super::line::Line;

/// Adds events about tasks to a journal, as lines of JSON: those that the log shows.
#[derive(Debug)]
pub struct KeptLines {
    journal: Arc<Journal>,
    levels: Levels,
    host: String,
}

impl KeptLines {
    /// Keeps the lines of these `levels`, said by `host`.
    pub fn new(journal: Arc<Journal>, levels: Levels, host: String) -> Self {
        Self {
            journal,
            levels,
            host,
        }
    }
}

impl Subscriber for KeptLines {
    fn event(&self, report: &Report<'_>) {
        let task = match report.about {
            About::Term(term) => &*term.task,
            About::Task(task) => task,
            About::Session | About::Shard(_) => return,
        };
        if self.levels.show(OWN, report.event.level()) {
            let at = SystemTime::now();
            let line = Line::of(report, &self.host, at).json();
            self.journal.add(task, at, line);
        }
    }

    fn wants_line(&self, level: Level) -> bool {
        self.levels.show(OWN, level)
    }
}
