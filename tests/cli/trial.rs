//! `soloist test`: lives of a task in virtual time.

mod examples;
mod explore;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use soloist_tests::build;
use soloist_tests::project::{self, Project};

use crate::input::case::{Input, refused, soloist};

fn guest(name: &str) -> Result<String> {
    Ok(build::artifacts()?.guest(name).display().to_string())
}

/// Runs `soloist test`: its exit code, and what it prints.
fn tested(plugin: &str, options: &[&str]) -> Result<(Option<i32>, String)> {
    let plugin = guest(plugin)?;
    let mut args = vec!["test", plugin.as_str()];
    args.extend(options);
    let output = soloist(&args)?;
    let mut text = String::from_utf8(output.stdout)?;
    text.push_str(&String::from_utf8(output.stderr)?);
    Ok((output.status.code(), text))
}

/// The options by which `misbehave` does something.
fn doing(what: &str) -> [String; 5] {
    let config = format!("do={what}");
    [
        "--config",
        &config,
        "--allow-state",
        "--allow-tcp",
        "127.0.0.1:9",
    ]
    .map(str::to_owned)
}

fn misbehaved(what: &str, more: &[&str]) -> Result<(Option<i32>, String)> {
    let doing = doing(what);
    let mut options: Vec<&str> = doing.iter().map(String::as_str).collect();
    options.extend(more);
    tested("misbehave", &options)
}

/// A life with an HTTP server: two terms, and a slot of `failover` every minute.
const SERVED: &str = "[[answer]]\nurl = \"http://api.example.com/jobs\"\n\
     [[step]]\nelect = \"a\"\n[[step]]\nadvance = \"190s\"\n[[step]]\ndemote = \"shutdown\"\n\
     [[step]]\nelect = \"b\"\n[[step]]\nadvance = \"190s\"\n[[step]]\ndemote = \"shutdown\"\n";

/// Has `failover` do something in such a life.
fn failed_over(what: &str, more: &[&str]) -> Result<(Option<i32>, String)> {
    let script = Input::new("life.toml", SERVED)?;
    let config = format!("do={what}");
    let mut options = vec!["--config", &config, "--allow-state", "--allow-http"];
    options.extend(["http://api.example.com", "--script", script.path()]);
    options.extend(more);
    tested("failover", &options)
}

#[test]
fn a_plugin_that_sleeps_for_ten_years_is_tested_in_a_moment() -> Result<()> {
    let script = Input::new(
        "sleep.toml",
        "step = [{ elect = \"a\" }, { advance = \"3650days\" }, { demote = \"shutdown\" }, { expect = { ended = \"demoted\" } }]",
    )?;
    let began = Instant::now();
    let (code, text) = misbehaved("idle", &["--script", script.path()])?;
    ensure!(code == Some(0) && text.starts_with("ok "), "{text}");
    ensure!(text.contains("1 term, 9years"), "{text}");
    ensure!(began.elapsed() < Duration::from_secs(300), "{text}");
    Ok(())
}

#[test]
fn the_script_of_the_heartbeat_holds() -> Result<()> {
    let script = build::workspace().join("plugins/heartbeat/tests/handover.toml");
    let script = script.display().to_string();
    let (code, text) = tested("heartbeat", &["--script", &script])?;
    ensure!(
        code == Some(0) && text.contains(": 2 terms, 1m 30s in "),
        "{text}"
    );
    Ok(())
}

#[test]
fn what_is_not_as_expected_is_told_with_its_place_and_what_is_there_instead() -> Result<()> {
    let script = Input::new(
        "bad.toml",
        "[[step]]\nelect = \"a\"\n[[step]]\nadvance = \"2s\"\n[[step]]\n\
         expect = { log = \"leads\", times = 9, state = { last = \"7\" }, ended = \"demoted\", requests = 1 }\n",
    )?;
    let (code, text) = tested("heartbeat", &["--script", script.path()])?;
    ensure!(code == Some(1), "{text}");
    for words in [
        "bad.toml:5:1: step: expected a line with \"leads\" 9 times, and there are 3",
        "info: a leads heartbeat in term 1",
        "expected state \"last\" to be \"7\", and it is not there",
        "expected the term to be demoted, and it is running",
        "expected 1 requests so far, and it made 0",
    ] {
        ensure!(text.contains(words), "{words:?} is not in {text}");
    }
    Ok(())
}

