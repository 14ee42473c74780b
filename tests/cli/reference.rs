//! The tables of REFERENCE.md say what the program has, no less and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use soloist_config::{Config, Given};
use soloist_core::cause::Cause;
use soloist_core::event::{About, Event, Report};
use soloist_core::limits::{Limit, LimitReached};
use soloist_core::term::Demotion;
use soloist_sandbox::CONTRACTS;

use soloist_tests::reference::{self, Row, Schema};
use soloist_tests::{build, host};

/// Compares what the program has with what the reference has, and names each row that is missing or too many.
fn same<T: Ord + Debug>(
    what: &str,
    there: impl IntoIterator<Item = T>,
    told: impl IntoIterator<Item = T>,
) -> Result<()> {
    let there: BTreeSet<T> = there.into_iter().collect();
    let told: BTreeSet<T> = told.into_iter().collect();
    let missing: Vec<_> = there.difference(&told).collect();
    let too_many: Vec<_> = told.difference(&there).collect();
    ensure!(
        missing.is_empty() && too_many.is_empty(),
        "{what} in REFERENCE.md: missing are {missing:?}, too many are {too_many:?}"
    );
    Ok(())
}

/// The name in the first cell of each row.
fn first_names(rows: &[Row]) -> BTreeSet<&str> {
    rows.iter()
        .flat_map(|row| reference::names(&row[0]))
        .collect()
}

#[test]
fn every_event_is_in_the_reference() -> Result<()> {
    same(
        "events",
        Event::NAMES.iter().copied(),
        Schema::get()?.events(),
    )
}

/// Each field is of the kind that is written there as well.
#[test]
fn every_field_of_an_event_is_in_the_reference() -> Result<()> {
    let (schema, examples) = (Schema::get()?, Event::examples());
    let lines: Vec<_> = examples
        .iter()
        .map(|event| (event.name(), fields(event)))
        .collect();
    let there = lines
        .iter()
        .flat_map(|(name, fields)| fields.keys().map(|field| (*name, field.as_str())));
    same("fields of events", there, schema.fields())?;
    for (event, fields) in &lines {
        schema.check_fields(event, fields)?;
    }
    Ok(())
}

/// The fields of an event, without what it is about.
fn fields(event: &Event) -> Map<String, Value> {
    let about = About::Session;
    Report { about, event }.fields()
}

#[test]
fn every_reason_of_a_demotion_is_in_the_reference() -> Result<()> {
    let rows = reference::table("reason")?;
    let there = Demotion::ALL.iter().map(|reason| reason.name());
    same("reasons", there, first_names(&rows))
}

/// Whether a term can end with it. Whoever adds one has to say so here, and below.
fn is_reported(cause: &Cause) -> bool {
    match cause {
        // The term has ended: there is nothing to report.
        Cause::LeaseLost(_) => false,
        Cause::Limit(reached) => match reached.limit {
            // A plugin that has more of them is not loaded.
            Limit::Instances | Limit::Memories | Limit::Tables => false,
            Limit::Memory
            | Limit::TableElements
            | Limit::Stack
            | Limit::CallBytes
            | Limit::Resources
            | Limit::StartTimeout => true,
        },
        Cause::Returned(_)
        | Cause::Panicked(_)
        | Cause::Aborted { .. }
        | Cause::Exited(_)
        | Cause::StackOverflow
        | Cause::Trapped(_)
        | Cause::Host(_)
        | Cause::HostPanicked => true,
    }
}

#[test]
fn every_cause_of_a_failure_is_in_the_reference() -> Result<()> {
    let limit = |limit| Cause::Limit(LimitReached { limit, allowed: 1 });
    let causes = [
        limit(Limit::Memory),
        limit(Limit::TableElements),
        limit(Limit::Stack),
        limit(Limit::CallBytes),
        limit(Limit::Resources),
        limit(Limit::StartTimeout),
        Cause::Returned(String::new()),
        Cause::Panicked(String::new()),
        Cause::Aborted {
            stderr: String::new(),
        },
        Cause::Exited(None),
        Cause::StackOverflow,
        Cause::Trapped(String::new()),
        Cause::Host(String::new()),
        Cause::HostPanicked,
    ];
    ensure!(causes.iter().all(is_reported));
    let rows = reference::table("cause")?;
    let there: BTreeSet<&str> = causes.iter().map(Cause::name).collect();
    same("causes", there, first_names(&rows))?;
    // Those of limits stand in the table of limits as well, each beside its key.
    let limits = reference::table("key of `[task.limits]`")?;
    let told = limits.iter().filter_map(|row| {
        let key = row[0].trim_matches('`');
        Some((key, *reference::names(&row[4]).first()?))
    });
    let there = causes.iter().filter_map(|cause| match cause {
        Cause::Limit(reached) => {
            let key = reached.limit.setting().trim_start_matches("limits.");
            Some((key, reached.limit.cause()))
        }
        _ => None,
    });
    same("causes of limits", there, told)
}

