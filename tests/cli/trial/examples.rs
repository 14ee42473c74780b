//! The plugins in `plugins/`: each goes through its script, and through a failover at its calls, by the name of its folder.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use soloist_tests::build;
use soloist_tests::project::{self, Project};

/// More than a hundred points of each, of every kind.
const EXPLORE: [&str; 4] = ["test", "--explore", "--explore-max", "150"];

const RUST: [&str; 5] = [
    "hello",
    "heartbeat",
    "counter",
    "cron-report",
    "http-poller",
];
const OTHERS: [(&str, &str); 3] = [
    ("c-worker", "c"),
    ("js-hello", "js"),
    ("python-heartbeat", "python"),
];

fn explored(name: &str, output: &std::process::Output) -> Result<()> {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {text}{errors}");
    ensure!(
        text.starts_with("ok tests/")
            && text.contains(": 2 terms")
            && text.contains("; 0 findings"),
        "{name}: {text}"
    );
    Ok(())
}

#[test]
fn the_examples_in_rust_come_through_a_failover_at_each_call() -> Result<()> {
    let workspace = build::workspace();
    // Where nobody else builds them, with other features.
    let target = build::target()?.join("projects");
    for name in RUST {
        let mut command = project::command(workspace)?;
        command.env("CARGO_TARGET_DIR", &target).args(EXPLORE);
        let output = command.arg(Path::new("plugins").join(name)).output()?;
        explored(name, &output)?;
    }
    Ok(())
}

#[test]
fn the_examples_in_other_languages_come_through_a_failover_at_each_call() -> Result<()> {
    for (name, lang) in OTHERS {
        let example = Project::example(name)?;
        if !example.find_tools(lang)? {
            continue;
        }
        explored(name, &project::soloist(example.folder(), &EXPLORE)?)?;
        example.keep()?;
    }
    let output = project::soloist(
        build::workspace(),
        &["test", "--explore", "plugins/minimal.wat"],
    )?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.starts_with("ok a usual life: 2 terms"), "{text}");
    Ok(())
}

/// It speaks to a database by TCP, so `tests/cluster` takes it through its failovers. Here it is said why not.
#[test]
fn an_example_that_needs_tcp_is_told_what_to_do_instead() -> Result<()> {
    let mut command = project::command(build::workspace())?;
    let target = build::target()?.join("projects");
    command
        .env("CARGO_TARGET_DIR", target)
        .env("PGPASSWORD", "a secret");
    let output = command.args(["test", "plugins/outbox-relay"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    // The network is not asked even for the address.
    for words in [
        "cannot reach the database at db.internal:5432: ",
        "Permission denied",
        "the plugin asked for TCP, and there is none in a test",
        "`soloist dev`",
    ] {
        ensure!(text.contains(words), "{words:?} is not in {text}");
    }
    Ok(())
}

/// Every folder with an example is in one of the tests above, or cannot be tried.
#[test]
fn no_example_is_left_out() -> Result<()> {
    let mut names = Vec::new();
    for entry in build::workspace().join("plugins").read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str());
            names.push(name.context("a name")?.to_owned());
        }
    }
    names.sort();
    let others = OTHERS.map(|(name, _)| name);
    let mut tried = [&RUST[..], &others, &["outbox-relay"]].concat();
    tried.sort_unstable();
    ensure!(names == tried, "{names:?}");
    Ok(())
}
