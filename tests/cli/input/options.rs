//! Flags and variables with bad values: the message names the flag or the variable, and what would be right.

use anyhow::{Result, ensure};

use super::case::{GOOD, Input, configuration, refused, refused_with, soloist, soloist_with};

/// Durations that are none, in a file and as a flag; the unit is asked for.
#[test]
fn bad_durations() -> Result<()> {
    let task = "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\n";
    for bad in ["10", "ten seconds", "-1s", ""] {
        let text = format!("[zookeeper]\nsession_timeout = \"{bad}\"\n{task}");
        configuration(&text, &["soloist.toml:2:", "session_timeout", "duration"])?;
    }
    let good = Input::new("good.wat", GOOD)?;
    for flag in [
        "--session-timeout",
        "--tick-time",
        "--demote-timeout",
        "--connect-timeout",
    ] {
        refused(&["run", good.path(), flag, "soon"], &[flag, "soon"])?;
    }
    Ok(())
}

/// Times that leave a leader no time to act: the arithmetic is shown.
#[test]
fn a_session_timeout_without_room_for_a_lease() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["run", good.path(), "--session-timeout", "2s"],
        &["session timeout", "2s", "demote"],
    )
}

/// Connect strings that cannot be parsed.
#[test]
fn bad_connect_strings() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    for bad in [
        "",
        "host:port",
        "host:0",
        "host:99999",
        "a:1,,b:1",
        "a:1/chroot,b:1",
        "a:1/chroot/",
    ] {
        refused(&["run", good.path(), "--zookeeper", bad], &["--zookeeper"])?;
    }
    Ok(())
}

/// Entries of a plugin's configuration that are none.
#[test]
fn a_plugin_setting_without_a_value() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["run", good.path(), "--config", "interval"],
        &["--config", "KEY=VALUE"],
    )
}

/// Flags of a single task beside a file that describes the tasks.
#[test]
fn a_task_flag_beside_a_configuration() -> Result<()> {
    let input = Input::new(
        "soloist.toml",
        "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\n",
    )?;
    refused(
        &["run", input.path(), "--task", "other"],
        &["--task", "soloist.toml"],
    )
}

/// A variable of the environment is named as the place of its bad value.
#[test]
fn a_bad_variable() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    for (variable, bad) in [
        ("SOLOIST_SESSION_TIMEOUT", "later"),
        ("SOLOIST_ALLOW_STATE", "maybe"),
        ("SOLOIST_IDENTIFY", ""),
    ] {
        refused_with(
            &[(variable, bad)],
            &["check", good.path()],
            &[&format!("error: {variable}: \"{bad}\"")],
        )?;
    }
    for (variable, bad) in [
        ("SOLOIST_LOG_LEVEL", "loud"),
        ("SOLOIST_LOG_FORMAT", "xml"),
        ("SOLOIST_ONCE", "twice"),
    ] {
        refused_with(
            &[(variable, bad)],
            &["run", good.path()],
            &[&format!("error: {variable}: \"{bad}\"")],
        )?;
    }
    Ok(())
}

/// The same options as flags are named as such.
#[test]
fn bad_words() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    let flags = [
        ("--log-level", "loud"),
        ("--log-format", "xml"),
        ("--identify", "maybe"),
        ("--on-complete", "stop"),
    ];
    for (flag, bad) in flags {
        refused(
            &["run", good.path(), flag, bad],
            &[&format!("error: {flag}: \"{bad}\"")],
        )?;
    }
    refused(
        &["run", good.path(), "--allow-state=maybe"],
        &["error: --allow-state: \"maybe\""],
    )?;
    refused(
        &["run", good.path(), "--once=maybe"],
        &["error: --once: \"maybe\""],
    )
}

/// What is on or off can be said in the usual words, in a variable and in a flag.
#[test]
fn what_is_on_or_off() -> Result<()> {
    let good = Input::new("good.wat", GOOD)?;
    let allows = |variables: &[(&str, &str)], flags: &[&str]| {
        let output = soloist_with(variables, &[&["check", good.path()], flags].concat())?;
        ensure!(
            output.status.success(),
            "{variables:?} {flags:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.contains("its state"))
    };
    for on in ["true", "yes", "ON", "1"] {
        ensure!(allows(&[("SOLOIST_ALLOW_STATE", on)], &[])?, "{on}");
    }
    for off in ["false", "no", "Off", "0"] {
        ensure!(!allows(&[("SOLOIST_ALLOW_STATE", off)], &[])?, "{off}");
    }
    ensure!(
        allows(&[("SOLOIST_ALLOW_STATE", "no")], &["--allow-state"])?,
        "a flag is preferred"
    );
    ensure!(!allows(&[], &["--allow-state=off"])?, "--allow-state=off");
    Ok(())
}

/// Whoever names those who vouch for hosts wants none of them left out.
#[test]
fn authorities_that_cannot_be_used_are_not_passed_over() -> Result<()> {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, word) in [(broken, "cannot be used"), ("AAAA\n", "no certificate")] {
        let file = Input::new("ca.pem", text)?;
        refused(&["logs", "t", "--ca", file.path()], &["--ca", word])?;
    }
    refused(&["logs", "t", "--ca", "/nowhere"], &["--ca", "/nowhere"])
}

/// Usage nobody can make sense of.
#[test]
fn bad_usage() -> Result<()> {
    refused(&[], &["Usage"])?;
    refused(&["run"], &["PLUGIN"])?;
    refused(&["run", "x.wasm", "--no-such-flag"], &["--no-such-flag"])?;
    refused(&["lead"], &["lead"])
}

/// `--help` names every flag with its variable, and the exit codes.
#[test]
fn the_help_is_complete() -> Result<()> {
    let output = soloist(&["run", "--help"])?;
    let help = String::from_utf8(output.stdout)?;
    ensure!(output.status.success());
    for name in [
        "zookeeper",
        "session-timeout",
        "tick-time",
        "host-id",
        "log-format",
        "log-level",
        "path",
        "task",
    ] {
        let variable = format!("SOLOIST_{}", name.replace('-', "_").to_uppercase());
        ensure!(
            help.contains(&format!("--{name}")) && help.contains(&variable),
            "{name} is missing in: {help}"
        );
    }
    let output = soloist(&["--help"])?;
    ensure!(String::from_utf8(output.stdout)?.contains("Exit codes"));
    Ok(())
}
