//! Configurations that cannot be read: the message names the file, the line and the key.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::case::{GOOD, Input, configuration, refused, soloist};

/// A good plugin and a good configuration pass `soloist check` without any ZooKeeper.
#[test]
fn what_is_good_is_accepted() -> Result<()> {
    let input = Input::new(
        "soloist.toml",
        "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\n",
    )?;
    for path in [
        input.path(),
        input
            .path
            .with_file_name("good.wat")
            .to_str()
            .context("not text")?,
    ] {
        let output = soloist(&["check", path])?;
        ensure!(
            output.status.success(),
            "{path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// A configuration that is not there.
#[test]
fn a_configuration_that_does_not_exist() -> Result<()> {
    refused(
        &["run", "/nowhere/soloist.toml"],
        &["/nowhere/soloist.toml"],
    )
}

/// A configuration in JSON is checked as one in TOML is, by every command, and a name that is neither's says what is.
#[test]
fn a_configuration_in_json() -> Result<()> {
    let good = r#"{"task": [{"name": "t", "plugin": "good.wat"}]}"#;
    let input = Input::new("soloist.json", good)?;
    let output = soloist(&["check", input.path()])?;
    ensure!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("task t"),
        "{output:?}"
    );
    let misspelt = good.replace("plugin", "pluginn");
    let misspelt = Input::new("soloist.json", misspelt)?;
    misspelt.refused(&["soloist.json:1:25: task.pluginn: unknown field"])?;
    let zookeeper = Input::new("soloist.json", r#"{"zookeeper": {"root": "a"}}"#)?;
    refused(
        &["status", "--config-file", zookeeper.path()],
        &["soloist.json:1:24: zookeeper.root", "begin with a slash"],
    )?;
    Input::new("soloist.yaml", "task:\n")?.refused(&["soloist.yaml", "NAME.toml or NAME.json"])
}

/// A pipe in place of a configuration is not waited for.
#[test]
fn a_configuration_that_is_a_pipe() -> Result<()> {
    let input = Input::new("other", "")?;
    let pipe = input.path.with_file_name("pipe.toml");
    ensure!(
        Command::new("mkfifo").arg(&pipe).status()?.success(),
        "no pipe"
    );
    let pipe = pipe.to_str().context("not text")?;
    refused(&["run", pipe], &["pipe.toml", "is not a file"])?;
    refused(&["check", pipe], &["pipe.toml", "is not a file"])?;
    refused(
        &["status", "--config-file", pipe],
        &["pipe.toml", "is not a file"],
    )
}

/// TOML that cannot be parsed: file, line and column.
#[test]
fn a_configuration_that_is_not_toml() -> Result<()> {
    configuration("[zookeeper]\nservers = \"a:1\n", &["soloist.toml:2:"])
}

/// A key nobody knows: file, line and the key.
#[test]
fn a_configuration_with_an_unknown_key() -> Result<()> {
    configuration(
        "[zookeeper]\n\nsesion_timeout = \"10s\"\n",
        &["soloist.toml:3:", "sesion_timeout"],
    )?;
    let task = "[[task]]\nname = \"t\"\nplugin = \"good.wat\"\npluginn = \"x\"\n";
    configuration(task, &["soloist.toml:4:", "pluginn"])
}

/// A value of the wrong type: file, line and the key.
#[test]
fn a_configuration_with_a_value_of_the_wrong_type() -> Result<()> {
    configuration(
        "[[task]]\nname = 7\nplugin = \"good.wat\"\n",
        &["soloist.toml:2:"],
    )
}

/// One table where there is a list of them: what to write is shown.
#[test]
fn a_task_in_single_brackets() -> Result<()> {
    configuration(
        "[task]\nname = \"t\"\nplugin = \"good.wat\"\n",
        &["soloist.toml:1:1: task: ", "[[task]]"],
    )
}

/// No task at all.
#[test]
fn a_configuration_without_a_task() -> Result<()> {
    configuration("[zookeeper]\nservers = \"a:1\"\n", &["task"])
}

/// A task whose plugin is not there: the task and the file.
#[test]
fn a_task_whose_plugin_does_not_exist() -> Result<()> {
    Input::new(
        "soloist.toml",
        "[[task]]\nname = \"t\"\nplugin = \"nowhere.wasm\"\n",
    )?
    .refused(&["nowhere.wasm"])
}

/// A configuration with a task of this name is refused.
fn task_name(name: &str, words: &[&str]) -> Result<()> {
    let text = format!("[[task]]\nname = {name:?}\nplugin = \"good.wat\"\n");
    configuration(&text, &[&["soloist.toml:2:"], words].concat())?;
    let good = Input::new("good.wat", GOOD)?;
    refused(
        &["run", good.path(), "--task", name],
        &[&["--task"], words].concat(),
    )
}

/// A task name with a slash in it.
#[test]
fn a_task_name_with_a_slash() -> Result<()> {
    task_name("a/b", &["slash"])
}

/// Task names of dots only, which ZooKeeper refuses.
#[test]
fn a_task_name_of_dots() -> Result<()> {
    task_name(".", &[])?;
    task_name("..", &[])
}

/// An empty task name.
#[test]
fn a_task_name_that_is_empty() -> Result<()> {
    task_name("", &[])
}

/// A task name longer than anybody needs.
#[test]
fn a_task_name_that_is_too_long() -> Result<()> {
    task_name(&"x".repeat(129), &["128"])
}

/// Two tasks of one name: the second is pointed at.
#[test]
fn a_task_name_given_twice() -> Result<()> {
    let task = "[[task]]\nname = \"twin\"\nplugin = \"good.wat\"\n";
    configuration(&[task, task].concat(), &["soloist.toml:5:", "twin"])
}