#[test]
fn a_state_that_refuses_and_one_that_holds_something_are_seen_by_the_plugin() -> Result<()> {
    let script = Input::new(
        "state.toml",
        "[[step]]\nset = { one = \"41\" }\n[[step]]\nelect = \"a\"\n[[step]]\nadvance = \"1m\"\n[[step]]\n\
         expect = { state = { one = \"42\", other = \"42\" }, absent = [\"third\"] }\n[[step]]\nkill = true\n\
         [[step]]\nstate = \"refuse\"\n[[step]]\nelect = \"b\"\n[[step]]\nadvance = \"1m\"\n[[step]]\n\
         expect = { event = \"plugin-failed\", state = { one = \"42\" } }\n",
    )?;
    let (code, text) = misbehaved("pair-at-once", &["--script", script.path()])?;
    ensure!(code == Some(0), "{text}");
    Ok(())
}

/// Its next request is due at the very moment at which demotion begins: it is refused that, and has not failed.
#[test]
fn a_plugin_that_is_refused_an_effect_as_demotion_begins_is_demoted_in_good_order() -> Result<()> {
    for ms in [59_999, 119_999, 179_999] {
        let text = format!(
            "step = [{{ elect = \"a\" }}, {{ advance = \"{ms}ms\" }}, {{ demote = \"shutdown\" }}, \
             {{ expect = {{ ended = \"demoted\" }} }}]\n[[answer]]\nurl = \"https://a.example/\"\nstatus = 304\n"
        );
        let script = Input::new("due.toml", text)?;
        let options = [
            "--allow-state",
            "--allow-http",
            "https://a.example",
            "--config",
            "url=https://a.example/",
            "--script",
            script.path(),
        ];
        let (code, text) = tested("http-poller", &options)?;
        ensure!(code == Some(0), "{ms}: {text}");
    }
    Ok(())
}

#[test]
fn a_plugin_that_fails_or_ignores_its_demotion_fails_the_test() -> Result<()> {
    for (what, words) in [
        ("error", "the plugin failed: "),
        (
            "linger",
            "did not stop within 2s (`demote_timeout`) of its demotion",
        ),
    ] {
        let (code, text) = misbehaved(what, &[])?;
        ensure!(code == Some(1) && text.contains(words), "{what}: {text}");
    }
    Ok(())
}

#[test]
fn the_random_numbers_of_a_seed_are_the_same_in_each_life() -> Result<()> {
    // It makes as many calls as the number that it has drawn says.
    let calls = |seed: &str| -> Result<String> {
        let (code, text) = failed_over("random", &["--seed", seed, "--at", "9999:kill"])?;
        ensure!(code == Some(2), "{text}");
        let calls = text.split("the plugin makes ").nth(1);
        let calls = calls.and_then(|rest| rest.split(' ').next());
        Ok(calls.context(text.clone())?.to_owned())
    };
    let first = calls("0")?;
    for _ in 0..3 {
        ensure!(calls("0")? == first);
    }
    let mut others = Vec::new();
    for seed in ["1", "2", "3"] {
        others.push(calls(seed)?);
    }
    ensure!(others.iter().any(|other| *other != first), "{others:?}");
    let (code, text) = failed_over(
        "random",
        &["--seed", "7", "--explore", "--explore-max", "100"],
    )?;
    ensure!(code == Some(0) && text.contains(", seed 7\n"), "{text}");
    Ok(())
}

#[test]
fn a_plugin_makes_the_same_calls_in_each_life() -> Result<()> {
    // Longer than it takes to interrupt a plugin on a host.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (code, text) = tested("heartbeat", &["--at", "999999:kill"])?;
        ensure!(
            code == Some(2) && text.contains("so there is no call 999999"),
            "{text}"
        );
        seen.push(text);
    }
    ensure!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
    Ok(())
}

