//! JSON, read into the tree that TOML is read into, each value with its place: so both have the same keys, rules and
//! messages.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// How deep values may lie within each other: a configuration needs five levels. Each level is read once more by every level
/// above it.
const DEPTH_MAX: usize = 16;

/// A text is not JSON, or is JSON that no configuration can be.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Where, in bytes of the text.
    pub(crate) span: Range<usize>,
    /// The key with its tables, if the text is JSON.
    pub(crate) key: Option<String>,
    /// What is wrong. Nothing of the text is in it.
    pub(crate) message: String,
}

/// Reads an object.
pub(crate) fn table(text: &str) -> Result<Spanned<DeTable<'_>>, Malformed> {
    let root: &RawValue =
        serde_json::from_str(text).map_err(|error| Malformed::syntax(text, &error))?;
    let root = Reader { text }.value(root, 0)?;
    let span = root.span();
    match root.into_inner() {
        DeValue::Table(table) => Ok(Spanned::new(span, table)),
        _ => Err(Malformed::new(
            span,
            "expected a table, in JSON { \"key\": value }",
        )),
    }
}

impl Malformed {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span,
            key: None,
            message: message.into(),
        }
    }

    fn syntax(text: &str, error: &serde_json::Error) -> Self {
        // serde_json counts lines and bytes of a line from 1, and stands past the end where something is missing.
        let line_start: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let byte = (line_start + error.column().saturating_sub(1)).min(text.len());
        let byte = text.floor_char_boundary(byte);
        let (before, after) = text.split_at(byte);
        // What other readers of JSON bear with.
        let message = match after.as_bytes() {
            [b'}' | b']', ..] if before.trim_end().ends_with(',') => {
                "nothing follows the last comma: take it out".to_owned()
            }
            [b'/' | b'#', ..] => "expected value: JSON has no comments".to_owned(),
            _ => without_place(error),
        };
        Self::new(byte..byte, message)
    }

    /// The same, below a key.
    fn below(mut self, parent: &str) -> Self {
        self.key = Some(match self.key {
            Some(key) => format!("{parent}.{key}"),
            None => parent.to_owned(),
        });
        self
    }
}

/// What serde_json says, without the place, which is told in our own way.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&self, raw: &'a RawValue, depth: usize) -> Result<Spanned<DeValue<'a>>, Malformed> {
        let value_text = raw.get();
        let span = self.span(value_text);
        let refuse = |message: &str| Malformed::new(span.clone(), message);
        if depth > DEPTH_MAX {
            return Err(refuse("values lie too deep within each other"));
        }
        let value = match value_text.as_bytes() {
            [b'{', ..] => DeValue::Table(self.entries(value_text, depth)?),
            [b'[', ..] => {
                let mut array = DeArray::new();
                for element in inside::<Vec<&RawValue>>(value_text, &span)? {
                    array.push(self.value(element, depth + 1)?);
                }
                DeValue::Array(array)
            }
            [b'"', ..] => DeValue::String(inside::<String>(value_text, &span)?.into()),
            [b't' | b'f', ..] => DeValue::Boolean(value_text == "true"),
            [b'n', ..] => return Err(refuse("null is no value here: leave the key out")),
            // What is a number in JSON is one in TOML.
            _ => DeValue::parse(value_text)
                .map_err(|error| refuse(error.message()))?
                .into_inner(),
        };
        Ok(Spanned::new(span, value))
    }

    fn entries(&self, object: &'a str, depth: usize) -> Result<DeTable<'a>, Malformed> {
        let Entries(entries) = inside(object, &self.span(object))?;
        let mut table = DeTable::new();
        for (key, value) in entries {
            let span = self.span(key.get());
            let name: String = inside(key.get(), &span)?;
            let value = self
                .value(value, depth + 1)
                .map_err(|error| error.below(&name))?;
            let key = Spanned::new(span.clone(), name.clone().into());
            if table.insert(key, value).is_some() {
                return Err(Malformed::new(span, "duplicate key").below(&name));
            }
        }
        Ok(table)
    }

    /// Where a part of the text stands in it: both are one piece of memory.
    fn span(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr().addr() - self.text.as_ptr().addr();
        start..start + part.len()
    }
}

/// Reads a value one level deep. The text is JSON; what can still be wrong is an escape in a string.
fn inside<'a, T: Deserialize<'a>>(text: &'a str, span: &Range<usize>) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| Malformed::new(span.clone(), without_place(&error)))
}

