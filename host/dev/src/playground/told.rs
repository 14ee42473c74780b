//! How a line looks: for a person, or as JSON. Pure.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use soloist_core::text::{self, INDENT, printable, rows};
use soloist_runtime::report::Terminal;
use tracing::Level;

/// How what happens is told.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// A line for a person, at this terminal if there is one.
    Text(Option<Terminal>),
    /// An object on each line.
    Json,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// A plugin.
    Plugin,
    /// A host.
    Host,
    /// The playground itself: it alone says more than a line at once.
    Ours,
}

/// Something that is told.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) time: SystemTime,
    /// Since the beginning.
    pub(super) after: Duration,
    pub(super) level: Level,
    /// The host that it is about, if it is about one.
    pub(super) host: Option<&'a str>,
    /// The name of the event.
    pub(super) event: &'a str,
    pub(super) voice: Voice,
    pub(super) message: &'a str,
    pub(super) fields: Map<String, Value>,
}

/// What is in the JSON of an event, and in its message or of no use to a person.
const FOR_PROGRAMS: [&str; 9] = [
    "ahead",
    "backtrace",
    "fencing_token",
    "leader",
    "session",
    "session_timeout",
    "stream",
    "task",
    "term",
];

impl Told<'_> {
    /// The line, with its end.
    pub(super) fn line(self, manner: Manner) -> String {
        let mut line = match manner {
            Manner::Json => self.json(),
            Manner::Text(terminal) => {
                let colour = terminal.is_some_and(|terminal| terminal.colour);
                let text = self.text(colour);
                match terminal.and_then(|terminal| (terminal.columns)()) {
                    Some(columns) => rows(&text, columns),
                    None => text,
                }
            }
        };
        line.push('\n');
        line
    }

    fn json(self) -> String {
        let mut line = Map::new();
        let timestamp = humantime::format_rfc3339_micros(self.time).to_string();
        line.insert("timestamp".into(), timestamp.into());
        line.insert(
            "level".into(),
            self.level.as_str().to_ascii_lowercase().into(),
        );
        line.insert("message".into(), self.message.into());
        if let Some(host) = self.host {
            line.insert("host".into(), host.into());
        }
        line.insert("event".into(), self.event.into());
        for (name, value) in self.fields {
            line.entry(name).or_insert(value);
        }
        // What holds only texts and numbers can be JSON.
        text::json(&line).unwrap_or_default()
    }

    fn text(&self, colour: bool) -> String {
        let (dim, paint, reset) = match (colour, self.level) {
            (false, _) => ("", "", ""),
            (true, Level::ERROR) => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
        };
        let (seconds, host) = (self.after.as_secs_f64(), self.host.unwrap_or(" "));
        let mut text = format!("{dim}{seconds:>9.3} s{reset}  {}  ", printable(host));
        let (first, more) = match self.message.split_once('\n') {
            Some((first, more)) if self.voice == Voice::Ours => (first, more),
            _ => (self.message, ""),
        };
        let first = printable(first);
        // Writing to a String cannot fail.
        let _ = if self.voice == Voice::Plugin {
            match self.level {
                Level::ERROR | Level::WARN => {
                    write!(text, "| {paint}{}{reset} {first}", self.level)
                }
                _ => write!(text, "| {first}"),
            }
        } else {
            write!(text, "{paint}{:<9}{reset} {first}", self.event)
        };
        for (name, value) in &self.fields {
            match (name.as_str(), value) {
                (name, _) if FOR_PROGRAMS.contains(&name) => {}
                ("fields", Value::Object(fields)) => fields.iter().for_each(|(name, value)| {
                    let _ = write!(text, " {dim}{}={}{reset}", printable(name), plain(value));
                }),
                (name, value) => {
                    let _ = write!(text, " {dim}{}={}{reset}", printable(name), plain(value));
                }
            }
        }
        let backtrace = self
            .fields
            .get("backtrace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for line in more.lines().chain(backtrace.lines()) {
            let _ = write!(text, "\n{INDENT}{}", printable(line));
        }
        text
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
    use serde_json::json;
    use soloist_core::text::is_printable;

    use super::*;

    fn told(message: &str, voice: Voice, fields: Value) -> Told<'_> {
        let Value::Object(fields) = fields else {
            panic!("fields are an object")
        };
        Told {
            time: SystemTime::UNIX_EPOCH,
            after: Duration::from_millis(1500),
            level: Level::INFO,
            host: Some("a"),
            event: if voice == Voice::Plugin {
                "plugin-log"
            } else {
                "demoted"
            },
            voice,
            message,
            fields,
        }
    }

    #[test]
    fn a_line_for_a_person_says_when_who_and_what() {
        let fields = json!({ "reason": "resigned", "term": 7, "task": "t", "fencing_token": 9 });
        assert_eq!(
            told("the plugin has stopped", Voice::Host, fields).line(Manner::Text(None)),
            "    1.500 s  a  demoted   the plugin has stopped reason=resigned\n"
        );
        let fields = json!({ "fields": { "beat": "3" }, "stream": "stdout" });
        assert_eq!(
            told("heartbeat", Voice::Plugin, fields).line(Manner::Text(None)),
            "    1.500 s  a  | heartbeat beat=3\n"
        );
        let warned = Told {
            level: Level::WARN,
            ..told("late", Voice::Plugin, json!({}))
        };
        assert_eq!(
            warned.line(Manner::Text(None)),
            "    1.500 s  a  | WARN late\n"
        );
    }

    #[test]
    fn what_a_plugin_says_cannot_be_taken_for_what_its_host_says_nor_drive_the_terminal() {
        for manner in [Manner::Text(None), Manner::Json] {
            let line = told(
                "x\u{1b}[2J\u{202e}",
                Voice::Plugin,
                json!({ "fields": { "a\n": "\u{9b}" } }),
            )
            .line(manner);
            assert!(line.trim_end().chars().all(is_printable), "{line:?}");
        }
        let forged = told("x\n    0.000 s  a  demoted  it", Voice::Plugin, json!({}))
            .line(Manner::Text(None));
        assert!(
            forged.lines().skip(1).all(|line| line.starts_with(INDENT)),
            "{forged}"
        );
    }

    #[test]
    fn json_has_every_field() {
        let line = told(
            "the plugin has stopped",
            Voice::Host,
            json!({ "reason": "resigned", "term": 7 }),
        )
        .line(Manner::Json);
        let value: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "timestamp": "1970-01-01T00:00:00.000000Z", "level": "info", "message": "the plugin has stopped", "host": "a",
            "event": "demoted", "reason": "resigned", "term": 7,
        });
        assert_eq!(value, expected);
    }
}
