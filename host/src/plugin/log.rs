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
    /// How long a line with its fields may be, in bytes.
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

    /// How much of a line has to be there for [`PluginLog::clean_line`], in bytes.
    pub(super) fn seen_bytes(&self) -> usize {
        self.line_bytes + self.redactor.longest()
    }

    /// What may be told of a line that the plugin wrote, of which so many bytes more were cut off.
    pub(super) fn clean_line(&self, line: &str, missing: usize) -> String {
        told(self.redactor.redact_within(line, missing, self.line_bytes))
    }

    /// What may be told of a text that the plugin wrote: without its secrets, and no more of it than so many bytes.
    pub(super) fn clean(&self, text: &str, max_bytes: usize) -> String {
        told(self.redactor.redact_within(text, 0, max_bytes))
    }

    /// Reports what is made of a line, of bounded length and with nothing in it that must not be told; makes and reports
    /// nothing if there have been too many lately.
    pub(super) fn write(&self, level: Level, make: impl FnOnce() -> (String, Map<String, Value>)) {
        let admitted = self.rate().admit(clock::now());
        if let Some(dropped) = admitted {
            self.report_dropped(dropped);
            let (line, details) = make();
            About::term(&self.term).report_with(Event::PluginLog, level, line, details);
        }
    }

    /// Reports something about the plugin, in which words of its own may be.
    pub(super) fn warn(&self, message: &str, details: Map<String, Value>) {
        self.write(Level::WARN, || (self.clean_line(message, 0), details));
    }

    /// A line that the plugin wrote, and its fields: as much of them as fits into one.
    fn clean_fields(&self, message: &str, fields: &[(String, String)]) -> (String, Map<String, Value>) {
        let mut room = self.line_bytes;
        let mut clean = |text: &str| {
            let clean = self.clean(text, room);
            room = room.saturating_sub(clean.len());
            (clean, room > 0)
        };
        let (message, mut fits) = clean(message);
        let mut kept = Map::new();
        let mut omitted = 0;
        for (index, (name, value)) in fields.iter().enumerate() {
            if !fits || index >= MAX_FIELDS {
                omitted = fields.len() - index;
                break;
            }
            let (name, _) = clean(name);
            let (value, more) = clean(value);
            kept.insert(name, value.into());
            fits = more;
        }
        let mut details = Map::new();
        if !kept.is_empty() {
            details.insert("fields".into(), kept.into());
        }
        if omitted > 0 {
            details.insert("omitted_fields".into(), omitted.into());
        }
        (message, details)
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

/// A line, and how many bytes of it are missing.
fn told((kept, missing): (String, usize)) -> String {
    if missing > 0 { format!("{kept} [{missing} more bytes]") } else { kept }
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
        self.log.write(level, || self.log.clean_fields(&message, &fields));
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

    fn log() -> PluginLog {
        let term = Term {
            number: 1,
            fencing_token: crate::term::FencingToken(1),
            task: "task".into(),
            host: "host".into(),
            record_version: 1,
        };
        PluginLog::new(Arc::new(term), &PluginSettings::default())
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        assert_eq!(log().clean("short", 8192), "short");
        let line = format!("x{}", "é".repeat(8192));
        let cut = log().clean(&line, 8192);
        assert!(cut.ends_with(" [8194 more bytes]"), "{}", &cut[cut.len() - 40..]);
    }

    #[test]
    fn a_line_with_all_its_fields_is_no_longer_than_a_line() {
        let field = |number: usize| (format!("field-{number}"), "\u{1}".repeat(4000));
        let fields: Vec<_> = (0..100).map(field).collect();
        let (message, details) = log().clean_fields("short", &fields);
        assert_eq!(message, "short");
        assert_eq!(details["fields"].as_object().unwrap().len(), 3);
        assert_eq!(details["omitted_fields"], 97);
        let told = serde_json::to_string(&details).unwrap();
        assert!(told.len() < 6 * 8192 + 200, "{}", told.len());
        let few: Vec<_> = (0..100).map(|number| (number.to_string(), "x".to_owned())).collect();
        let (_, details) = log().clean_fields("short", &few);
        assert_eq!(
            (details["fields"].as_object().unwrap().len(), &details["omitted_fields"]),
            (MAX_FIELDS, &68.into())
        );
    }
}
