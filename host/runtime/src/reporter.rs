//! Turns events into lines on stdout: text for a person at a terminal, or JSON for a program.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

mod levels;
mod line;
mod queue;
mod remarks;

pub use levels::{BadLevels, Levels};
pub use line::{LogFormat, Terminal};
pub use queue::{LastLines, LineQueue};
pub use remarks::Hidden;

use levels::{OWN, is_part_of};
use line::Line;
use remarks::{Beginning, Remarks};

/// Writes each tracing event as one line.
#[derive(Debug)]
pub struct Reporter<W> {
    writer: W,
    format: LogFormat,
    levels: Levels,
    host: String,
    terminal: Option<Terminal>,
    remarks: Remarks,
}

impl<W> Reporter<W> {
    /// Reports as `host`, in `format`, the lines of these `levels`.
    pub fn new(writer: W, format: LogFormat, levels: Levels, host: String) -> Self {
        Self {
            writer,
            format,
            levels,
            host,
            terminal: None,
            remarks: Remarks::new(Hidden::default()),
        }
    }

    /// Writes text for a terminal, if there is one.
    #[must_use]
    pub fn on(self, terminal: Option<Terminal>) -> Self {
        Self { terminal, ..self }
    }

    /// Keeps these secrets out of what libraries say.
    #[must_use]
    pub fn hiding(self, hidden: Hidden) -> Self {
        Self {
            remarks: Remarks::new(hidden),
            ..self
        }
    }
}

impl<W: for<'a> tracing_subscriber::fmt::MakeWriter<'a>> Reporter<W> {
    fn write(&self, level: Level, fields: Fields) -> String {
        let Fields {
            message,
            event,
            target,
            others,
            ..
        } = fields;
        let line = Line {
            time: SystemTime::now(),
            level,
            host: &self.host,
            message,
            event,
            target,
            fields: others,
        };
        let mut line = match self.format {
            LogFormat::Json => line.json(),
            LogFormat::Text => line.text(self.terminal.as_ref()),
        };
        line.push('\n');
        // A line that cannot be written cannot be reported either.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
        line
    }

    fn remark(&self, target: &str, level: Level, event: &tracing::Event<'_>) {
        let Some(dropped) = self.remarks.admit(target, level) else {
            return;
        };
        if dropped > 0 {
            let said = Fields {
                message: Remarks::dropped(dropped),
                ..Fields::default()
            };
            self.remarks.reported(&self.write(Level::WARN, said));
        }
        let mut fields = Fields {
            max_bytes: Some(self.remarks.seen_bytes()),
            ..Fields::default()
        };
        event.record(&mut fields);
        if !is_part_of(target, OWN) {
            fields.target.get_or_insert_with(|| target.to_owned());
        }
        self.remarks.clean(&mut fields.message, &mut fields.others);
        self.remarks.reported(&self.write(level, fields));
    }
}

impl<S: Subscriber, W> Layer<S> for Reporter<W>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.levels.show(metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.levels.least())
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let (target, level) = (event.metadata().target(), *event.metadata().level());
        if target == OWN {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.write(level, fields);
        } else {
            self.remark(target, level, event);
        }
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    event: Option<String>,
    /// Which library says it.
    target: Option<String>,
    others: Map<String, Value>,
    /// How much of a text is of use: all of what is ours, the beginning of what others say.
    max_bytes: Option<usize>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        match (name, value) {
            ("message", Value::String(message)) => self.message = message,
            // These two are ours alone.
            ("event", Value::String(event)) if self.max_bytes.is_none() => self.event = Some(event),
            ("details", Value::String(details)) if self.max_bytes.is_none() => {
                if let Ok(Value::Object(details)) = serde_json::from_str(&details) {
                    self.others.extend(details);
                }
            }
            // What the `log` bridge adds to events of crates that do not use tracing.
            ("log.target", Value::String(target)) => self.target = Some(target),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }

    fn put_text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let mut beginning = Beginning {
            text: String::new(),
            max_bytes: self.max_bytes.unwrap_or(usize::MAX),
        };
        // It ends where nothing more is of use.
        let _ = beginning.write_fmt(value);
        self.put(name, beginning.text.into());
    }
}

impl Visit for Fields {
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
