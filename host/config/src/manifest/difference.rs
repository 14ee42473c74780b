//! How two manifests differ, key by key: what the task may use comes first, then what it may consume.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::Manifest;

/// One key that two manifests have with different values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The key with its tables, like `task.allow.http`.
    pub key: String,
    /// What the old one has there, as JSON. None if it has no such key, or if this is an entry that a list has got.
    pub old: Option<String>,
    /// What the new one has there.
    pub new: Option<String>,
}

/// What differs between two generations, but for what every generation has of its own: its number, which one it replaces, and
/// who made it when.
pub fn differences(old: &Manifest, new: &Manifest) -> Vec<Difference> {
    let (old, new) = (keys(old), keys(new));
    let all: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut found = Vec::new();
    for key in all {
        compare(key, old.get(key), new.get(key), &mut found);
    }
    found.sort_by_key(|difference| rank(&difference.key));
    found
}

fn rank(key: &str) -> u8 {
    match key {
        key if key.starts_with("task.allow.") => 0,
        key if key.starts_with("task.limits.") => 1,
        key if key.starts_with("artefact.") => 2,
        _ => 3,
    }
}

/// Every key of a manifest, with its tables.
fn keys(manifest: &Manifest) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    // A manifest is a struct of texts, numbers and lists, but a path in it may be none that JSON can hold.
    let value = serde_json::to_value(manifest).unwrap_or_default();
    if let Value::Object(mut table) = value {
        for own in ["generation", "replaces", "at", "by"] {
            table.remove(own);
        }
        flatten(String::new(), Value::Object(table), &mut keys);
    }
    keys
}

fn flatten(key: String, value: Value, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) => {
            for (name, value) in table {
                let below = if key.is_empty() {
                    name
                } else {
                    format!("{key}.{name}")
                };
                flatten(below, value, keys);
            }
        }
        value => {
            keys.insert(key, value);
        }
    }
}

/// Of lists it is the entries that are told: what a long one has got or lost.
fn compare(key: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    let difference = |old: Option<&Value>, new: Option<&Value>| Difference {
        key: key.to_owned(),
        old: old.map(Value::to_string),
        new: new.map(Value::to_string),
    };
    match (old, new) {
        (Some(Value::Array(_)) | None, Some(Value::Array(_))) | (Some(Value::Array(_)), None) => {
            let (before, after) = (entries(old), entries(new));
            let gone = before.iter().filter(|it| !after.contains(it));
            let gone = gone.map(|it| difference(Some(it), None));
            let added = after.iter().filter(|it| !before.contains(it));
            let added = added.map(|it| difference(None, Some(it)));
            let entries: Vec<_> = gone.chain(added).collect();
            if entries.is_empty() {
                // Only their order or their number differs, or one is empty and the other is not there.
                found.push(difference(old, new));
            }
            found.extend(entries);
        }
        _ => found.push(difference(old, new)),
    }
}

fn entries(list: Option<&Value>) -> &[Value] {
    match list {
        Some(Value::Array(list)) => list,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn manifest(generation: u64, sha256: char, task: &str) -> Manifest {
        let sha256 = sha256.to_string().repeat(64);
        let text = format!(
            "{{ \"manifest\": 1, \"generation\": {generation}, \"artefact\": {{ \"sha256\": \"{sha256}\", \
             \"source\": \"ensemble:\" }}, \"task\": {{ \"name\": \"report\", {task} }}, \
             \"at\": \"2026-11-26T21:00:0{generation}Z\", \"by\": \"ops{generation}@build-1\" }}"
        );
        Manifest::read(Path::new("a manifest"), text.as_bytes()).unwrap()
    }

    fn told(old: &Manifest, new: &Manifest) -> Vec<String> {
        let shown = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
        let differences = differences(old, new).into_iter();
        differences
            .map(|it| format!("{} {} {}", it.key, shown(it.old), shown(it.new)))
            .collect()
    }

    #[test]
    fn grants_come_first_and_lists_are_told_entry_by_entry() {
        let old = manifest(
            1,
            'a',
            r#""config": { "x": "1", "z": "1" }, "allow": { "http": ["https://a", "https://b"] }"#,
        );
        let new = manifest(
            2,
            'b',
            r#""config": { "x": "2", "y": "1" }, "allow": { "http": ["https://b", "https://c"], "state": true, "tcp": [] },
               "limits": { "memory": "1GiB" }"#,
        );
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(
            told(&old, &new),
            [
                "task.allow.http \"https://a\" -".to_owned(),
                "task.allow.http - \"https://c\"".to_owned(),
                "task.allow.state false true".to_owned(),
                "task.allow.tcp - []".to_owned(),
                r#"task.limits.memory "256MiB" "1GiB""#.to_owned(),
                format!("artefact.sha256 \"{a}\" \"{b}\""),
                "task.config.x \"1\" \"2\"".to_owned(),
                "task.config.y - \"1\"".to_owned(),
                "task.config.z \"1\" -".to_owned(),
            ]
        );
    }

    #[test]
    fn generations_of_the_same_content_do_not_differ() {
        let of = |generation| manifest(generation, 'a', "\"config\": {}");
        assert_eq!(told(&of(1), &of(2)), [""; 0]);
    }
}
