//! What the tests of several files share: configurations in TOML, and what is said of them.

use std::fs;
use std::path::Path;

use crate::file::{Document, Format};
use crate::host::{Config, Given};
use crate::problem::ConfigError;

/// The document of all keys.
pub(crate) const EXAMPLE: &str = include_str!("../../example.toml");

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

/// The table of lib.rs is true: no file imports one of its own line or of a line above, and there are no other files.
#[test]
fn a_file_knows_only_files_below_it() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |file: &str| fs::read_to_string(sources.join(format!("{file}.rs"))).expect(file);
    let library = read("lib");
    let names = |row: &str| -> Vec<String> {
        let cell = row.split('|').nth(1).unwrap_or_default();
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    };
    let rows = library.lines().filter(|line| line.starts_with("//! | `"));
    let lines: Vec<_> = rows.map(names).collect();
    let line_of = |file: &str| {
        lines
            .iter()
            .position(|line| line.iter().any(|one| one == file))
    };
    for module in library.lines().filter_map(|line| line.strip_prefix("mod ")) {
        let file = module.trim_end_matches(';');
        assert!(file == "testing" || line_of(file).is_some(), "{file}");
    }
    for (number, line) in lines.iter().enumerate() {
        for file in line {
            let source = read(file);
            let code = source.split("mod tests {").next().unwrap_or_default();
            for used in code
                .lines()
                .filter_map(|line| line.strip_prefix("use crate::"))
            {
                let used = used.split([':', ';']).next().unwrap_or_default();
                assert!(line_of(used) > Some(number), "{file} imports {used}");
            }
        }
    }
}
