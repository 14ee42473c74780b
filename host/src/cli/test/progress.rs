//! How far `soloist test --explore` is, for somebody who sits there.

use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use soloist_core::text::printable;

use crate::cli::output::stderr;

/// How often it is said.
const PERIOD: Duration = Duration::from_millis(200);
/// The width of a terminal that does not say how wide it is.
const COLUMNS: usize = 80;

/// A line of a terminal that says how many failovers have been tried. Whoever reads a pipe is told at the end alone.
pub(super) struct Progress {
    name: String,
    /// How wide the terminal is, if there is one.
    columns: Option<usize>,
    /// When it is said again.
    due: Mutex<Instant>,
}

impl Progress {
    pub(super) fn of(name: &str) -> Self {
        Self {
            name: printable(name).into_owned(),
            columns: stderr().map(|terminal| (terminal.columns)().unwrap_or(COLUMNS)),
            due: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn tell(&self, tried: usize, of: usize) {
        let Some(columns) = self.columns else { return };
        // While another thread says it, there is nothing to add.
        let Ok(mut due) = self.due.try_lock() else {
            return;
        };
        let now = Instant::now();
        if now < *due {
            return;
        }
        *due = now + PERIOD;
        let line = format!("{tried} of {of} failovers tried: {}", self.name);
        let line: String = line.chars().take(columns.saturating_sub(1)).collect();
        Self::show(&line);
    }

    /// Writes over the line. Whoever has taken the terminal away needs none.
    fn show(line: &str) {
        let _ = write!(io::stderr(), "\r\u{1b}[K{line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.columns.is_some() {
            Self::show("");
        }
    }
}
