//! Whoever looks something up in the SDK finds how it is used: in an example, which `cargo test --doc` compiles.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use soloist_tests::build;

/// What rustdoc knows of the SDK. Its JSON may differ from one Rust to the next, so it is only given to those who ask for what
/// is unstable.
fn documented() -> Result<Value> {
    let target = build::target()?.join("rustdoc");
    let output = Command::new("cargo")
        .args([
            "rustdoc",
            "--release",
            "--quiet",
            "--package",
            "soloist-sdk",
        ])
        .args(["--all-features", "--target-dir"])
        .arg(&target)
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(build::workspace())
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    let text = fs::read_to_string(target.join("doc/soloist_sdk.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// The blocks of a document that are compiled.
fn examples(text: &str) -> Vec<String> {
    let (mut found, mut block) = (Vec::new(), None);
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut block) {
            (Some(tags), None) => block = Some((tags.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(block.take()),
            (None, Some((_, code))) => *code += &[line, "\n"].concat(),
            (None, None) => {}
        }
    }
    let compiled = ["", "rust", "no_run", "should_panic", "compile_fail"];
    let is_compiled = |tags: &String| tags.split(',').all(|tag| compiled.contains(&tag));
    let found = found.into_iter().filter(|(tags, _)| is_compiled(tags));
    found.map(|(_, code)| code).collect()
}

/// Walks through what is public.
struct Items<'a> {
    index: &'a Map<String, Value>,
    /// Every word of an example.
    shown: BTreeSet<&'a str>,
    found: usize,
    without: BTreeSet<String>,
}

impl<'a> Items<'a> {
    fn get(&self, id: &Value) -> Option<&'a Value> {
        self.index.get(&id.to_string())
    }

    fn list(&mut self, ids: &Value, path: &str) {
        for item in ids.as_array().into_iter().flatten() {
            if let Some(item) = self.get(item) {
                self.item(item, path);
            }
        }
    }

    /// An item has an example of its own.
    fn item(&mut self, item: &'a Value, path: &str) {
        let (kind, inner) = inner(item);
        if kind == "use" {
            return self.exported(item, path);
        }
        if kind == "impl" {
            return;
        }
        let path = format!("{path}::{}", item["name"].as_str().unwrap_or_default());
        self.judge(&path, is_shown(item));
        match kind {
            "module" => self.list(&inner["items"], &path),
            "trait" => self.methods(&inner["items"], &path),
            "struct" | "enum" => {
                for id in inner["impls"].as_array().into_iter().flatten() {
                    let own = self.get(id).map(|it| &it["inner"]["impl"]);
                    if let Some(own) = own.filter(|it| it["trait"].is_null()) {
                        self.methods(&own["items"], &path);
                    }
                }
            }
            _ => {}
        }
    }

    /// Something of another module or crate; what that says of it is said here as well, unless it is hidden there.
    fn exported(&mut self, item: &'a Value, path: &str) {
        let it = &item["inner"]["use"];
        match self.get(&it["id"]) {
            Some(target) if is_shown(item) => {
                self.judge(&format!("{path}::{}", target["name"]), true);
            }
            Some(target) => self.item(target, path),
            None => {
                let source = it["source"].as_str().unwrap_or_default();
                let is_ours = ["crate::", "bindings::"]
                    .iter()
                    .any(|it| source.starts_with(it));
                if is_ours {
                    self.judge(&format!("{path}::{}", it["name"]), is_shown(item));
                }
            }
        }
    }

    /// A method is used in some example: its own, or that of its type or of what it is for.
    fn methods(&mut self, ids: &Value, path: &str) {
        for id in ids.as_array().into_iter().flatten() {
            let Some(method) = self.get(id) else { continue };
            if method["visibility"] == "public" || method["visibility"] == "default" {
                let name = method["name"].as_str().unwrap_or_default();
                self.judge(&format!("{path}::{name}"), self.shown.contains(name));
            }
        }
    }

    fn judge(&mut self, path: &str, is_shown: bool) {
        self.found += 1;
        if !is_shown {
            self.without.insert(path.to_owned());
        }
    }
}

fn inner(item: &Value) -> (&str, &Value) {
    let inner = item["inner"].as_object().and_then(|it| it.iter().next());
    inner.map_or(("", &Value::Null), |(kind, it)| (kind, it))
}

fn is_shown(item: &Value) -> bool {
    !examples(item["docs"].as_str().unwrap_or_default()).is_empty()
}

#[test]
fn every_public_item_of_the_sdk_has_an_example_and_every_method_is_used_in_one() -> Result<()> {
    let documented = documented()?;
    let index = documented["index"].as_object().context("no items")?;
    let of_sdk = index.values().filter(|item| item["crate_id"] == 0);
    let documents = of_sdk.filter_map(|item| item["docs"].as_str());
    let examples: Vec<_> = documents.flat_map(examples).collect();
    let is_no_word = |it: char| !it.is_alphanumeric() && it != '_';
    let mut items = Items {
        index,
        shown: examples
            .iter()
            .flat_map(|it| it.split(is_no_word))
            .collect(),
        found: 0,
        without: BTreeSet::new(),
    };
    let root = items.get(&documented["root"]).context("no crate")?;
    items.item(root, "");
    ensure!(
        items.without.is_empty(),
        "without an example: {:#?}",
        items.without
    );
    ensure!(items.found > 100, "{} items: is that all?", items.found);
    Ok(())
}

#[test]
fn only_what_is_compiled_is_an_example() {
    assert_eq!(
        examples("a\n```\nx\n```\nb\n```no_run\ny\n```"),
        ["x\n", "y\n"]
    );
    for text in [
        "no code",
        "```text\nx\n```",
        "```ignore\nx\n```",
        "```\nnot ended",
    ] {
        assert!(examples(text).is_empty(), "{text}");
    }
}
