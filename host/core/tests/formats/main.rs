//! Hosts of different releases read each other's records as PROTOCOL.md says ("Versions").
//!
//! `0.1.0/` has a record of each kind, byte for byte as hosts and commands of that release wrote it. A later release adds what it
//! writes in another way, and reads what is here for as long as that is promised.

mod older;
mod table;

use serde::Serialize;
use serde_json::{Map, Value, json};
use soloist_core::records::{encode, timestamp};

/// A record as 0.1.0 wrote it.
macro_rules! written {
    ($name:literal) => {
        include_bytes!(concat!("0.1.0/", $name, ".json")).as_slice()
    };
}
use written;

/// The record with a field that no host of today knows, and, if it has none, with a `version`.
fn with_more(record: &[u8]) -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(record).expect("a record is JSON");
    let add = |fields: &mut Map<String, Value>| {
        fields.insert("later".into(), json!({ "since": [timestamp()] }));
        fields.entry("version").or_insert(json!(2));
    };
    match &mut record {
        Value::Object(fields) => add(fields),
        // A history: each of its terms.
        Value::Array(terms) => terms
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(add),
        _ => panic!("{record} is no record"),
    }
    serde_json::to_vec(&record).expect("JSON")
}

/// A record of another version of the format, whose shape nobody knows.
const NEWER: &[u8] = br#"{"version":2,"anything":["else"]}"#;

/// What a host of today writes is what 0.1.0 wrote: so hosts of that release read it.
fn is_written_as_before(record: &impl Serialize, before: &[u8]) {
    let (now, before) = (encode(record), before);
    assert_eq!(
        String::from_utf8_lossy(&now),
        String::from_utf8_lossy(before)
    );
}
