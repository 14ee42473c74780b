//! The log of a plugin, and its bounds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tracing::Level;

use soloist_core::clock::{self, Moment};
use soloist_core::event::{self, About, Event, Origin, PluginLine};
use soloist_core::limits::{Limits, count};
use soloist_core::permit::{LeaseLost, Permit};
use soloist_core::secret::Redactor;
use soloist_core::term::Term;
use soloist_core::text;
use soloist_core::volume::Volume;

/// The most fields that a line may have.
pub const MAX_FIELDS: usize = 32;

/// How many bytes a line has in JSON besides its message, its fields, and the names of its host and task.
const FRAME_BYTES: u64 = 180;

/// Counts how much a plugin writes. It outlives the plugin's terms, and all attempts within a term. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LogVolume(Arc<Mutex<Volume>>);

impl LogVolume {
    pub(crate) fn new(limits: &Limits) -> Self {
        let volume = Volume::new(
            limits.log_rate.into(),
            limits.log_burst.into(),
            limits.log_bytes,
        );
        Self(Arc::new(Mutex::new(volume)))
    }

    fn lock(&self) -> MutexGuard<'_, Volume> {
        // A thread that panicked while it held the lock left the counts right.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of one attempt of a plugin. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct PluginLog {
    term: Arc<Term>,
    permit: Permit,
    limits: Limits,
    /// How many bytes every line has besides its text and its fields.
    frame_bytes: u64,
    volume: LogVolume,
    redactor: Arc<Redactor>,
}

impl PluginLog {
    /// A log whose lines are about `term`. It ends when `permit` does.
    pub(crate) fn new(
        term: Arc<Term>,
        permit: Permit,
        limits: &Limits,
        redactor: Redactor,
        volume: LogVolume,
    ) -> Self {
        Self {
            frame_bytes: FRAME_BYTES + json_bytes(&*term.task) + json_bytes(&*term.host),
            volume,
            redactor: Arc::new(redactor),
            permit,
            term,
            limits: limits.clone(),
        }
    }

    /// The longest line, with its fields, in bytes.
    fn line_bytes(&self) -> usize {
        count(self.limits.log_line)
    }

    /// Checks that the plugin may still write.
    ///
    /// # Errors
    /// The permit has ended.
    pub(crate) fn check(&self) -> Result<(), LeaseLost> {
        self.permit.check().map(drop)
    }

    /// How many bytes of a line [`PluginLog::clean_line`] needs.
    pub(crate) fn seen_bytes(&self) -> usize {
        self.line_bytes() + self.redactor.longest()
    }

    /// A line of the plugin, without secrets and of bounded length. `missing` bytes of it were cut off before.
    pub(crate) fn clean_line(&self, line: &str, missing: usize) -> String {
        told(
            self.redactor
                .redact_within(line, missing, self.line_bytes()),
        )
    }

    /// A text of the plugin, without secrets, cut to so many bytes.
    pub(crate) fn clean(&self, text: &str, max_bytes: usize) -> String {
        told(self.redactor.redact_within(text, 0, max_bytes))
    }

    /// Reports the line that `make` gives, which has to be bounded and without secrets. Does not call `make` if no subscriber
    /// uses lines of that level, if the plugin has written too much lately, or if the permit has ended.
    pub(crate) fn write(&self, level: Level, make: impl FnOnce() -> (String, Origin)) {
        self.write_at(clock::now(), level, make);
    }

    /// Like [`write`](Self::write), for one of many lines that come at the same moment. It takes little time to drop a line.
    pub(crate) fn write_at(
        &self,
        now: Moment,
        level: Level,
        make: impl FnOnce() -> (String, Origin),
    ) {
        if !event::wants_line(level) {
            return;
        }
        if let Some(dropped) = self.admit(now) {
            self.report_dropped(dropped);
            let (text, origin) = make();
            self.report(PluginLine {
                level,
                text,
                origin,
            });
        }
    }

    /// The number of lines that were dropped since the last one that passed. None if this line may not pass: there were too
    /// many, or the permit has ended. Making a line can take a while, so each one checks the permit.
    fn admit(&self, now: Moment) -> Option<u64> {
        let dropped = self.volume.lock().admit(now)?;
        if self.check().is_err() {
            self.volume.lock().put_back(dropped);
            return None;
        }
        Some(dropped)
    }

    fn report(&self, line: PluginLine) {
        if self.permit.check().is_err() {
            return;
        }
        let bytes = self.frame_bytes + json_bytes(&*line.text) + json_bytes(&line.origin);
        self.volume.lock().reported(bytes, clock::now());
        About::Term(&self.term).report(&Event::PluginLog(line));
    }

    /// Reports that a call of an import was refused or failed. The message may hold words of the plugin.
    pub(crate) fn warn(&self, message: &str, import: &'static str) {
        self.write(Level::WARN, || {
            (self.clean_line(message, 0), Origin::Import { import })
        });
    }

