//! The state, the queue and the terms, for a person. Pure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use soloist_coordination::observer::TaskStatus;
use soloist_core::records::TermEntry;
use soloist_core::text::printable;

/// How much is shown of a value, in characters.
const VALUE_CHARS: usize = 60;
/// How many terms are shown, and how many keys.
const TERMS: usize = 8;
const KEYS: usize = 20;

/// What is kept of a task.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) status: TaskStatus,
    /// The latest first.
    pub(super) terms: Vec<TermEntry>,
    /// The state: each key with its value.
    pub(super) state: Vec<(String, Vec<u8>)>,
    /// What time it is for the plugin, RFC 3339.
    pub(super) plugin_time: String,
}

impl Shown {
    /// What programs are told.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let state: Map<_, _> = self
            .state
            .iter()
            .map(|(key, value)| (key.clone(), cut(value).into()))
            .collect();
        let fields = json!({
            "leader": self.status.leader,
            "standbys": self.status.standbys,
            "terms": self.terms,
            "state": state,
            "plugin_time": self.plugin_time,
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// What a person is told.
    pub(super) fn text(&self) -> String {
        let mut text = match &self.status.leader {
            Some(leader) => {
                let term = leader
                    .term
                    .map_or_else(String::new, |term| format!(" in term {term}"));
                format!(
                    "{} leads{term} with token {}, since {}",
                    leader.host, leader.fencing_token, leader.since
                )
            }
            None => "nobody leads".to_owned(),
        };
        let standbys = match &self.status.standbys[..] {
            [] => "nobody".to_owned(),
            standbys => standbys.join(", then "),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nstanding by: {standbys}\nfor the plugin it is {}",
            self.plugin_time
        );
        for term in self.terms.iter().take(TERMS) {
            let end = term.end.as_ref().map_or("under way", |end| &end.reason);
            let _ = write!(
                text,
                "\nterm {}: {}, since {}, {end}",
                term.number, term.host, term.since
            );
        }
        if self.state.is_empty() {
            text.push_str("\nno state");
        }
        for (key, value) in self.state.iter().take(KEYS) {
            let _ = write!(text, "\nstate {} = {}", printable(key), cut(value));
        }
        if let more @ 1.. = self.state.len().saturating_sub(KEYS) {
            let _ = write!(text, "\nand {more} more keys");
        }
        text
    }
}

/// A value, cut to what a line can show; bytes that are no text are counted.
fn cut(value: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(value) else {
        return format!("{} bytes that are no text", value.len());
    };
    let shown: String = text.chars().take(VALUE_CHARS).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{more}", printable(&shown))
}

#[cfg(test)]
mod tests {
    use soloist_coordination::observer::TaskHealth;
    use soloist_core::status::{Health, Leader};

    use super::*;

    fn shown(state: Vec<(String, Vec<u8>)>) -> Shown {
        let leader = Leader {
            host: "a".into(),
            term: Some(2),
            fencing_token: 9,
            since: "T".into(),
            generation: None,
            digest: None,
        };
        let status = TaskStatus {
            task: "t".into(),
            state: TaskHealth::Led,
            health: Health::Healthy,
            restarts: Some(0),
            last_failure: None,
            healthy_at: None,
            failure: None,
            leader: Some(leader),
            standbys: vec!["b".into()],
            hosts: Vec::new(),
        };
        Shown {
            status,
            terms: Vec::new(),
            state,
            plugin_time: "P".into(),
        }
    }

    #[test]
    fn a_person_sees_the_leader_the_queue_and_values_cut_short() {
        let long = "x".repeat(100).into_bytes();
        let state = vec![
            ("count".into(), b"7\n".to_vec()),
            ("long".into(), long),
            ("raw".into(), vec![0xff; 3]),
        ];
        let expected = format!(
            "a leads in term 2 with token 9, since T\nstanding by: b\nfor the plugin it is P\nstate count = 7\\n\n\
             state long = {}…\nstate raw = 3 bytes that are no text",
            "x".repeat(VALUE_CHARS)
        );
        assert_eq!(shown(state).text(), expected);
    }

    #[test]
    fn many_keys_are_counted_and_programs_get_them_all() {
        let state = (0..25)
            .map(|number| (format!("k{number:02}"), Vec::new()))
            .collect();
        let shown = shown(state);
        assert!(shown.text().ends_with("and 5 more keys"));
        assert_eq!(shown.fields()["state"].as_object().map(Map::len), Some(25));
        assert_eq!(shown.fields()["leader"]["host"], "a");
    }
}