/// A configuration with these lines in its only task, as the program reads it.
fn load(before: &str, task: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = directory.path().join("soloist.toml");
    let text = format!(
        "host_id = \"a\"\n{before}\n[[task]]\nname = \"report\"\nplugin = \"/report.wasm\"\n{task}\n"
    );
    std::fs::write(&file, text).map_err(|error| error.to_string())?;
    let config = Config::load(&file, Given::default()).map_err(|error| error.to_string())?;
    Ok(Config {
        file: None,
        ..config
    })
}

/// What the program says of a key that no table has ends with those that there are.
fn keys_of(error: &str) -> BTreeSet<&str> {
    let known = error.split("expected one of ").nth(1).unwrap_or_default();
    reference::names(known).into_iter().collect()
}

#[test]
fn every_key_of_the_configuration_is_in_the_reference() -> Result<()> {
    let tables = [
        ("key of the file", "nobody = 1", ""),
        ("key of `[zookeeper]`", "[zookeeper]\nnobody = 1", ""),
        ("key of `[deploy]`", "[deploy]\nnobody = 1", ""),
        ("key of `[deploy.allow]`", "[deploy.allow]\nnobody = 1", ""),
        ("key of `[[task]]`", "", "nobody = 1"),
        ("key of `[task.restart]`", "", "[task.restart]\nnobody = 1"),
        ("key of `[task.allow]`", "", "[task.allow]\nnobody = 1"),
        ("key of `[task.limits]`", "", "[task.limits]\nnobody = 1"),
    ];
    for (title, before, task) in tables {
        let error = load(before, task).err().unwrap_or_default();
        let rows = reference::table(title)?;
        same(title, keys_of(&error), first_names(&rows))?;
    }
    Ok(())
}

/// The lines that set each key of a table to the default that the reference gives it.
fn defaults(title: &str, column: usize) -> Result<String> {
    let rows = reference::table(title)?;
    let lines = rows.iter().filter_map(|row| {
        // Anything but a value that could be written is told in words.
        let default = row[column].strip_prefix('`')?.strip_suffix('`')?;
        Some(format!("{} = {default}\n", row[0].trim_matches('`')))
    });
    Ok(lines.collect())
}

#[test]
fn every_default_of_the_configuration_is_that_of_the_reference() -> Result<()> {
    let before = format!(
        "{}[zookeeper]\n{}[deploy]\n{}[deploy.allow]\n{}",
        defaults("key of the file", 2)?,
        defaults("key of `[zookeeper]`", 2)?,
        defaults("key of `[deploy]`", 2)?,
        defaults("key of `[deploy.allow]`", 2)?
    );
    let task = defaults("key of `[[task]]`", 2)?;
    let task = format!(
        "{task}[task.allow]\n{}[task.limits]\n{}[task.restart]\n{}",
        defaults("key of `[task.allow]`", 2)?,
        defaults("key of `[task.limits]`", 1)?,
        defaults("key of `[task.restart]`", 2)?
    );
    let written = load(&before, &task).map_err(anyhow::Error::msg)?;
    let nothing = load("", "").map_err(anyhow::Error::msg)?;
    ensure!(
        written == nothing,
        "the defaults of REFERENCE.md are {written:#?}, those of the program {nothing:#?}"
    );
    Ok(())
}

#[test]
fn every_range_of_a_limit_is_that_of_the_reference() -> Result<()> {
    for row in reference::table("key of `[task.limits]`")? {
        let key = row[0].trim_matches('`');
        // A day is a duration, and more than any other limit can be; a hundred of them are too many for a duration.
        let beyond = if key.ends_with("_timeout") {
            "\"100days\""
        } else {
            "999999999999999"
        };
        let error = load("", &format!("[task.limits]\n{key} = {beyond}"))
            .err()
            .with_context(|| format!("{key} can be {beyond}"))?;
        let range = error
            .split("out of range: write ")
            .nth(1)
            .unwrap_or_default();
        let range = range.trim_start_matches("a duration from ");
        ensure!(
            range == row[2],
            "the range of {key} is {range:?}, and REFERENCE.md has {:?}",
            row[2]
        );
    }
    Ok(())
}

