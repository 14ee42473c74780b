//! Turns events into lines on stdout: text for a person at a terminal, or JSON for a program.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

mod queue;

pub use queue::{LastLines, LineQueue};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For a person: time, level, task, message.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes each tracing event as one line.
#[derive(Debug)]
pub struct Reporter<W> {
    writer: W,
    format: LogFormat,
    level: Level,
    colour: bool,
    host: String,
}

impl<W> Reporter<W> {
    /// Reports as `host`, in `format`, what is at least as grave as `level`.
    ///
    /// What other crates log is shown only from `debug` on: all that matters of it is an event of our own.
    pub fn new(writer: W, format: LogFormat, level: Level, colour: bool, host: String) -> Self {
        Self { writer, format, level, colour, host }
    }

    fn shows(&self, target: &str, level: Level) -> bool {
        let own = target.starts_with("soloist");
        level <= self.level && (own || self.level >= Level::DEBUG)
    }
}

impl<S: Subscriber, W> Layer<S> for Reporter<W>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + 'static,
{
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        self.shows(metadata.target(), *metadata.level())
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let time = humantime::format_rfc3339_micros(SystemTime::now());
        let mut line = match self.format {
            LogFormat::Json => json_line(&time, level, &self.host, fields),
            LogFormat::Text => text_line(&time, level, self.colour, &fields),
        };
        line.push('\n');
        // A line that cannot be written cannot be reported either.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    event: Option<String>,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        match (name, value) {
            ("event", Value::String(event)) => self.event = Some(event),
            ("details", Value::String(details)) => {
                if let Ok(Value::Object(details)) = serde_json::from_str(&details) {
                    self.others.extend(details);
                }
            }
            // What the `log` bridge adds to events of crates that do not use tracing.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), Value::from(value));
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
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field.name(), Value::from(format!("{value:?}")));
        }
    }
}

fn json_line(time: &impl fmt::Display, level: Level, host: &str, fields: Fields) -> String {
    let mut line = Map::new();
    line.insert("timestamp".into(), time.to_string().into());
    line.insert("level".into(), level.as_str().to_ascii_lowercase().into());
    line.insert("message".into(), fields.message.into());
    line.insert("host".into(), host.into());
    if let Some(event) = fields.event {
        line.insert("event".into(), event.into());
    }
    line.extend(fields.others);
    Value::Object(line).to_string()
}

fn text_line(time: &impl fmt::Display, level: Level, colour: bool, fields: &Fields) -> String {
    let mut line = String::new();
    let (dim, reset) = if colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    let paint = match level {
        _ if !colour => "",
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    };
    // Writing to a String cannot fail.
    let _ = write!(line, "{dim}{time}{reset} {paint}{level:5}{reset}");
    if let Some(task) = fields.others.get("task").and_then(Value::as_str) {
        let _ = write!(line, " {task}");
        if let Some(term) = fields.others.get("term") {
            let _ = write!(line, "#{term}");
        }
        line.push(':');
    }
    if let Some(event) = fields.event.as_deref().filter(|event| *event != "plugin-log") {
        let _ = write!(line, " {paint}{event}{reset}");
    }
    // A control character in a message could forge a line or drive the terminal.
    let _ = write!(line, " {}", printable(&fields.message));
    for (name, value) in &fields.others {
        match (name.as_str(), value) {
            ("task" | "term" | "backtrace", _) => {}
            ("fields", Value::Object(fields)) => {
                for (name, value) in fields {
                    let _ = write!(line, " {dim}{}={}{reset}", printable(name), printable(&plain(value)));
                }
            }
            (name, value) => {
                let _ = write!(line, " {dim}{name}={}{reset}", printable(&plain(value)));
            }
        }
    }
    if let Some(backtrace) = fields.others.get("backtrace").and_then(Value::as_str) {
        for frame in backtrace.lines() {
            let _ = write!(line, "\n    {}", printable(frame));
        }
    }
    line
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The text with what could forge a line or drive a terminal escaped: control characters, and those that no one sees but
/// that change the order or the breaks of what is seen.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push('\t'),
            character if character.is_control() || is_invisible(character) => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let mut fields = Fields { message: "I lead\nforged".into(), ..Fields::default() };
        fields.put("event", "elected".into());
        fields.put("task", "report".into());
        fields.put("term", 7.into());
        fields.put("details", r#"{"fields":{"a":"\u001b[2J"}}"#.into());
        fields
    }

    #[test]
    fn what_is_printed_is_what_is_seen() {
        assert_eq!(printable("a\tb\r\n\u{9b}\u{7f}é"), "a\tb\\r\\n\\u{9b}\\u{7f}é");
        assert_eq!(printable("\u{202e}\u{2066}\u{2028}"), r"\u{202e}\u{2066}\u{2028}");
    }

    #[test]
    fn json_lines_hold_every_field_and_never_a_line_break() {
        let line = json_line(&"2026-01-01T00:00:00.000000Z", Level::WARN, "a", fields());
        assert!(!line.contains('\n'));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "warn");
        assert_eq!(value["event"], "elected");
        assert_eq!(value["message"], "I lead\nforged");
        assert_eq!(value["term"], 7);
        assert_eq!(value["host"], "a");
        assert_eq!(value["fields"]["a"], "\u{1b}[2J");
    }

    #[test]
    fn text_lines_cannot_be_forged_by_what_a_plugin_says() {
        let line = text_line(&"now", Level::INFO, false, &fields());
        assert_eq!(line, r"now INFO  report#7: elected I lead\nforged a=\u{1b}[2J");
    }
}