#[test]
fn a_plugin_that_does_more_than_is_kept_is_stopped() -> Result<()> {
    let (code, text) = failed_over("flood", &[])?;
    ensure!(
        code == Some(1)
            && text.contains("life.toml:3:1: step: what the plugin has called, sent and written"),
        "{text}"
    );
    ensure!(
        text.contains("more than 128 MiB") && text.len() < 2_000,
        "{text}"
    );
    Ok(())
}

#[test]
fn a_folder_is_built_and_goes_through_each_of_its_scripts() -> Result<()> {
    let project = Project::new("tried", &["--lang", "wat"])?;
    let run = |folder: &std::path::Path, args: &[&str]| -> Result<(Option<i32>, String)> {
        let output = project::soloist(folder, args)?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8(text)?))
    };
    let tests = project.folder().join("tests");
    // What the project comes with, tests of `soloist new` go through.
    std::fs::remove_dir_all(&tests)?;
    let (code, text) = run(project.folder(), &["test"])?;
    ensure!(
        code == Some(0) && text.starts_with("ok a usual life: 2 terms, 2h in "),
        "{text}"
    );
    std::fs::create_dir(&tests)?;
    std::fs::write(tests.join("b.toml"), SERVED)?;
    let bad = "[[step]]\nelect = \"a\"\n[[step]]\nexpect = { log = \"never\" }\n";
    std::fs::write(tests.join("a.toml"), bad)?;
    std::fs::write(tests.join("notes.txt"), "no script")?;
    let above = project.folder().parent().context("a folder")?;
    let (code, text) = run(above, &["test", "tried"])?;
    ensure!(code == Some(1), "{text}");
    let (first, second) = (
        text.find("FAILED tests/a.toml: 1 term"),
        text.find("ok tests/b.toml: 2 terms"),
    );
    ensure!(first.is_some() && first < second, "{text}");
    ensure!(text.contains("1 of 2 did not go as it should"), "{text}");
    Ok(())
}