    /// The text of a plugin's line and its fields, without secrets, as much of them as fits into one line.
    pub(crate) fn clean_fields(
        &self,
        message: &str,
        fields: &[(String, String)],
    ) -> (String, Origin) {
        let mut room = self.line_bytes();
        let mut clean = |text: &str| {
            let clean = self.clean(text, room);
            room = room.saturating_sub(clean.len());
            (clean, room > 0)
        };
        let (message, mut fits) = clean(message);
        let mut kept = BTreeMap::new();
        let mut omitted_fields = None;
        for (index, (name, value)) in fields.iter().enumerate() {
            if !fits || index >= MAX_FIELDS {
                omitted_fields = Some(fields.len() - index);
                break;
            }
            let (name, _) = clean(name);
            let (value, more) = clean(value);
            kept.insert(name, value);
            fits = more;
        }
        let origin = Origin::Log {
            fields: kept,
            omitted_fields,
        };
        (message, origin)
    }

    /// Reports how many lines were dropped since the last report. If the permit has ended, the next attempt reports it.
    pub(crate) fn finish(&self) {
        if self.check().is_ok() {
            let dropped = self.volume.lock().take_dropped();
            self.report_dropped(dropped);
        }
    }

    fn report_dropped(&self, dropped: u64) {
        if dropped > 0 && event::wants_line(Level::WARN) {
            let Limits {
                log_rate,
                log_burst,
                log_bytes,
                ..
            } = &self.limits;
            let text = format!(
                "{dropped} lines dropped: more than {log_rate} a second (`limits.log_rate`), {log_burst} at once \
                 (`limits.log_burst`) or {log_bytes} bytes a second (`limits.log_bytes`)"
            );
            self.report(PluginLine {
                level: Level::WARN,
                text,
                origin: Origin::Dropped { dropped },
            });
        }
    }
}

/// The length of the value in JSON, in bytes.
fn json_bytes(value: &(impl Serialize + ?Sized)) -> u64 {
    text::json(value).map_or(0, |json| json.len() as u64)
}

/// A line, with a note of how many bytes of it are missing.
fn told((kept, missing): (String, usize)) -> String {
    if missing > 0 {
        format!("{kept} [{missing} more bytes]")
    } else {
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use soloist_core::permit::SharedDeadline;

    fn log() -> PluginLog {
        let term = Term {
            number: 1,
            fencing_token: soloist_core::term::FencingToken(1),
            task: "task".into(),
            host: "host".into(),
            record_version: 1,
        };
        let limits = Limits::default();
        let redactor = Redactor::new([]);
        let volume = LogVolume::new(&limits);
        PluginLog::new(
            Arc::new(term),
            Permit::new(SharedDeadline::default()),
            &limits,
            redactor,
            volume,
        )
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        assert_eq!(log().clean("short", 8192), "short");
        let line = format!("x{}", "é".repeat(8192));
        let cut = log().clean(&line, 8192);
        assert!(
            cut.ends_with(" [8194 more bytes]"),
            "{}",
            &cut[cut.len() - 40..]
        );
    }

    #[test]
    fn the_next_attempt_has_what_is_left_to_write() {
        let (first, others) = (log(), log());
        let next = PluginLog {
            volume: first.volume.clone(),
            ..others.clone()
        };
        let now = clock::now();
        let admitted = |log: &PluginLog| {
            (0..2000)
                .filter(|_| log.volume.lock().admit(now).is_some())
                .count()
        };
        assert_eq!([&first, &next, &others].map(admitted), [1000, 0, 1000]);
    }

    /// A log whose permit has ended.
    #[test]
    fn no_line_is_made_after_the_end_of_effects_and_what_was_dropped_is_not_forgotten() {
        let log = log();
        let now = clock::now();
        for _ in 0..1005 {
            let _ = log.volume.lock().admit(now);
        }
        log.finish();
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(log.admit(later), None);
        assert_eq!(log.volume.lock().take_dropped(), 5);
    }

    #[test]
    fn a_line_with_all_its_fields_is_no_longer_than_a_line() {
        let field = |number: usize| (format!("field-{number}"), "\u{1}".repeat(4000));
        let fields: Vec<_> = (0..100).map(field).collect();
        let (message, origin) = log().clean_fields("short", &fields);
        let details = serde_json::to_value(&origin).unwrap();
        assert_eq!(message, "short");
        assert_eq!(details["fields"].as_object().unwrap().len(), 3);
        assert_eq!(details["omitted_fields"], 97);
        let told = serde_json::to_string(&details).unwrap();
        assert!(told.len() < 6 * 8192 + 200, "{}", told.len());
        let few: Vec<_> = (0..100)
            .map(|number| (number.to_string(), "x".to_owned()))
            .collect();
        let (_, origin) = log().clean_fields("short", &few);
        let details = serde_json::to_value(&origin).unwrap();
        assert_eq!(
            (
                details["fields"].as_object().unwrap().len(),
                &details["omitted_fields"]
            ),
            (MAX_FIELDS, &68.into())
        );
    }
}
