//! What the tests of several files share: configurations in TOML, and what is said of them.

use crate::file::{Document, Format};
use crate::host::{Config, Given};
use crate::problem::ConfigError;

pub(crate) const TASK: &str = "[[task]]\nname = \"report\"\nplugin = \"report.wasm\"\n";

/// A configuration whose task has this line, its fourth.
pub(crate) fn task(line: &str) -> String {
    format!("{TASK}{line}\n")
}

/// A configuration whose ensemble has this line, its second.
pub(crate) fn zookeeper(line: &str) -> String {
    format!("[zookeeper]\n{line}\n{TASK}")
}

/// A configuration whose task has this name.
pub(crate) fn named(name: &str) -> String {
    format!("[[task]]\nname = {name}\nplugin = \"a.wasm\"\n")
}

pub(crate) fn load(text: &str, given: Given) -> Result<Config, ConfigError> {
    let document = Document::of_file("etc/soloist.toml", Format::Toml, text);
    Config::from_document(&document, given)
}

pub(crate) fn load_json(text: &str) -> Result<Config, ConfigError> {
    let document = Document::of_file("etc/soloist.json", Format::Json, text);
    Config::from_document(&document, Given::default())
}

/// What is said of a configuration that is refused.
pub(crate) fn refused(text: &str) -> String {
    load(text, Given::default()).expect_err(text).to_string()
}

/// A configuration in JSON, if it is TOML at all.
pub(crate) fn as_json(toml: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(toml).ok()?;
    Some(serde_json::to_string_pretty(&table).expect("tables have text as keys"))
}

/// Each: the configuration, where in it, the key, and a part of the message. In JSON the message is the same but for the
/// place.
pub(crate) fn are_named(cases: &[(String, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, at, key, part) in cases {
        let message = refused(text);
        let of_rust = ["struct ", "u32", "i128", "Wire"]
            .iter()
            .any(|word| message.contains(word));
        let place = if key.is_empty() {
            format!("etc/soloist.toml:{at}: ")
        } else {
            format!("etc/soloist.toml:{at}: {key}: ")
        };
        let one_line = message.lines().count() == 1;
        if !message.starts_with(&place)
            || !message.contains(part)
            || message.contains("hunter2")
            || of_rust
            || !one_line
        {
            wrong.push(format!(
                "not one line of {place:?} with {part:?}, with a secret, or in words of Rust: {message}"
            ));
        }
        let Some(json) = as_json(text) else { continue };
        let told = load_json(&json).expect_err(&json).to_string();
        let said = |message: &str| {
            let mut parts = message.splitn(2, ": ");
            parts.next();
            parts.next().map(str::to_owned)
        };
        if said(&told) != said(&message) || !told.starts_with("etc/soloist.json:") {
            wrong.push(format!("in JSON something else: {told}\nthan: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
