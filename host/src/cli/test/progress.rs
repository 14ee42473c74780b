//! How far `soloist test --explore` is, for somebody who sits there.

use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use soloist_core::text::printable;

use crate::cli::output::stderr;

/// Has a terminal write over its line.
const OVER: &str = "\r\u{1b}[K";
/// How often a terminal is told.
const PERIOD: Duration = Duration::from_millis(200);
/// How often whoever reads a pipe is told, and when first: with a line each time.
const PERIOD_OF_PIPE: Duration = Duration::from_secs(5);
/// The width of a terminal that does not say how wide it is.
const COLUMNS: usize = 80;

/// Says on stderr how many failovers have been tried: on a terminal in one line, which goes in the end.
pub(super) struct Progress {
    name: String,
    /// How wide the terminal is, if there is one.
    columns: Option<usize>,
    /// When it is said again.
    due: Mutex<Instant>,
}

impl Progress {
    pub(super) fn of(name: &str) -> Self {
        let columns = stderr().map(|terminal| (terminal.columns)().unwrap_or(COLUMNS));
        Self::new(name, columns, Instant::now())
    }

    fn new(name: &str, columns: Option<usize>, now: Instant) -> Self {
        let first = if columns.is_some() {
            now
        } else {
            now + PERIOD_OF_PIPE
        };
        Self {
            name: printable(name).into_owned(),
            columns,
            due: Mutex::new(first),
        }
    }

    pub(super) fn tell(&self, tried: usize, of: usize) {
        let Some(line) = self.line(Instant::now(), tried, of) else {
            return;
        };
        // Whoever has taken stderr away needs none.
        let _ = match self.columns {
            Some(_) => write!(io::stderr(), "{OVER}{line}"),
            None => writeln!(io::stderr(), "{line}"),
        };
    }

    /// What is said now, if it is time.
    fn line(&self, now: Instant, tried: usize, of: usize) -> Option<String> {
        // While another thread says it, there is nothing to add.
        let mut due = self.due.try_lock().ok()?;
        if now < *due {
            return None;
        }
        let period = self.columns.map_or(PERIOD_OF_PIPE, |_| PERIOD);
        *due = now + period;
        let line = format!("{tried} of {of} failovers tried: {}", self.name);
        Some(match self.columns {
            Some(columns) => line.chars().take(columns.saturating_sub(1)).collect(),
            None => line,
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.columns.is_some() {
            let _ = write!(io::stderr(), "{OVER}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_at_once_and_a_pipe_after_some_seconds() {
        let now = Instant::now();
        let terminal = Progress::new("a life", Some(20), now);
        assert_eq!(
            terminal.line(now, 1, 300).as_deref(),
            Some("1 of 300 failovers ")
        );
        assert_eq!(terminal.line(now, 2, 300), None);
        assert!(terminal.line(now + PERIOD, 3, 300).is_some());

        let pipe = Progress::new("a life", None, now);
        assert_eq!(pipe.line(now + PERIOD, 1, 300), None);
        let told = pipe.line(now + PERIOD_OF_PIPE, 70, 300);
        assert_eq!(told.as_deref(), Some("70 of 300 failovers tried: a life"));
        assert_eq!(pipe.line(now + PERIOD_OF_PIPE + PERIOD, 71, 300), None);
    }
}
