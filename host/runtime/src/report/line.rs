//! How a line looks.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::Level;

use soloist_core::event::Report;
use soloist_core::text::{self, INDENT, printable, rows};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person: time, level, task, message.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// One entry of systemd's journal a line, in its native protocol.
    Journal,
}

/// A terminal that shows text.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether colours are wanted.
    pub colour: bool,
    /// How many columns it has at the moment, if it says so.
    pub columns: fn() -> Option<usize>,
}

/// Something that is said.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) time: SystemTime,
    pub(super) level: Level,
    pub(super) host: &'a str,
    pub(super) message: Cow<'a, str>,
    /// The name of the event that it is about.
    pub(super) event: Option<&'a str>,
    /// Whether a plugin says it.
    pub(super) is_of_plugin: bool,
    /// The library that says it, if one does.
    pub(super) target: Option<String>,
    pub(super) fields: Map<String, Value>,
}

impl<'a> Line<'a> {
    /// A line about an event, said by `host` at this time.
    pub(super) fn of(report: &Report<'a>, host: &'a str, time: SystemTime) -> Self {
        let event = report.event;
        Self {
            time,
            level: event.level(),
            host,
            message: event.message(),
            event: Some(event.name()),
            is_of_plugin: event.is_of_plugin(),
            target: None,
            fields: report.fields(),
        }
    }

    pub(super) fn json(self) -> String {
        let mut line = Map::new();
        line.insert(
            "timestamp".into(),
            humantime::format_rfc3339_micros(self.time)
                .to_string()
                .into(),
        );
        line.insert(
            "level".into(),
            self.level.as_str().to_ascii_lowercase().into(),
        );
        line.insert("message".into(), self.message.into());
        line.insert("host".into(), self.host.into());
        if let Some(event) = self.event {
            line.insert("event".into(), event.into());
        }
        if let Some(target) = self.target {
            line.insert("target".into(), target.into());
        }
        for (name, value) in self.fields {
            // A library may call its fields as we call ours.
            line.entry(name).or_insert(value);
        }
        // What holds only texts and numbers can be JSON.
        text::json(&line).unwrap_or_default()
    }

    pub(super) fn text(&self, terminal: Option<&Terminal>) -> String {
        let colour = terminal.is_some_and(|terminal| terminal.colour);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, colour);
        match terminal.and_then(|terminal| (terminal.columns)()) {
            Some(columns) => rows(&text, columns),
            None => text,
        }
    }

    fn write(&self, text: &mut String, colour: bool) -> fmt::Result {
        let (dim, reset) = dimmed(colour);
        let paint = self.paint(colour);
        let (time, level) = (humantime::format_rfc3339_micros(self.time), self.level);
        write!(text, "{dim}{time}{reset} {paint}{level:5}{reset}")?;
        self.write_sentence(text, colour)
    }

    /// What is said, without when and how grave it is.
    pub(super) fn sentence(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_sentence(&mut text, false);
        text.trim_start().to_owned()
    }

    fn paint(&self, colour: bool) -> &'static str {
        match self.level {
            _ if !colour => "",
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            _ => "\x1b[34m",
        }
    }

    fn write_sentence(&self, text: &mut String, colour: bool) -> fmt::Result {
        let (dim, reset) = dimmed(colour);
        let paint = self.paint(colour);
        if let Some(target) = &self.target {
            write!(text, " [{}]", printable(target))?;
        }
        if let Some(task) = self.fields.get("task").and_then(Value::as_str) {
            write!(text, " {}", printable(task))?;
            if let Some(term) = self.fields.get("term") {
                write!(text, "#{term}")?;
            }
        }
        match &self.event {
            Some(_) if self.is_of_plugin => text.push('|'),
            Some(event) => {
                text.push_str(if self.fields.contains_key("task") {
                    ":"
                } else {
                    ""
                });
                write!(text, " {paint}{event}{reset}")?;
            }
            None => {}
        }
        write!(text, " {}", printable(&self.message))?;
        for (name, value) in &self.fields {
            match (name.as_str(), value) {
                ("task" | "term" | "backtrace", _) => {}
                ("fields", Value::Object(fields)) => {
                    for (name, value) in fields {
                        write!(text, " {dim}{}={}{reset}", printable(name), plain(value))?;
                    }
                }
                (name, value) => write!(text, " {dim}{}={}{reset}", printable(name), plain(value))?,
            }
        }
        if let Some(backtrace) = self.fields.get("backtrace").and_then(Value::as_str) {
            for frame in backtrace.lines() {
                write!(text, "\n{INDENT}{}", printable(frame))?;
            }
        }
        Ok(())
    }
}

