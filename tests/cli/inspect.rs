//! `soloist inspect`: what a plugin is and needs, in words, in JSON and as TOML that can be pasted.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use soloist_tests::build;
use tempfile::TempDir;

use crate::input::case::{GOOD, Input, refused, soloist};

/// What a command prints, and its exit code. An error follows what is printed to stdout.
fn printed(args: &[&str]) -> Result<(Option<i32>, String)> {
    let output = soloist(args)?;
    let mut text = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8(output.stderr)?;
    let errors = errors.lines().filter(|line| line.starts_with("error: "));
    text.extend(errors);
    Ok((output.status.code(), text))
}

fn guest(name: &str) -> Result<String> {
    Ok(build::artifacts()?.guest(name).display().to_string())
}

fn inspected(plugin: &str) -> Result<Value> {
    let (code, text) = printed(&["inspect", plugin, "--json"])?;
    ensure!(code == Some(0), "{text}");
    serde_json::from_str(&text).context(text)
}

#[test]
fn a_component_of_the_sdk_tells_its_contract_its_sdk_and_its_toolchain() -> Result<()> {
    let found = inspected(&guest("counter")?)?;
    let version = env!("CARGO_PKG_VERSION");
    ensure!(found["kind"] == "component", "{found}");
    ensure!(found["contract"] == "0.1.0", "{found}");
    ensure!(found["sdk"] == version, "{found}");
    ensure!(found["grants"] == json!(["state"]) && found["opens_files"] == false);
    let names = |list: &Value| -> Vec<String> {
        let entries = list.as_array().into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry["name"].as_str()?.to_owned()))
            .collect()
    };
    ensure!(names(&found["exports"]) == ["on-elected", "on-demoted"]);
    ensure!(names(&found["producers"]).contains(&"rustc".to_owned()));
    let state = found["imports"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|import| import["name"] == "soloist:plugin/state@0.1.0")
        .context("no state")?;
    ensure!(state["grant"] == "state", "{state}");
    let functions = state["functions"].as_array().context("no functions")?;
    ensure!(functions.contains(&json!("compare-and-set")), "{state}");
    let file = fs::read(guest("counter")?)?;
    ensure!(found["bytes"] == file.len(), "{found}");
    ensure!(found["sha256"] == soloist_core::digest::Digest::of(&file).to_string());
    Ok(())
}

#[test]
fn text_and_modules_are_told_as_what_they_are() -> Result<()> {
    let text = Input::new("plugin.wat", GOOD)?;
    let found = inspected(text.path())?;
    ensure!(found["kind"] == "text" && found["producers"] == json!([]));
    ensure!(found["contract"] == Value::Null && found["sdk"] == Value::Null);
    let bare = Input::new("plugin.wasm", wat::parse_str(GOOD)?)?;
    ensure!(inspected(bare.path())?["kind"] == "bare-module");
    let typed = Input::new("plugin.wasm", module_with_metadata()?)?;
    let found = inspected(typed.path())?;
    ensure!(found["kind"] == "module-with-metadata", "{found}");
    ensure!(found["contract"] == "0.1.0", "{found}");
    Ok(())
}

/// A core module of the contract's world, as toolchains make it that know nothing of components.
fn module_with_metadata() -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(build::workspace().join("guest-sdk/wit"))?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    let mut module = wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "on-elected") (param i64 i64 i32 i32 i32 i32) (result i32) (i32.const 16))
            (func (export "on-demoted") (param i32)))"#,
    )?;
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding)?;
    Ok(module)
}

/// What is printed is a configuration, which grants what the plugin needs and pins what was looked at.
#[test]
fn the_lines_to_paste_are_a_configuration_that_loads() -> Result<()> {
    for plugin in ["hello", "counter", "network", "misbehave"] {
        let path = guest(plugin)?;
        let (code, text) = printed(&["inspect", &path])?;
        ensure!(code == Some(0), "{text}");
        let (_, toml) = text.split_once("\n\n").context("nothing to paste")?;
        ensure!(toml.contains("[[task]]") && toml.contains("sha256 = "));
        let toml = &toml.replace("HOST:PORT", "example.com:80");
        let pasted = Input::new("soloist.toml", toml)?;
        let (code, said) = printed(&["check", pasted.path()])?;
        ensure!(code == Some(0), "{said}\n{toml}");
        // Without the grants it does not load, unless there are none.
        let bare = toml.split("[task.allow]").next().unwrap_or_default();
        let (code, said) = printed(&["check", Input::new("soloist.toml", bare)?.path()])?;
        ensure!(
            (code == Some(0)) == (bare == toml.as_str()),
            "{said}\n{toml}"
        );
    }
    Ok(())
}

