//! Writes what is said as lines on stdout: text for a person at a terminal, or JSON for a program; or as entries of systemd's
//! journal.
//!
//! ```text
//! events (core) ----------------> Lines, other subscribers, KeptLines -> the journal (core)
//! tracing: libraries, our own
//! remarks --------> Remarks ----> Lines -> LineQueue -> its own thread -> stdout, or Journal
//! ```

use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use soloist_core::event::{self, AlreadySubscribed, Report, Subscriber};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

mod journal;
mod kept;
mod levels;
mod line;
mod queue;
mod remarks;

pub use journal::{JOURNAL, Journal};
pub use kept::KeptLines;
pub use levels::{BadLevels, Levels};
pub use line::{LogFormat, Terminal};
pub use queue::{LastLines, LineQueue};
pub use remarks::{Hidden, Remarks};

use levels::OWN;
use line::Line;

/// This process reports to somebody already.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its events do.
    #[error(transparent)]
    Events(#[from] AlreadySubscribed),
    /// What libraries say does.
    #[error(transparent)]
    Remarks(#[from] TryInitError),
}

/// Has everything that is said in this process written to `lines`, without the `hidden` secrets where libraries say it;
/// events are handed to the `others` as well.
///
/// # Errors
/// This process reports to somebody already.
pub fn start<W>(
    lines: Lines<W>,
    hidden: Hidden,
    others: Vec<Box<dyn Subscriber>>,
) -> Result<(), StartError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = Arc::new(lines);
    let mut subscribers: Vec<Box<dyn Subscriber>> = vec![Box::new(Arc::clone(&lines))];
    subscribers.extend(others);
    start_all(lines, hidden, subscribers)
}

/// The same, but events are handed to the `subscribers` alone: `lines` has what libraries say, and our own remarks.
///
/// # Errors
/// This process reports to somebody already.
pub fn start_with<W>(
    lines: Lines<W>,
    hidden: Hidden,
    subscribers: Vec<Box<dyn Subscriber>>,
) -> Result<(), StartError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    start_all(Arc::new(lines), hidden, subscribers)
}

fn start_all<W>(
    lines: Arc<Lines<W>>,
    hidden: Hidden,
    subscribers: Vec<Box<dyn Subscriber>>,
) -> Result<(), StartError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let remarks = Remarks::new(lines, hidden);
    tracing_subscriber::registry().with(remarks).try_init()?;
    Ok(event::subscribe(subscribers)?)
}

/// Writes events as lines.
#[derive(Debug)]
pub struct Lines<W> {
    writer: W,
    format: LogFormat,
    levels: Levels,
    host: String,
    terminal: Option<Terminal>,
}

impl<W> Lines<W> {
    /// Writes as `host`, in `format`, the lines of these `levels`.
    pub fn new(writer: W, format: LogFormat, levels: Levels, host: String) -> Self {
        Self {
            writer,
            format,
            levels,
            host,
            terminal: None,
        }
    }

    /// Writes text for a terminal, if there is one.
    #[must_use]
    pub fn on(self, terminal: Option<Terminal>) -> Self {
        Self { terminal, ..self }
    }
}

impl<W: for<'a> MakeWriter<'a>> Lines<W> {
    /// Writes a line; gives the number of its bytes.
    fn write(&self, line: Line<'_>) -> usize {
        let line = match self.format {
            LogFormat::Json => (line.json() + "\n").into_bytes(),
            LogFormat::Text => (line.text(self.terminal.as_ref()) + "\n").into_bytes(),
            LogFormat::Journal => line.journal(),
        };
        // A line that cannot be written cannot be reported either.
        let _ = self.writer.make_writer().write_all(&line);
        line.len()
    }
}

impl<W> Subscriber for Lines<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync,
{
    fn event(&self, report: &Report<'_>) {
        if self.levels.show(OWN, report.event.level()) {
            self.write(Line::of(report, &self.host, SystemTime::now()));
        }
    }

    fn wants_line(&self, level: Level) -> bool {
        self.levels.show(OWN, level)
    }
}