#[test]
fn a_bad_script_is_refused_with_its_place_and_a_remedy() -> Result<()> {
    let plugin = guest("heartbeat")?;
    for (text, words) in [
        (
            "[[step]]\nelct = \"a\"\n",
            &["s.toml:2:1", "`elct` (did you mean `elect`?)"][..],
        ),
        ("[[step]]\nelect = 7\n", &["s.toml:2:9", "string"]),
        (
            "[[step]]\nadvance = \"soon\"\n",
            &["s.toml:2:11", "not a duration", "1day"],
        ),
        (
            "[[step]]\nadvance = \"4000days\"\n",
            &["s.toml:2:11", "too long"],
        ),
        (
            "[[step]]\ndemote = \"boredom\"\n",
            &["s.toml:2:10", "shutdown"],
        ),
        ("[[step]]\nelect = \"a\"\nkill = true\n", &["s.toml:"]),
        ("[[step]]\nkill = false\n", &["s.toml:2:8", "write `true`"]),
        (
            "[[step]]\nexpect = { logs = \"x\" }\n",
            &["s.toml:2:", "logs", "log"],
        ),
        (
            "[[step]]\nexpect = {}\n",
            &["s.toml:1:1", "expects nothing"],
        ),
        (
            "[[step]]\nexpect = { times = 2 }\n",
            &["s.toml:2:20", "log"],
        ),
        (
            "[[step]]\nexpect = { event = \"gone\" }\n",
            &["s.toml:2:20", "no event", "REFERENCE.md"],
        ),
        (
            "[[step]]\nexpect = { log = \"x\", level = \"loud\" }\n",
            &["s.toml:2:31", "\"warn\""],
        ),
        ("[[answer]]\nurl = \"/jobs\"\n", &["s.toml:2:7", "scheme"]),
        (
            "[[step]]\nset = { \"a/b\" = \"c\" }\n",
            &["s.toml:2:", "bad key"],
        ),
        ("", &["s.toml:1:1", "write at least one"]),
        ("[[step]\n", &["s.toml:1:"]),
    ] {
        let script = Input::new("s.toml", text)?;
        refused(&["test", &plugin, "--script", script.path()], words)?;
    }
    refused(
        &["test", &plugin, "--script", "/nowhere.toml"],
        &["/nowhere.toml", "cannot be read"],
    )?;
    refused(
        &["test", &plugin, "--script", "/"],
        &["/ is a folder", "name a script"],
    )?;
    let long = Input::new("long.toml", "# No more than this.\n".repeat(1_000_000))?;
    refused(
        &["test", &plugin, "--script", long.path()],
        &["long.toml", "more than 16777216 bytes"],
    )?;
    let latin = Input::new("latin.toml", "")?;
    std::fs::write(latin.path(), b"[[step]]\nelect = \"\xe9\"\n")?;
    refused(
        &["test", &plugin, "--script", latin.path()],
        &["latin.toml", "not text in UTF-8"],
    )?;
    refused(
        &["test", "/nowhere.wasm"],
        &["/nowhere.wasm", "name a plugin"],
    )?;
    refused(&["test", &plugin, "--at", "17"], &["CALL:KIND", "17:kill"])?;
    refused(&["test", &plugin, "--at", "0:kill"], &["CALL:KIND"])?;
    refused(&["test", &plugin, "--explore-max", "0"], &["--explore-max"])?;
    let counter = guest("counter")?;
    refused(&["test", &counter], &["state = true", "--allow-state"])?;
    let script = Input::new("s.toml", "[[step]]\nelect = \"a\"\n")?;
    refused(
        &[
            "test",
            &plugin,
            "--script",
            script.path(),
            "--at",
            "170:kill",
        ],
        &[
            "--at 170:kill",
            "the plugin makes ",
            " calls",
            "no call 170",
        ],
    )?;
    refused(&["test", &plugin, "--seed", "x"], &["--seed", "x"])?;
    Ok(())
}

/// Where a file is asked for, a folder is told with what to name instead.
#[test]
fn a_folder_in_the_place_of_a_plugin_is_told_what_to_name() -> Result<()> {
    let plugin = guest("heartbeat")?;
    let folder = tempfile::TempDir::new()?;
    let path = folder.path().display().to_string();
    for args in [
        &["inspect", &path][..],
        &["inspect", &plugin, &path],
        &["check", &path],
        &["run", &path],
        &["check", "."],
    ] {
        refused(args, &["is a folder", "`soloist build ", "soloist.toml"])?;
    }
    refused(&["test", &path], &["is no project", "soloist new"])?;
    refused(&["dev", &path], &["is no project", "soloist new"])
}

#[test]
fn a_script_answers_what_is_granted_and_nothing_else() -> Result<()> {
    let script = Input::new(
        "http.toml",
        "[[answer]]\nurl = \"https://api.example.com/jobs\"\nbody = \"hello\"\nafter = \"3s\"\n\
         [[step]]\nelect = \"a\"\n[[step]]\nexpect = { log = \"hello\", times = 0, requests = 1 }\n\
         [[step]]\nadvance = \"3s\"\n[[step]]\nexpect = { log = \"hello\", requests = 1 }\n",
    )?;
    for (grant, expected) in [("https://api.example.com", 0), ("https://other.example", 1)] {
        let options = [
            "--config",
            "do=get",
            "--config",
            "url=https://api.example.com/jobs",
            "--allow-tcp",
            "127.0.0.1:9",
            "--allow-http",
            grant,
            "--script",
            script.path(),
        ];
        let (code, text) = tested("network", &options)?;
        ensure!(code == Some(expected), "{grant}: {text}");
        let is_refused = text.contains("https://api.example.com is not granted to this task");
        ensure!(is_refused == (expected == 1), "{grant}: {text}");
    }
    Ok(())
}