fn dimmed(colour: bool) -> (&'static str, &'static str) {
    if colour {
        ("\x1b[2m", "\x1b[0m")
    } else {
        ("", "")
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use soloist_core::event::{About, Event, Origin, PluginLine};
    use soloist_core::text::is_printable;

    fn line<'a>(event: &'a str, message: &'a str, fields: Value) -> Line<'a> {
        let Value::Object(fields) = fields else {
            panic!("fields are an object")
        };
        let (time, level) = (SystemTime::UNIX_EPOCH, Level::WARN);
        Line {
            time,
            level,
            host: "a",
            message: message.into(),
            event: Some(event),
            is_of_plugin: event == "plugin-log",
            target: None,
            fields,
        }
    }

    fn text(line: &Line<'_>) -> String {
        line.text(None)
            .replace("1970-01-01T00:00:00.000000Z", "now")
    }

    #[test]
    fn json_lines_hold_every_field_and_are_printable() {
        let fields = json!({ "task": "report", "term": 7, "fields": { "a": "\u{1b}[2J\u{202e}" } });
        let line = line("elected", "I lead\nforged", fields).json();
        assert!(line.chars().all(is_printable), "{line:?}");
        let value: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "timestamp": "1970-01-01T00:00:00.000000Z", "level": "warn", "host": "a", "event": "elected", "task": "report",
            "term": 7, "message": "I lead\nforged", "fields": { "a": "\u{1b}[2J\u{202e}" },
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn fields_of_libraries_do_not_replace_ours() {
        let line = line(
            "x",
            "said",
            json!({ "message": "forged", "host": "b", "level": "info", "event": "elected" }),
        );
        let value: Value = serde_json::from_str(&line.json()).unwrap();
        assert_eq!(
            (&value["message"], &value["host"], &value["event"]),
            (&json!("said"), &json!("a"), &json!("x"))
        );
    }

    #[test]
    fn what_a_plugin_says_cannot_be_taken_for_what_its_host_says() {
        let about = json!({ "task": "report", "term": 7 });
        assert_eq!(
            text(&line("demoted", "it has stopped", about.clone())),
            "now WARN  report#7: demoted it has stopped"
        );
        let said = line(
            "plugin-log",
            "demoted it has stopped\nnow WARN  report#7: demoted",
            about,
        );
        assert_eq!(
            text(&said),
            r"now WARN  report#7| demoted it has stopped\nnow WARN  report#7: demoted"
        );
        let fields = json!({ "task": "report", "term": 7, "stream": "stdout", "fields": { "a\n": "\u{1b}[2J\u{202e}" } });
        let said = line("plugin-log", "x", fields);
        assert_eq!(
            text(&said),
            r"now WARN  report#7| x a\n=\u{1b}[2J\u{202e} stream=stdout"
        );
        let told = [
            (
                Origin::Import { import: "network" },
                ": plugin-log said import=network",
            ),
            (
                Origin::Dropped { dropped: 3 },
                ": plugin-log said dropped=3",
            ),
            (Origin::Stdio { stream: "stderr" }, "| said stream=stderr"),
        ];
        for (origin, told) in told {
            let event = Event::PluginLog(PluginLine {
                level: Level::WARN,
                text: "said".into(),
                origin,
            });
            let about = About::Task("report");
            let report = Report {
                about,
                event: &event,
            };
            let said = text(&Line::of(&report, "a", SystemTime::UNIX_EPOCH));
            assert_eq!(said, format!("now WARN  report{told}"));
        }
    }

    #[test]
    fn a_library_is_named() {
        let said = Line {
            event: None,
            target: Some("wasmtime::runtime".into()),
            ..line("", "x", json!({ "a": 1 }))
        };
        assert_eq!(text(&said), "now WARN  [wasmtime::runtime] x a=1");
    }

    #[test]
    fn a_backtrace_has_a_row_for_each_frame() {
        let said = line(
            "plugin-failed",
            "it failed",
            json!({ "task": "t", "backtrace": "0: a\u{9b}\n1: b" }),
        );
        assert_eq!(
            text(&said),
            "now WARN  t: plugin-failed it failed\n    0: a\\u{9b}\n    1: b"
        );
    }

    #[test]
    fn a_line_that_is_wider_than_the_terminal_goes_on_in_rows_that_are_indented() {
        let terminal = |colour| Terminal {
            colour,
            columns: || Some(30),
        };
        let message = "é漢abc ".repeat(20);
        let said = line("plugin-log", &message, json!({ "task": "t" }));
        let plain = said.text(Some(&terminal(false)));
        let mut rows = plain.lines();
        assert!(
            rows.next()
                .unwrap()
                .starts_with("1970-01-01T00:00:00.000000Z WA"),
            "{plain}"
        );
        for row in rows {
            let width: usize = row
                .chars()
                .map(|it| if it.is_ascii() { 1 } else { 2 })
                .sum();
            assert!(row.starts_with(INDENT) && width <= 30, "{row:?}");
        }
        let unbroken = |text: &str| text.replace("\n    ", "");
        assert_eq!(unbroken(&plain), said.text(None));
        // Colours take no room, and make no difference.
        let coloured = said.text(Some(&terminal(true)));
        let bare = ["\x1b[2m", "\x1b[0m", "\x1b[33m"]
            .iter()
            .fold(coloured, |text, colour| text.replace(colour, ""));
        assert_eq!(bare, plain);
    }

    proptest! {
        #[test]
        fn whatever_is_said_only_a_line_begins_at_the_left_edge(message: String, name: String, value: String) {
            let said = line("plugin-log", &message, json!({ "task": "t", "fields": { name: value }, "backtrace": message }));
            let told = said.text(Some(&Terminal { colour: false, columns: || Some(40) }));
            prop_assert!(told.lines().skip(1).all(|row| row.starts_with(INDENT)));
            prop_assert!(told.lines().all(|row| row.chars().all(is_printable)));
        }
    }
}
