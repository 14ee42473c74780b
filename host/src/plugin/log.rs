//! The import `log`, and the bounds on everything that a plugin writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::Level;

use super::PluginSettings;
use super::bindings::log;
use super::limits::count;
use super::store::Host;
use crate::clock::{self, Moment};
use crate::events::{About, Event};
use crate::secret::Redactor;
use crate::term::Term;

/// How many fields a line may have.
pub const MAX_FIELDS: usize = 32;

/// How long the text of a failure may be, in bytes; what is longer is cut.
pub(super) const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// What one plugin writes in one term. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct PluginLog {
    term: Arc<Term>,
    /// How long a line, or the value of a field, may be, in bytes.
    line_bytes: usize,
    rate: Arc<Mutex<Rate>>,
    redactor: Arc<Redactor>,
}

impl PluginLog {
    /// A log whose lines are about `term`.
    pub(super) fn new(term: Arc<Term>, settings: &PluginSettings) -> Self {
        let limits = &settings.limits;
        let rate = Rate::new(limits.log_rate, limits.log_burst, clock::now());
        let redactor = Redactor::new(settings.secrets.values());
        Self {
            term,
            line_bytes: count(limits.log_line),
            rate: Arc::new(Mutex::new(rate)),
            redactor: Arc::new(redactor),
        }
    }

    /// How long a line may be, in bytes.
    pub(super) fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// What may be told of a text that the plugin wrote: without its secrets, and no more of it than so many bytes.
    pub(super) fn clean(&self, text: &str, max_bytes: usize) -> String {
        cut(&self.redactor.redact(text), max_bytes)
    }

    /// Reports one line, already of bounded length, unless there have been too many lately.
    pub(super) fn write(&self, level: Level, line: &str, details: Map<String, Value>) {
        let admitted = self.rate().admit(clock::now());
        if let Some(dropped) = admitted {
            self.report_dropped(dropped);
            About::term(&self.term).report_with(Event::PluginLog, level, self.redactor.redact(line), details);
        }
    }

    /// Reports what was dropped and not yet said.
    pub(super) fn finish(&self) {
        let dropped = std::mem::take(&mut self.rate().dropped);
        self.report_dropped(dropped);
    }

    fn report_dropped(&self, dropped: u64) {
        if dropped > 0 {
            let (rate, burst) = {
                let rate = self.rate();
                (rate.per_second, rate.burst)
            };
            let message = format!(
                "{dropped} lines dropped: more than {rate} a second (`limits.log_rate`), or {burst} at once \
                 (`limits.log_burst`)"
            );
            let details = crate::events::details([("dropped", dropped.into())]);
            About::term(&self.term).report_with(Event::PluginLog, Level::WARN, message, details);
        }
    }

    fn rate(&self) -> std::sync::MutexGuard<'_, Rate> {
        // The counts are right whoever panicked while holding them.
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token bucket.
#[derive(Debug)]
struct Rate {
    per_second: u32,
    burst: u32,
    tokens: u32,
    refilled: Moment,
    dropped: u64,
}

impl Rate {
    fn new(per_second: u32, burst: u32, now: Moment) -> Self {
        Self { per_second: per_second.max(1), burst, tokens: burst, refilled: now, dropped: 0 }
    }

    /// How long it takes to earn a line.
    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }

    /// Lets a line pass, saying how many were dropped before it; `None` drops this one too.
    fn admit(&mut self, now: Moment) -> Option<u64> {
        let interval = self.interval();
        let earned = now.saturating_since(self.refilled).as_nanos() / interval.as_nanos();
        if let Ok(earned) = u32::try_from(earned) {
            self.refilled = self.refilled + interval * earned;
            self.tokens = self.tokens.saturating_add(earned).min(self.burst);
        } else {
            (self.refilled, self.tokens) = (now, self.burst);
        }
        if let Some(left) = self.tokens.checked_sub(1) {
            self.tokens = left;
            Some(std::mem::take(&mut self.dropped))
        } else {
            self.dropped += 1;
            None
        }
    }
}

/// The line, or as much of it as may be reported and how much that leaves out.
fn cut(line: &str, max_bytes: usize) -> String {
    let kept = &line[..line.floor_char_boundary(max_bytes)];
    match line.len() - kept.len() {
        0 => kept.to_owned(),
        rest => format!("{kept} [{rest} more bytes]"),
    }
}

impl log::Host for Host {
    fn log(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => Level::TRACE,
            log::Level::Debug => Level::DEBUG,
            log::Level::Info => Level::INFO,
            log::Level::Warn => Level::WARN,
            log::Level::Error => Level::ERROR,
        };
        let mut details = Map::new();
        if !fields.is_empty() {
            let omitted = fields.len().saturating_sub(MAX_FIELDS);
            let fields = fields.iter().take(MAX_FIELDS);
            let cut = |text: &str| self.log.clean(text, self.log.line_bytes());
            let fields = fields.map(|(name, value)| (cut(name), Value::from(cut(value)))).collect::<Map<_, _>>();
            details.insert("fields".into(), fields.into());
            if omitted > 0 {
                details.insert("omitted_fields".into(), omitted.into());
            }
        }
        self.log.write(level, &self.log.clean(&message, self.log.line_bytes()), details);
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.panic = Some(self.log.clean(&message, MAX_MESSAGE_BYTES));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u32 = 1000;
    const INTERVAL: Duration = Duration::from_millis(5);

    #[test]
    fn a_flood_is_dropped_and_counted_and_the_count_comes_with_the_next_line() {
        let start = Moment::from_nanos(1);
        let mut rate = Rate::new(200, BURST, start);
        for _ in 0..BURST {
            assert_eq!(rate.admit(start), Some(0));
        }
        assert_eq!(rate.admit(start), None);
        assert_eq!(rate.admit(start), None);
        assert_eq!(rate.admit(start + INTERVAL), Some(2));
        assert_eq!(rate.admit(start + INTERVAL), None);
    }

    #[test]
    fn a_rest_earns_a_burst_and_no_more() {
        let mut rate = Rate::new(200, BURST, Moment::from_nanos(0));
        let later = Moment::from_nanos(u64::MAX / 2);
        for _ in 0..BURST {
            assert_eq!(rate.admit(later), Some(0));
        }
        assert_eq!(rate.admit(later), None);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        assert_eq!(cut("short", 8192), "short");
        let line = "é".repeat(8192);
        let cut = cut(&format!("x{line}"), 8192);
        assert!(cut.ends_with(" [8194 more bytes]"), "{}", &cut[cut.len() - 40..]);
    }
}