/// The entries of an object in their order, those with the same key as well.
struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(EntriesVisitor).map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::file::{Document, Format};
    use crate::testing::load_json;

    /// The text, its place, and what is said of it.
    fn are_refused(cases: &[(&str, &str, &str)]) {
        let mut wrong = Vec::new();
        for (text, place, part) in cases {
            let message = load_json(text).expect_err(text).to_string();
            if !message.starts_with(&format!("etc/soloist.json:{place}: "))
                || !message.contains(part)
                || message.contains("hunter2")
                || message.lines().count() != 1
            {
                wrong.push(format!("{text}: not at {place} with {part:?}: {message}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_is_not_json_is_named_with_its_place() {
        are_refused(&[
            ("", "1:1", "EOF"),
            ("{\n", "2:1", "EOF"),
            ("{ \"task\": [ }", "1:13", "expected value"),
            ("{\n  \"task\": []\n} x", "3:3", "trailing characters"),
            ("{ \"é\" 1 }", "1:7", "expected `:`"),
            ("{ 'a': 1 }", "1:3", "key must be a string"),
            ("{ \"nat64\": [],\n}", "2:1", "the last comma"),
            ("{ \"nat64\": [ \"a\", ] }", "1:19", "the last comma"),
            ("// mine\n{ }", "1:1", "no comments"),
            ("{ # mine\n}", "1:3", "no comments"),
            ("{ \"host_id\": 01 }", "1:15", "invalid number"),
            ("{ \"host_id\": \"a\nb\" }", "1:15", "control character"),
            (
                "{ \"zookeeper\": { \"auth\": \"a:hunter2 } }",
                "1:39",
                "EOF",
            ),
            (
                "{ \"zookeeper\": { \"auth\": \"a:hunter2\" \"b\" } }",
                "1:38",
                "expected `,`",
            ),
        ]);
    }

    #[test]
    fn what_no_configuration_can_be_is_named_with_its_place_and_key() {
        let deep = format!("{{ \"nat64\": {}{} }}", "[".repeat(100), "]".repeat(100));
        are_refused(&[
            ("5", "1:1", "expected a table"),
            (" [{}]", "1:2", "expected a table"),
            ("null", "1:1", "null is no value here"),
            (
                "{ \"host_id\": null }",
                "1:14: host_id",
                "leave the key out",
            ),
            (
                "{ \"task\": [{ \"limits\": { \"cpu\": null } }] }",
                "1:33: task.limits.cpu",
                "leave the key out",
            ),
            (
                "{ \"zookeeper\": {\n\"root\": \"/a\", \"r\\u006fot\": \"/b\" } }",
                "2:15: zookeeper.root",
                "duplicate key",
            ),
            (
                "{ \"host_id\": \"\\ud800\" }",
                "1:14: host_id",
                "hex escape",
            ),
            (&deep, "1:28: nat64", "too deep"),
            ("{ \"nat64\": [1e999] }", "1:13: nat64", "overflowed"),
            (
                "{ \"task\": [{ \"limits\": { \"memory\": 1.5 } }] }",
                "1:36: task.limits.memory",
                "`1.5`, expected a whole number from 0",
            ),
        ]);
    }

    #[test]
    fn the_mark_that_some_editors_begin_a_file_with_is_passed_over() {
        let text = "\u{feff}{ \"host_id\": \"a\" }";
        for (format, text) in [
            (Format::Json, text),
            (Format::Toml, "\u{feff}host_id = \"a\""),
        ] {
            let document = Document::new("a".into(), format, text.into()).unwrap();
            let read: BTreeMap<String, String> = document.parse("").unwrap();
            assert_eq!(read["host_id"], "a");
        }
        let wrong = Document::new("a".into(), Format::Json, "\u{feff}{ 5 }".into()).unwrap();
        let error = wrong.parse::<BTreeMap<String, String>>("").unwrap_err();
        assert!(error.to_string().starts_with("a:1:3: "), "{error}");
    }

    #[test]
    fn what_stands_below_a_key_in_json_is_found_as_in_toml() {
        are_refused(&[
            (
                "{ \"zookeeper\": { \"rooot\": \"/a\" } }",
                "1:18: zookeeper.rooot",
                "unknown field",
            ),
            ("{ \"task\": {} }", "1:11: task", "a list of them"),
            (
                "{ \"task\": [\n{ \"name\": \"a\", \"plugin\": \"a\" },\n{ \"name\": \"b\" }\n] }",
                "3:1: task.plugin",
                "is missing",
            ),
            (
                "{ \"zookeeper\": [] }",
                "1:16: zookeeper",
                "in JSON { \"key\": value }",
            ),
        ]);
    }
}
