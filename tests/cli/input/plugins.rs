//! Plugins that are none: the message names the file, and what is wrong with it.

use anyhow::{Context, Result, ensure};
use soloist_tests::build;

use super::case::{GOOD, Input, refused, soloist};

/// A plugin file with this content is refused.
fn plugin(content: impl AsRef<[u8]>, words: &[&str]) -> Result<()> {
    let name = if content.as_ref().starts_with(b"(") {
        "plugin.wat"
    } else {
        "plugin.wasm"
    };
    Input::new(name, content)?.refused(&[&["plugin.wa"], words].concat())
}

/// A plugin that is not there.
#[test]
fn a_plugin_that_does_not_exist() -> Result<()> {
    let input = Input::new("other", "")?;
    let path = input.path.with_file_name("nowhere.wasm");
    refused(
        &["run", path.to_str().context("not text")?],
        &["nowhere.wasm"],
    )
}

/// A directory in place of a plugin.
#[test]
fn a_plugin_that_is_a_directory() -> Result<()> {
    let input = Input::new("other", "")?;
    let directory = input
        .path
        .parent()
        .and_then(|path| path.to_str())
        .context("not text")?;
    refused(&["run", directory], &[directory])
}

/// A plugin that is not the one it is pinned to, by a flag and in a file: both digests are shown, and `check` prints the one
/// to write.
#[test]
fn a_plugin_with_another_sha256() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    let output = soloist(&["check", good.path()])?;
    let summary = String::from_utf8(output.stdout)?;
    let sha256 = summary
        .lines()
        .find_map(|line| line.trim().strip_prefix("sha256"))
        .context("no sha256")?
        .trim();
    let pinned = soloist(&["check", good.path(), "--sha256", sha256])?;
    ensure!(
        pinned.status.success(),
        "{}",
        String::from_utf8_lossy(&pinned.stderr)
    );
    let other = "0".repeat(64);
    for command in ["check", "run"] {
        refused(
            &[command, good.path(), "--sha256", &other],
            &["good.wat", sha256, &other],
        )?;
    }
    let task = format!("[[task]]\nname = \"t\"\nplugin = \"good.wat\"\nsha256 = \"{other}\"\n");
    Input::new("soloist.toml", task)?.refused(&["task t", "good.wat", sha256, &other])?;
    refused(
        &["run", good.path(), "--sha256", "abc"],
        &["--sha256", "abc", "64 hexadecimal digits"],
    )
}

/// What a stranger wrote into a plugin's file is quoted, but drives no terminal and does not flood it.
#[test]
fn a_plugin_whose_names_are_hostile() -> Result<()> {
    let name = format!("\\1b[2J{}", "x".repeat(50_000));
    let imports = format!(
        r#"(module (import "e" "{name}" (func)) (func (export "on_elected")) (func (export "on_demoted")))"#
    );
    let good = Input::new("plugin.wat", imports)?;
    let message = String::from_utf8(soloist(&["check", good.path()])?.stderr)?;
    ensure!(
        message.contains("\\u{1b}[2Jxxx") && !message.contains('\u{1b}') && message.len() < 5000,
        "{message}"
    );
    Ok(())
}

/// A file that is neither wasm nor its text form.
#[test]
fn a_plugin_that_is_not_wasm() -> Result<()> {
    plugin("#!/bin/sh\necho hello\n", &["WebAssembly"])
}

/// An empty file.
#[test]
fn a_plugin_that_is_empty() -> Result<()> {
    plugin("", &[])
}

/// A plugin that was only copied in part.
#[test]
fn a_plugin_that_is_cut_off() -> Result<()> {
    let whole = std::fs::read(build::artifacts()?.guest("hello"))?;
    plugin(&whole[..whole.len() / 2], &[])
}

/// Text that is no module: the place of the mistake is shown.
#[test]
fn a_plugin_whose_text_is_broken() -> Result<()> {
    plugin(
        "(module\n  (func (export \"on_elected\") (what)))",
        &["2:", "what"],
    )
}

/// A module without any export: the two that are missing are named.
#[test]
fn a_plugin_without_exports() -> Result<()> {
    plugin("(module)", &["on_elected"])?;
    plugin(r#"(module (func (export "on_elected")))"#, &["on_demoted"])
}

/// An export of the wrong type: it is named.
#[test]
fn a_plugin_with_an_export_of_the_wrong_type() -> Result<()> {
    let text = r#"(module (func (export "on_elected") (param f32)) (func (export "on_demoted")))"#;
    plugin(text, &["on_elected"])
}

/// Imports that nobody offers: they are named.
#[test]
fn a_plugin_with_unknown_imports() -> Result<()> {
    let text = r#"(module (import "env" "launch_missiles" (func)) (func (export "on_elected")) (func (export "on_demoted")))"#;
    plugin(text, &["env", "launch_missiles"])
}

/// A file whose name cannot be that of a task: the flag that names the task is shown.
#[test]
fn a_plugin_whose_name_is_no_name() -> Result<()> {
    refused(&["check", "....wasm"], &["PLUGIN", "only dots", "--task"])
}
