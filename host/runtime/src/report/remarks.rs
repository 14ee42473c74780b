//! Lines that are no events: what libraries say, and our own remarks. What is in them is not known beforehand: it may be what
//! a plugin has passed to its host, or the identity that a client shows.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

use super::Lines;
use super::levels::{OWN, is_part_of};
use super::line::Line;
use soloist_core::clock;
use soloist_core::secret::{Redactor, Secret};
use soloist_core::volume::Volume;

/// Lines a second, lines at once, and bytes a second of libraries, and of remarks for those who look for a fault.
const VOLUME: [u64; 3] = [200, 1000, 256 << 10];

/// How long such a line is, in bytes; what is longer is cut.
const LINE_BYTES: usize = 8 << 10;

/// The secrets that no such line tells. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Hidden(Arc<RwLock<HiddenSecrets>>);

#[derive(Debug, Default)]
struct HiddenSecrets {
    set: Vec<Secret>,
    added: Vec<Secret>,
    redactor: Arc<Redactor>,
}

impl Hidden {
    /// Hides these secrets from here on, in the place of those that were set before.
    pub fn set<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) {
        self.change(|hidden| hidden.set = secrets.into_iter().cloned().collect());
    }

    /// Hides these secrets as well, for as long as the process runs: a task that was taken back may come again.
    pub fn add<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) {
        self.change(|hidden| {
            for secret in secrets {
                if !hidden.added.contains(secret) {
                    hidden.added.push(secret.clone());
                }
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut HiddenSecrets)) {
        let mut hidden = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut hidden);
        let all = hidden.set.iter().chain(&hidden.added);
        hidden.redactor = Arc::new(Redactor::of_bytes(all));
    }

    fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(
            &self
                .0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .redactor,
        )
    }
}

/// Writes what libraries say, and our own remarks, as lines.
#[derive(Debug)]
pub struct Remarks<W> {
    lines: Arc<Lines<W>>,
    hidden: Hidden,
    volume: Mutex<Volume>,
}

impl<W> Remarks<W> {
    /// Writes to `lines`, without these secrets.
    pub fn new(lines: Arc<Lines<W>>, hidden: Hidden) -> Self {
        let [lines_per_second, burst, bytes] = VOLUME;
        Self {
            lines,
            hidden,
            volume: Mutex::new(Volume::new(lines_per_second, burst, bytes)),
        }
    }

    /// How much has to be there of each text for [`Remarks::clean`], in bytes.
    fn seen_bytes(&self) -> usize {
        LINE_BYTES + self.hidden.redactor().longest()
    }

    /// Lets a line pass, saying how many were dropped before it, or drops it. What operators have to know always passes.
    fn admit(&self, target: &str, level: Level) -> Option<u64> {
        if level <= Level::INFO && is_part_of(target, OWN) {
            return Some(0);
        }
        self.volume().admit(clock::now())
    }

    /// Takes the secrets out of a message and its fields, and what is more than a line.
    fn clean(&self, message: &mut String, fields: &mut Map<String, Value>) {
        let (redactor, mut room) = (self.hidden.redactor(), LINE_BYTES);
        // A text that is as long as is of use may have been longer, by a character that did not fit at least.
        let seen = LINE_BYTES + redactor.longest() - char::MAX_LEN_UTF8;
        let mut clean = |text: &str| {
            let missing = usize::from(text.len() > seen);
            let (kept, missing) = redactor.redact_within(text, missing, room);
            room = room.saturating_sub(kept.len());
            if missing > 0 {
                format!("{kept}…")
            } else {
                kept
            }
        };
        *message = clean(message);
        for value in fields.values_mut() {
            if let Value::String(text) = value {
                *text = clean(text);
            }
        }
    }

    fn volume(&self) -> MutexGuard<'_, Volume> {
        // The counts are right whoever panicked while holding them.
        self.volume.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: for<'a> MakeWriter<'a>> Remarks<W> {
    fn write(&self, level: Level, said: Said) {
        let bytes = self.lines.write(Line {
            time: SystemTime::now(),
            level,
            host: &self.lines.host,
            message: said.message.into(),
            event: None,
            is_of_plugin: false,
            target: said.target,
            fields: said.fields,
        });
        self.volume().reported(bytes as u64, clock::now());
    }
}

impl<S: tracing::Subscriber, W> Layer<S> for Remarks<W>
where
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.lines.levels.show(metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.lines.levels.least())
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let (target, level) = (event.metadata().target(), *event.metadata().level());
        let Some(dropped) = self.admit(target, level) else {
            return;
        };
        if dropped > 0 {
            self.write(Level::WARN, Said::dropped(dropped));
        }
        let mut said = Said::within(self.seen_bytes());
        event.record(&mut said);
        if !is_part_of(target, OWN) {
            said.target.get_or_insert_with(|| target.to_owned());
        }
        self.clean(&mut said.message, &mut said.fields);
        self.write(level, said);
    }
}

/// What is said.
#[derive(Debug)]
struct Said {
    message: String,
    /// The library that says it.
    target: Option<String>,
    fields: Map<String, Value>,
    /// How much of each text is of use, in bytes.
    max_bytes: usize,
}

impl Said {
    /// Nothing yet, and so much of each text to come.
    fn within(max_bytes: usize) -> Self {
        Self {
            message: String::new(),
            target: None,
            fields: Map::new(),
            max_bytes,
        }
    }

    /// What the host says of lines that it has dropped.
    fn dropped(number: u64) -> Self {
        let [lines, burst, bytes] = VOLUME;
        let message = format!(
            "{number} lines of libraries or for debugging dropped: more than {lines} a second, {burst} at once or {bytes} \
             bytes a second"
        );
        Self {
            message,
            ..Self::within(0)
        }
    }

    fn put(&mut self, name: &str, value: Value) {
        match (name, value) {
            ("message", Value::String(message)) => self.message = message,
            // What the `log` bridge adds to events of crates that do not use tracing.
            ("log.target", Value::String(target)) => self.target = Some(target),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }

    fn put_text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let mut beginning = Beginning {
            text: String::new(),
            max_bytes: self.max_bytes,
        };
        // It ends where nothing more is of use.
        let _ = beginning.write_fmt(value);
        self.put(name, beginning.text.into());
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field.name(), format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field.name(), format_args!("{value:?}"));
    }
}

/// Takes so many bytes of what is written, and then fails: whoever writes stops there.
struct Beginning {
    text: String,
    max_bytes: usize,
}

impl fmt::Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = &text[..text.floor_char_boundary(self.max_bytes - self.text.len())];
        self.text.push_str(taken);
        if taken.len() == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}