#[test]
fn a_new_version_that_needs_more_is_told_by_the_exit_code() -> Result<()> {
    let (hello, counter) = (guest("hello")?, guest("counter")?);
    let (code, text) = printed(&["inspect", &hello, &counter])?;
    ensure!(code == Some(1), "{text}");
    for word in [
        "soloist:plugin/state@0.1.0",
        "[task.allow]\nstate = true",
        "error: the new version needs more than the old one: state",
    ] {
        ensure!(text.contains(word), "{word:?} is missing in {text}");
    }
    let (code, text) = printed(&["inspect", &counter, &hello])?;
    ensure!(code == Some(0) && text.contains("nothing more"), "{text}");
    let (code, text) = printed(&["inspect", &hello, &hello])?;
    ensure!(code == Some(0) && !text.contains("imports more"), "{text}");
    let output = soloist(&["inspect", &hello, &counter, "--json"])?;
    let pair: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(output.status.code() == Some(1), "{pair}");
    ensure!(pair["more"]["grants"] == json!(["state"]), "{pair}");
    ensure!(pair["old"]["file"] == hello && pair["new"]["file"] == counter);
    Ok(())
}

/// Files that were once found by random search, some of them sound, and the usual mistakes: `inspect` has the same to say
/// of each as `check`.
#[test]
fn what_check_refuses_inspect_refuses_in_the_same_words() -> Result<()> {
    let place = TempDir::new()?;
    let write = |name: &str, content: &[u8]| fs::write(place.path().join(name), content);
    write("empty.wasm", b"")?;
    write("script.wasm", b"#!/bin/sh\n")?;
    write("header.wasm", b"\0asm\x01\0\0\0")?;
    write("version.wasm", b"\0asm\xff\0\0\0")?;
    write("short.wasm", &fs::read(guest("hello")?)?[..5000])?;
    write("mistake.wat", b"(module (func (export \"on_elected\"))")?;
    write("one.wat", b"(module (func (export \"on_elected\")))")?;
    write("program.wat", b"(module (func (export \"_start\")))")?;
    write("import.wat", b"(module (import \"env\" \"f\" (func)))")?;
    let memories = format!("(module {})", "(memory 1)".repeat(17));
    write("memories.wat", memories.as_bytes())?;
    fs::create_dir(place.path().join("directory.wasm"))?;
    let corpus = build::workspace().join("tests/fuzz/corpus/loader");
    let (mut sound, mut bad) = (0, 0);
    for folder in [place.path(), &corpus] {
        for entry in fs::read_dir(folder)? {
            if is_refused_alike(&entry?.path())? {
                bad += 1;
            } else {
                sound += 1;
            }
        }
    }
    ensure!(bad > 10 && sound > 1, "{bad} are bad, {sound} are sound");
    is_refused_alike(Path::new("/nowhere.wasm")).map(drop)
}

/// Says whether both commands refuse a file; fails if they do not do it alike.
fn is_refused_alike(file: &Path) -> Result<bool> {
    let path = file.display().to_string();
    let grants = ["--allow-state", "--allow-http=", "--allow-tcp="];
    let check = soloist(&[&["check", "--task=t", &path], &grants[..]].concat())?;
    let inspect = soloist(&["inspect", &path])?;
    ensure!(
        check.status.code() == inspect.status.code(),
        "{path}: {check:?} {inspect:?}"
    );
    let told = String::from_utf8(check.stderr)?.replace("error: task t: ", "error: ");
    let is_refused = !inspect.status.success();
    if is_refused {
        let said = String::from_utf8(inspect.stderr)?;
        ensure!(said == told, "{path}: {said:?}, and check: {told:?}");
        ensure!(inspect.status.code() == Some(2) && inspect.stdout.is_empty());
    }
    Ok(is_refused)
}

#[test]
fn bad_usage() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    refused(&["inspect"], &["PLUGIN", "Usage"])?;
    refused(&["inspect", good.path(), good.path(), "x"], &["'x'"])?;
    refused(&["inspect", good.path(), "--jsn"], &["--jsn", "--json"])?;
    refused(&["inspect", "-"], &["the plugin -"])?;
    refused(
        &["inspect", good.path(), "/nowhere.wasm"],
        &["/nowhere.wasm", "cannot read"],
    )?;
    refused(&["inspect", "/dev/null"], &["/dev/null", "not a file"])?;
    let toml = Input::new("soloist.toml", "")?;
    refused(
        &["inspect", toml.path()],
        &["soloist.toml", "is not WebAssembly"],
    )?;
    refused(
        &["inspect", good.path(), "--sha256", "zz"],
        &["--sha256", "64 hexadecimal digits"],
    )?;
    let zeros = "0".repeat(64);
    refused(
        &["inspect", good.path(), "--sha256", &zeros],
        &["its SHA-256 is ", &zeros],
    )?;
    refused(
        &["inspect", "file:///nowhere.wasm"],
        &["file:///nowhere.wasm", "sha256"],
    )?;
    refused(
        &["inspect", "http://example.com/a.wasm"],
        &["PLUGIN", "https"],
    )
}

/// A name that cannot be a task's, and one that TOML has to quote.
#[test]
fn the_lines_to_paste_hold_whatever_the_file_is_called() -> Result<()> {
    for name in ["it \"is\" one.wat", "...wat", "é\u{202e}.wat"] {
        let file = Input::new(name, GOOD)?;
        let (code, text) = printed(&["inspect", file.path()])?;
        ensure!(code == Some(0), "{text}");
        let (_, toml) = text.split_once("\n\n").context("nothing to paste")?;
        let (code, said) = printed(&["check", Input::new("soloist.toml", toml)?.path()])?;
        ensure!(code == Some(0), "{said}\n{toml}");
    }
    Ok(())
}
