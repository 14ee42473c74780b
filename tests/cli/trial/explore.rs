//! `soloist test --explore`: a failover at each call of a plugin finds what it would do.

use anyhow::{Context, Result, ensure};
use soloist_tests::build;

use super::{SERVED, failed_over, guest, misbehaved, tested};
use crate::input::case::Input;

#[test]
fn exploring_finds_the_state_that_a_failover_tears_and_shows_it_again() -> Result<()> {
    let (code, text) = misbehaved("pair", &["--explore"])?;
    ensure!(
        code == Some(1) && text.contains("state torn: the next host finds one = "),
        "{text}"
    );
    let point = text
        .split("--at ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_default();
    let (code, again) = misbehaved("pair", &["--at", point])?;
    ensure!(
        code == Some(1) && again.contains("state torn"),
        "{point}: {again}"
    );
    ensure!(again.contains("1 failover at "), "{again}");
    let (code, text) = misbehaved("pair-at-once", &["--explore"])?;
    ensure!(code == Some(0) && text.contains("; 0 findings"), "{text}");
    ensure!(text.contains(" a second"), "{text}");
    Ok(())
}

/// Exploring finds this and nothing else, and the first of the numbers that it names shows it again.
fn shown_again(what: &str, words: &str) -> Result<()> {
    let (code, text) = failed_over(what, &["--explore", "--explore-max", "400"])?;
    ensure!(code == Some(1) && text.contains(words), "{what}: {text}");
    let told = text.lines().filter(|line| line.starts_with("  --at "));
    let others: Vec<_> = told.filter(|line| !line.contains(words)).collect();
    ensure!(others.is_empty(), "{what}: {others:?}");
    let line = text.lines().find(|line| line.contains(words));
    let point = line.and_then(|line| line.trim().split(' ').nth(1));
    let point = point.context(text.clone())?;
    let (code, again) = failed_over(what, &["--at", point])?;
    ensure!(
        code == Some(1) && again.contains("1 failover at ") && again.contains(words),
        "{what} at {point}: {again}"
    );
    Ok(())
}

fn nothing_found(what: &str) -> Result<()> {
    let (code, text) = failed_over(what, &["--explore", "--explore-max", "400"])?;
    ensure!(
        code == Some(0) && text.contains("; 0 findings"),
        "{what}: {text}"
    );
    Ok(())
}

#[test]
fn exploring_finds_the_slot_that_a_failover_loses() -> Result<()> {
    let (url, is_lost) = (
        "http://api.example.com/jobs",
        "slot lost: a slot of the schedule main",
    );
    let words =
        format!("{is_lost} is completed, and POST {url} is sent 0 times for it instead of 1");
    shown_again("done-send", &words)?;
    let words =
        format!("{is_lost} is completed, and what it writes to state \"count\" is not there");
    shown_again("done-count", &words)
}

#[test]
fn exploring_finds_the_slot_that_a_failover_does_twice() -> Result<()> {
    let words = "slot done twice: POST http://api.example.com/jobs is sent again";
    for what in ["send-done", "send-random"] {
        shown_again(what, words)?;
    }
    let words =
        "slot done twice: what a slot of the schedule main writes to state \"count\" counts again";
    shown_again("count-done", words)
}

#[test]
fn exploring_finds_the_slot_that_is_never_completed() -> Result<()> {
    shown_again(
        "forget",
        "slot never completed: a slot of the schedule main is claimed, and",
    )?;
    let (code, text) = failed_over("keep", &["--explore", "--explore-max", "400"])?;
    ensure!(
        code == Some(1) && text.contains("is claimed in 2 runs, and completed in none"),
        "{text}"
    );
    Ok(())
}

#[test]
fn exploring_finds_nothing_where_slots_are_done_with_care() -> Result<()> {
    for what in [
        "send-key",
        "send-header",
        "put-slot",
        "count-with",
        "beside",
    ] {
        nothing_found(what)?;
    }
    let script = Input::new("life.toml", SERVED)?;
    let options = [
        "--allow-state",
        "--config",
        "cron=* * * * *",
        "--config",
        "takes=20s",
        "--script",
        script.path(),
        "--explore",
    ];
    let (code, text) = tested("cron-report", &options)?;
    ensure!(code == Some(0) && text.contains("; 0 findings"), "{text}");
    Ok(())
}

#[test]
fn exploring_finds_the_request_that_is_sent_again() -> Result<()> {
    let words =
        "POST http://api.example.com/jobs is sent 2 times instead of 1, without an Idempotency-Key";
    shown_again("send", words)?;
    // It does no more when it is sent again.
    nothing_found("put")
}

#[test]
fn a_request_without_a_token_is_told_where_the_task_does_without() -> Result<()> {
    let words = "POST http://api.example.com/jobs carries no fencing token";
    let (code, text) = failed_over("send", &["--identify", "false", "--at", "1:kill"])?;
    ensure!(code == Some(1) && text.contains(words), "{text}");
    let (code, text) = failed_over("send", &["--at", "1:kill"])?;
    ensure!(code == Some(0) && !text.contains(words), "{text}");
    Ok(())
}

#[test]
fn exploring_finds_the_plugin_that_does_not_stop_in_the_middle_of_something() -> Result<()> {
    shown_again("busy", "the plugin did not stop within `demote_timeout`")
}

#[test]
fn exploring_finds_the_plugin_that_fails_on_what_the_last_host_has_left() -> Result<()> {
    let words = "after the takeover, the plugin failed: it was begun and not ended";
    shown_again("begin", words)
}

/// The next host restarts the plugin again and again, and it fails each time: at each point that is one finding.
#[test]
fn what_each_restart_repeats_is_told_once() -> Result<()> {
    let (code, text) = failed_over("begin", &["--explore", "--explore-max", "400"])?;
    let line = text
        .lines()
        .find(|line| line.contains("begun and not ended"));
    let points: Vec<_> = line.context(text.clone())?.split("--at ").skip(1).collect();
    let distinct: std::collections::BTreeSet<_> =
        points.iter().map(|it| it.split(' ').next()).collect();
    ensure!(
        code == Some(1) && points.len() > 1 && distinct.len() == points.len(),
        "{text}"
    );
    Ok(())
}

/// Somebody at a terminal sees how far it is. A pipe has nothing but the findings.
#[test]
fn progress_is_shown_on_a_terminal_alone() -> Result<()> {
    let script = Input::new("life.toml", SERVED)?;
    let soloist = build::artifacts()?.soloist.display().to_string();
    let plugin = guest("failover")?;
    let command = format!(
        "{soloist} test {plugin} --config do=put --allow-state --allow-http http://api.example.com --script {} --explore --explore-max 50",
        script.path()
    );
    let run = |command: &mut std::process::Command| -> Result<String> {
        soloist_tests::host::clear_settings(command);
        let output = command
            .env("XDG_CACHE_HOME", build::target()?.join("cache"))
            .stdin(std::process::Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{text}");
        Ok(text)
    };
    // It gives its child a terminal of its own.
    let shown = run(std::process::Command::new("script").args(["-qec", &command, "/dev/null"]))?;
    ensure!(
        shown.contains(" failovers tried: ") && shown.contains("; 0 findings"),
        "{shown}"
    );
    let piped = run(std::process::Command::new("sh").args(["-c", &command]))?;
    ensure!(
        !piped.contains("tried: ") && !piped.contains('\u{1b}'),
        "{piped}"
    );
    Ok(())
}

/// What is wrong without a failover is told first, and alone.
#[test]
fn a_life_that_does_not_go_as_it_should_is_not_explored() -> Result<()> {
    let (code, text) = misbehaved("error", &["--explore"])?;
    ensure!(
        code == Some(1) && text.contains("no failover was tried"),
        "{text}"
    );
    // For each host, once when it is elected and once for all its restarts.
    let failures = text.matches("the plugin failed: this went wrong").count();
    let repeats = text.matches("this went wrong (5 times)\n").count();
    ensure!((failures, repeats) == (4, 2), "{text}");
    Ok(())
}

#[test]
fn exploring_is_bounded_and_says_what_it_left_out() -> Result<()> {
    let (code, text) = misbehaved("pair-at-once", &["--explore", "--explore-max", "7"])?;
    ensure!(
        code == Some(0) && text.contains(" were not tried (--explore-max)"),
        "{text}"
    );
    Ok(())
}
