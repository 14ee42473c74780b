//! The usual mistakes: what is wrong, where, what to do, and the exit code.

use std::fs;

use anyhow::{Result, ensure};
use soloist_tests::build;
use tempfile::TempDir;

use super::game::Game;
use crate::input::case::{GOOD, refused};

#[test]
fn what_cannot_be_played_is_refused_with_a_remedy() -> Result<()> {
    let folder = TempDir::new()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("good.wat"), GOOD)?;
    fs::write(at("bad.wat"), "(module")?;
    fs::write(at("deploy.toml"), "")?;
    fs::create_dir(at("empty"))?;
    let counter = build::artifacts()?.guest("counter").display().to_string();
    refused(
        &["dev", &at("none.wasm")],
        &["none.wasm", "no such file or folder", "name a plugin"],
    )?;
    refused(
        &["dev", &at("deploy.toml")],
        &["deploy.toml", "is a configuration", "name the folder"],
    )?;
    refused(&["dev", &at("bad.wat")], &["bad.wat"])?;
    refused(&["dev", &counter], &["state", "--allow-state"])?;
    refused(
        &["dev", &at("good.wat"), "--limit", "memory=much"],
        &["--limit memory"],
    )?;
    refused(
        &["dev", &at("good.wat"), "--zookeeper", "zk:2181"],
        &["--zookeeper"],
    )?;
    refused(
        &["dev", &at("good.wat"), "--demote-timeout", "1h"],
        &["--demote-timeout", "session timeout"],
    )?;
    Ok(())
}

/// The configuration beside the sources is the task's, so it is read as that of a host.
#[test]
fn a_project_that_cannot_be_played_is_refused_with_the_place() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().display().to_string();
    let configured = |text: &str| fs::write(folder.path().join("soloist.toml"), text);
    fs::write(folder.path().join("notes.txt"), "")?;
    refused(&["dev", &path], &["is no project", "soloist new"])?;
    let notes = folder.path().join("notes.txt").display().to_string();
    refused(&["dev", &notes], &["notes.txt", "is not WebAssembly"])?;
    fs::write(folder.path().join("good.wat"), GOOD)?;
    let task = "[[task]]\nname = \"a\"\nplugin = \"good.wat\"\n";
    let two = format!("{task}{}", task.replace("\"a\"", "\"b\""));
    configured(&two)?;
    refused(&["dev", &path], &["2 tasks", "name the plugin instead"])?;
    configured(&format!("{task}plugn = \"good.wat\"\n"))?;
    refused(
        &["dev", &path],
        &["soloist.toml:4:1: task.plugn", "(did you mean `plugin`?)"],
    )?;
    configured("[[task]\n")?;
    refused(&["dev", &path], &["soloist.toml:1:"])?;
    configured(task)?;
    fs::write(folder.path().join("more.wat"), GOOD)?;
    refused(&["dev", &path], &["more than one .wat file"])?;
    refused(&["dev", &path, "more"], &["'more'"])?;
    refused(&["dev", "--jsn"], &["--jsn", "--json"])
}

#[tokio::test]
async fn an_unknown_order_of_a_script_ends_it_in_good_order() -> Result<()> {
    let folder = TempDir::new()?;
    let plugin = folder.path().join("good.wat");
    fs::write(&plugin, GOOD)?;
    let mut game = Game::start(&[&plugin.display().to_string(), "--json"])?;
    game.order("elect")?;
    game.order("explode")?;
    let status = game.ended().await?;
    ensure!(status.code() == Some(2), "{status}");
    let errors = game.errors();
    ensure!(
        errors.contains("no order \"explode\"; there are elect, fail over"),
        "{errors}"
    );
    ensure!(
        game.told("session-closed").len() == 2,
        "both hosts have ended well"
    );
    Ok(())
}

/// A plugin that fails on both hosts leads nowhere: what cannot be carried out is said, and counts at the end.
#[tokio::test]
async fn an_order_that_is_not_carried_out_is_an_error_at_the_end_of_a_script() -> Result<()> {
    let folder = TempDir::new()?;
    let plugin = folder.path().join("good.wat");
    fs::write(&plugin, GOOD)?;
    let mut game = Game::start(&[&plugin.display().to_string(), "--json"])?;
    game.wait_for("a leader", |line| line["event"] == "activated")
        .await?;
    fs::write(&plugin, "no plugin any more")?;
    game.order("reload")?;
    game.order("quit")?;
    let status = game.ended().await?;
    ensure!(status.code() == Some(1), "{status}");
    ensure!(
        game.errors()
            .contains("orders that were not carried out: 1"),
        "{}",
        game.errors()
    );
    ensure!(game.told("not-reloaded").len() >= 1);
    Ok(())
}
