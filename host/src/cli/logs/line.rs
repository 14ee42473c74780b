//! How a line of another host is shown. Whoever answered may have written anything.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use soloist_core::text::printable;

/// What every line has, and what is told by it being here.
const TOLD: [&str; 8] = [
    "timestamp",
    "level",
    "message",
    "host",
    "event",
    "task",
    "term",
    "fencing_token",
];

/// The line as it is, or for a person: time, level, host, event, message and what else it has. What is no object of JSON is shown as it
/// is.
pub(super) fn shown(line: &str, json: bool) -> String {
    let read: Option<Map<String, Value>> = serde_json::from_str(line).ok();
    match read.filter(|_| !json) {
        Some(fields) => person(&fields),
        None => printable(line).into_owned(),
    }
}

fn person(fields: &Map<String, Value>) -> String {
    let text = |name: &str| fields.get(name).map(value).unwrap_or_default();
    let mut line = format!(
        "{} {:<5} {}",
        text("timestamp"),
        text("level").to_uppercase(),
        text("host")
    );
    if let Some(term) = fields.get("term") {
        // Writing to a String cannot fail.
        let _ = write!(line, " term {}", value(term));
    }
    match &*text("event") {
        "plugin-log" => line.push_str(" |"),
        event => {
            let _ = write!(line, " {event}:");
        }
    }
    let _ = write!(line, " {}", text("message"));
    let more = fields
        .iter()
        .filter(|(name, _)| !TOLD.contains(&name.as_str()));
    for (name, field) in more {
        let _ = write!(line, " {}={}", printable(name), value(field));
    }
    line
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        other => printable(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_to_a_person_or_as_it_is_and_never_drives_the_terminal() {
        let line = r#"{"timestamp":"2026-01-01T00:00:00.000000Z","level":"info","message":"a\u001b[2J","host":"a","event":"plugin-log","task":"t","term":3,"fencing_token":7,"n":1}"#;
        assert_eq!(
            shown(line, false),
            "2026-01-01T00:00:00.000000Z INFO  a term 3 | a\\u{1b}[2J n=1"
        );
        assert_eq!(shown(line, true), line);
        assert_eq!(shown("\u{1b}[2J", true), "\\u{1b}[2J");
        assert_eq!(shown("[1]\u{9b}", false), "[1]\\u{9b}");
        let event = r#"{"level":"warn","message":"m","host":"a","event":"standby"}"#;
        assert_eq!(shown(event, false), " WARN  a standby: m");
    }
}
