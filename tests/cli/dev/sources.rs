//! What is played changes: it is built and exchanged, or the old one goes on.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;
use soloist_tests::oracle;
use tempfile::TempDir;

use super::game::Game;

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