/// What `soloist COMMAND --help` prints.
fn help(command: &str) -> Result<String> {
    let mut soloist = Command::new(&build::artifacts()?.soloist);
    host::clear_settings(&mut soloist);
    soloist.args(command.split_whitespace());
    Ok(String::from_utf8(soloist.arg("--help").output()?.stdout)?)
}

/// The commands that there are, but for `help`.
pub(crate) fn commands() -> Result<BTreeSet<String>> {
    let help = help("")?;
    // They stand in groups, each below a line of its own.
    let lines = help.lines().take_while(|line| *line != "Options:");
    Ok(lines
        .filter(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .map(str::to_owned)
        .collect())
}

/// The flags of a help, each with its variable.
fn flags(help: &str) -> BTreeMap<String, Option<String>> {
    let mut flags = BTreeMap::new();
    let mut current = None;
    for line in help.lines() {
        let line = line.trim();
        let is_short = line.starts_with('-') && line.get(2..4) == Some(", ");
        let word = if is_short { &line[4..] } else { line };
        if word.starts_with("--") {
            let end = word.find([' ', '[']).unwrap_or(word.len());
            let flag = word[..end].to_owned();
            flags.insert(flag.clone(), None);
            current = Some(flag);
        }
        let variable = line
            .split("[env: ")
            .nth(1)
            .and_then(|rest| rest.split(']').next());
        if let (Some(flag), Some(variable)) = (&current, variable) {
            flags.insert(flag.clone(), Some(variable.to_owned()));
        }
    }
    flags.remove("--help");
    flags
}

const COMMANDS: [&str; 32] = [
    "run",
    "check",
    "status",
    "describe",
    "history",
    "logs",
    "state TASK list",
    "state TASK get",
    "state TASK set",
    "state TASK delete",
    "resign",
    "retry",
    "drain",
    "undrain",
    "ensemble",
    "inspect",
    "dev",
    "test",
    "new",
    "build",
    "push",
    "deploy",
    "tasks",
    "tasks show",
    "diff",
    "rollback",
    "pause",
    "resume",
    "undeploy",
    "forget",
    "completions",
    "manual",
];

#[test]
fn every_flag_with_its_variable_is_in_the_reference() -> Result<()> {
    let rows = reference::table("flag")?;
    for command in COMMANDS {
        let of_command = rows
            .iter()
            .filter(|row| reference::names(&row[2]).contains(&command));
        let told = of_command.map(|row| {
            let variable = reference::names(&row[1]).first().map(ToString::to_string);
            (row[0].trim_matches('`').to_owned(), variable)
        });
        let there = flags(&help(command)?);
        same(&format!("flags of {command}"), there, told)?;
    }
    Ok(())
}

#[test]
fn every_command_has_a_column_of_exit_codes() -> Result<()> {
    let text = reference::text()?;
    let titles = text
        .lines()
        .find(|line| line.starts_with("| exit code |"))
        .unwrap_or_default();
    let there = commands()?;
    let there = there.iter().map(String::as_str);
    same("commands", there, reference::names(titles))
}

/// The help, which every command shows, has the same codes as the reference.
#[test]
fn every_exit_code_of_the_help_is_in_the_reference() -> Result<()> {
    let rows = reference::table("exit code")?;
    for command in [""].into_iter().chain(COMMANDS) {
        let help = help(command)?;
        let codes = help
            .lines()
            .skip_while(|line| *line != "Exit codes:")
            .skip(1)
            .filter_map(|line| line.split_whitespace().next());
        let told = rows.iter().map(|row| row[0].as_str());
        same(&format!("exit codes of {command:?}"), codes, told)?;
    }
    Ok(())
}

#[test]
fn the_example_loads_and_uses_every_key() -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/example.toml");
    let text = std::fs::read_to_string(example)?;
    let words: BTreeSet<&str> = text
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .collect();
    for title in [
        "key of the file",
        "key of `[zookeeper]`",
        "key of `[deploy]`",
        "key of `[deploy.allow]`",
        "key of `[[task]]`",
        "key of `[task.restart]`",
        "key of `[task.allow]`",
        "key of `[task.limits]`",
    ] {
        let rows = reference::table(title)?;
        let missing: Vec<_> = first_names(&rows)
            .into_iter()
            .filter(|key| !words.contains(key))
            .collect();
        ensure!(
            missing.is_empty(),
            "host/example.toml does not have {missing:?}"
        );
    }
    Ok(())
}

#[test]
fn every_version_of_the_contract_that_a_host_speaks_is_in_the_reference() -> Result<()> {
    let rows = reference::table("contract")?;
    same("contracts", CONTRACTS, first_names(&rows))
}
