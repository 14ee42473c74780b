//! What is played changes: it is built and exchanged, or the old one goes on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use soloist_tests::{build, oracle};
use tempfile::TempDir;

use super::game::Game;

/// How long a build may take that begins with all that a plugin depends on, or waits for another test's.
const BUILD_TIME: Duration = Duration::from_secs(900);

/// A plugin in text that says something as soon as it leads.
fn saying(word: &str) -> String {
    let length = word.len();
    format!(
        r#"(module
  (import "soloist" "log" (func $log (param i32 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{word}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "on_elected") (call $log (i32.const 2) (i32.const 0) (i32.const {length}) (i32.const 0) (i32.const 0)))
  (func (export "on_demoted")))"#
    )
}

fn says(word: &str) -> impl Fn(&Value) -> bool + '_ {
    move |line| line["event"] == "plugin-log" && line["message"] == word
}

fn is(event: &str) -> impl Fn(&Value) -> bool + '_ {
    move |line| line["event"] == event
}

#[tokio::test]
async fn a_plugin_is_loaded_again_when_its_file_changes_and_the_old_one_goes_on_if_it_is_bad()
-> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("speaker.wat");
    fs::write(&file, saying("first"))?;
    let mut game = Game::start(&[&file.display().to_string(), "--json"])?;
    let (from, _) = game
        .wait_after(0, "the first version", says("first"))
        .await?;
    fs::write(&file, "(module (func")?;
    let (from, told) = game
        .wait_after(from, "the refusal", is("not-reloaded"))
        .await?;
    ensure!(
        told["message"]
            .as_str()
            .is_some_and(|it| it.contains("the old plugin goes on")),
        "{told}"
    );
    game.order("elect")?;
    let (from, _) = game
        .wait_after(from, "the first version again", says("first"))
        .await?;
    fs::write(&file, saying("second"))?;
    game.wait_after(from, "the second version", says("second"))
        .await?;
    game.wait_after(from, "the end of the exchange", is("reloaded"))
        .await?;
    // It was touched, but is the same.
    fs::write(&file, saying("second"))?;
    game.order("show")?;
    game.order("quit")?;
    ensure!(game.ended().await?.success(), "{}", game.errors());
    ensure!(game.told("reloaded").len() == 1 && game.told("not-reloaded").len() == 1);
    let verdict = oracle::judge_ended(&game.history);
    ensure!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    Ok(())
}

/// A project like the example `hello`, outside of the workspace.
fn project(folder: &Path) -> Result<()> {
    let sdk = build::workspace().join("guest-sdk");
    let manifest = format!(
        "[package]\nname = \"trial\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\nsoloist-sdk = {{ path = {:?} }}\n\n[workspace]\n",
        sdk.display().to_string()
    );
    fs::create_dir(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    // The same versions as here.
    fs::copy(
        build::workspace().join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    Ok(fs::write(folder.join("src/lib.rs"), source("first"))?)
}

fn source(word: &str) -> String {
    format!(
        "use soloist_sdk::{{Plugin, Result, Term, config, info}};\n\n#[derive(Default)]\nstruct Trial;\n\nimpl Plugin for \
         Trial {{\n    async fn on_elected(&mut self, _: Term) -> Result {{\n        info!(\"{word} {{}}\", \
         config(\"word\").unwrap_or_default());\n        Ok(())\n    }}\n}}\n\nsoloist_sdk::export!(Trial);\n"
    )
}

#[tokio::test]
async fn a_project_is_built_again_when_a_source_changes_and_the_old_one_goes_on_if_that_fails()
-> Result<()> {
    let folder = TempDir::new()?;
    project(folder.path())?;
    let task = |word: &str| {
        format!(
            "[zookeeper]\nservers = \"zk.example:2181\"\n\n[[task]]\nname = \"trial\"\nplugin = \"trial.wasm\"\nconfig = {{ word = \"{word}\" }}\n"
        )
    };
    fs::write(folder.path().join("soloist.toml"), task("one"))?;
    let source_file = folder.path().join("src/lib.rs");
    let mut game = Game::start(&[&folder.path().display().to_string(), "--json"])?;
    game.patience = BUILD_TIME;
    let (from, _) = game
        .wait_after(0, "the first version", says("first one"))
        .await?;
    fs::write(&source_file, source("second").replace("Ok(())", "Ok(()"))?;
    let (from, _) = game
        .wait_after(from, "the failure", is("not-reloaded"))
        .await?;
    ensure!(
        game.errors().contains("src/lib.rs"),
        "what the compiler says: {}",
        game.errors()
    );
    fs::write(&source_file, source("second"))?;
    let (exchanged, _) = game
        .wait_after(from, "the end of the exchange", is("reloaded"))
        .await?;
    let (said, _) = game
        .wait_after(from, "the second version", says("second one"))
        .await?;
    let from = exchanged.max(said);
    fs::write(folder.path().join("soloist.toml"), task("two"))?;
    let (exchanged, _) = game
        .wait_after(from, "the end of the exchange", is("reloaded"))
        .await?;
    let (said, _) = game
        .wait_after(from, "the other configuration", says("second two"))
        .await?;
    let from = exchanged.max(said);
    // A comment makes no other plugin: it is built, and goes on.
    fs::write(&source_file, source("second") + "// and no more\n")?;
    game.wait_after(from, "the same", is("unchanged")).await?;
    game.order("quit")?;
    ensure!(game.ended().await?.success(), "{}", game.errors());
    ensure!(
        game.told("building").len() == 4,
        "it builds once for each change: {:?}",
        game.told("building")
    );
    Ok(())
}
