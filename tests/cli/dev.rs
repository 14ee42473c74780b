//! `soloist dev`: each order does what it says, sources are built again, and no two hosts lead at once.

mod bad;
mod game;
mod grants;
mod sources;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use soloist_tests::{build, oracle};

use game::Game;

fn counter() -> Result<String> {
    Ok(build::artifacts()?.guest("counter").display().to_string())
}

/// Each order waits for the one before it, so a script can give all of them at once.
#[tokio::test]
async fn each_order_of_a_script_is_carried_out_and_no_two_hosts_lead_at_once() -> Result<()> {
    let mut game = Game::start(&[&counter()?, "--allow-state", "--json"])?;
    for order in [
        "elect",
        "fail over",
        "d",
        "cut",
        "reload",
        "show",
        "expire",
        "show",
        "quit",
    ] {
        game.order(order)?;
    }
    let status = game.ended().await?;
    ensure!(status.code() == Some(0), "{status}: {}", game.errors());
    let verdict = oracle::judge_ended(&game.history);
    ensure!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    let leaders: Vec<_> = verdict
        .activities
        .iter()
        .map(|it| it.host.clone())
        .collect();
    ensure!(
        leaders.len() == 6,
        "one term for each order that ends one: {leaders:?}"
    );
    ensure!(
        leaders.windows(2).all(|pair| pair[0] != pair[1]),
        "the other host follows: {leaders:?}"
    );
    let [shown, last] = &game.told("shown")[..] else {
        anyhow::bail!("nothing is shown")
    };
    ensure!(
        shown["leader"]["host"] == *leaders[4] && shown["leader"]["term"] == 5,
        "{shown}"
    );
    ensure!(
        last["leader"]["host"] == *leaders[5]
            && last["standbys"].as_array().map(Vec::len) == Some(1),
        "{last}"
    );
    let count = |shown: &Value| {
        shown["state"]["count"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok())
    };
    ensure!(
        count(shown) >= Some(1) && count(last) >= count(shown),
        "the next leader counts on: {shown} {last}"
    );
    let reasons: Vec<_> = game
        .told("draining")
        .iter()
        .map(|it| it["reason"].clone())
        .collect();
    ensure!(
        reasons
            == [
                "resigned",
                "resigned",
                "shutdown",
                "lease-expiring",
                "shutdown"
            ],
        "killed, it says nothing: {reasons:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_hour_later_a_plugin_that_waits_for_an_hour_goes_on_and_the_leader_stays() -> Result<()>
{
    let mut game = Game::start(&[
        &counter()?,
        "--allow-state",
        "--config",
        "interval=1h",
        "--json",
    ])?;
    let is_first = |line: &Value| line["fields"]["count"] == "1";
    let (mut position, _) = game.wait_after(0, "the first count", is_first).await?;
    // It may not wait yet when the hour passes.
    let mut hours = 0;
    while game.told("plugin-log").len() < 2 {
        game.order("+")?;
        hours += 1;
        let is_later = |line: &Value| line["event"] == "later";
        game.wait_after(position, "an hour later", is_later).await?;
        game.order("show")?;
        (position, _) = game
            .wait_after(position, "what is kept", |line| line["event"] == "shown")
            .await?;
    }
    game.order("show")?;
    game.order("quit")?;
    ensure!(game.ended().await?.success(), "{}", game.errors());
    let shown = game.told("shown").pop().context("nothing is shown")?;
    ensure!(
        shown["terms"].as_array().map(Vec::len) == Some(1),
        "{shown}"
    );
    let time = |line: &Value, field: &str| {
        humantime::parse_rfc3339(line[field].as_str().unwrap_or_default())
    };
    let ahead = time(&shown, "plugin_time")?.duration_since(time(&shown, "timestamp")?)?;
    ensure!(
        ahead.as_secs().abs_diff(3600 * hours) < 10,
        "{hours} hours: {shown}"
    );
    Ok(())
}

#[tokio::test]
async fn when_asked_to_stop_it_gives_the_task_back_and_ends_well() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut game = Game::start(&[&counter()?, "--allow-state", "--json"])?;
        game.wait_for("a leader", |line| line["event"] == "activated")
            .await?;
        // Only then do both have a session.
        game.wait_for("a standby", |line| line["event"] == "standby")
            .await?;
        game.signal(signal)?;
        let status = game.ended().await?;
        ensure!(
            status.code() == Some(0),
            "{signal:?}: {status}: {}",
            game.errors()
        );
        let told = ["released", "session-closed"].map(|event| game.told(event).len());
        ensure!(told == [1, 2], "{signal:?}: {told:?}");
        let verdict = oracle::judge_ended(&game.history);
        ensure!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    }
    Ok(())
}

/// What a person sees: when, who, what; and a plugin's lines as they are.
#[tokio::test]
async fn a_person_reads_a_line_for_each_event() -> Result<()> {
    let mut game = Game::start(&[&counter()?, "--allow-state"])?;
    game.reads(" counts ").await?;
    game.order("f")?;
    for told in ["| a counts ", "| b counts "] {
        game.reads(told).await?;
    }
    game.order("?")?;
    game.order("q")?;
    ensure!(game.ended().await?.success(), "{}", game.errors());
    let text = game.text();
    ensure!(
        text.lines()
            .next()
            .is_some_and(|line| line.contains("for development")),
        "{text}"
    );
    for told in [
        "activated the plugin leads",
        "killed ",
        "count=1",
        "fail over  kill the leader",
    ] {
        ensure!(text.contains(told), "{told:?} is not in: {text}");
    }
    ensure!(!text.contains('\u{1b}') && !text.contains('{'), "{text}");
    Ok(())
}
