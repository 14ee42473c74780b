//! Python: componentize-py makes a component of the script, of `soloist.py` and of the interpreter.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::history::Event;
use soloist_tests::host::{Command, Host};
use soloist_tests::tools::{componentize_py, run};

use super::kept::{contract, is_fresh, kept};
use super::{place, through_a_failover};

/// Makes a plugin of `app.py` in a directory, anew when what it is made of has changed: every build differs, and takes long to
/// compile.
fn component(tool: &Path, source: &Path, built: &Path) -> Result<()> {
    let (wit, library) = (
        build::workspace().join("guest-sdk/wit"),
        build::workspace().join("guest-sdk/python"),
    );
    let mut made_of = contract()?;
    made_of.extend([
        source.join("app.py"),
        library.join("soloist.py"),
        tool.to_owned(),
    ]);
    if is_fresh(built, &made_of)? {
        return Ok(());
    }
    let new = built.with_extension("new");
    let args: [&Path; 12] = [
        Path::new("-d"),
        &wit,
        Path::new("-w"),
        Path::new("plugin"),
        Path::new("componentize"),
        Path::new("-p"),
        source,
        Path::new("-p"),
        &library,
        Path::new("app"),
        Path::new("-o"),
        &new,
    ];
    run(tool, source, &args)?;
    fs::rename(new, built)?;
    Ok(())
}

/// A plugin of Python in the folder, built; `None` where that cannot be done.
fn plugin(name: &str, source: &Path) -> Result<Option<PathBuf>> {
    let kept = kept("python")?;
    let lock = File::create(kept.join("lock"))?;
    lock.lock()?;
    let Some(tool) = componentize_py()? else {
        return Ok(None);
    };
    let built = kept.join(name).with_extension("wasm");
    component(&tool, source, &built)?;
    // Compiling an interpreter takes ten seconds of a processor, which on a busy machine can be minutes: so it is done before
    // anybody waits for the plugin.
    let soloist = &build::artifacts()?.soloist;
    let cache = format!("XDG_CACHE_HOME={}", kept.join("cache").display());
    let check = [
        "--limit",
        "compile_timeout=1h",
        "--allow-state",
        "--allow-http=",
        "--allow-tcp=",
    ];
    let program = [
        &*cache,
        &soloist.display().to_string(),
        "check",
        &built.display().to_string(),
    ]
    .map(str::to_owned);
    run(
        "env",
        &kept,
        &program
            .into_iter()
            .chain(check.map(str::to_owned))
            .collect::<Vec<_>>(),
    )?;
    Ok(Some(built))
}

/// What the component imports whether it uses it or not, and the cache that has it compiled.
fn granted(command: Command) -> Result<Command> {
    Ok(command
        .arg("--allow-http=")
        .arg("--allow-tcp=")
        .env("XDG_CACHE_HOME", kept("python")?.join("cache")))
}

/// It waits for an hour, and is cancelled there.
#[tokio::test]
async fn a_plugin_in_python_is_cancelled_in_a_long_wait_and_then_told() -> Result<()> {
    let source = build::workspace().join("plugins/python-heartbeat");
    let Some(plugin) = plugin("heartbeat", &source)? else {
        return Ok(());
    };
    let cluster = Cluster::start().await?;
    let said = through_a_failover(&cluster, &plugin, ("plugin-log", "beat 1"), |command| {
        granted(command.flag("--config", "interval_ms=3600000")).expect("it is kept somewhere")
    })
    .await?;
    let lines = [
        "hello from a, leader of example in term 1",
        "beat 1",
        "stops after 1 beats",
        "demoted after 1 beats: shutdown",
    ];
    ensure!(said.first == lines, "{:?}", said.first);
    place(&said.second, "hello from b, leader of example in term 2")?;
    Ok(())
}

/// Blocks in `time.sleep`, fails, or opens what is not granted, as its configuration says.
const APP: &str = r#"
import time

import soloist
import wit_world
from wit_world.imports import store


@soloist.plugin
class WitWorld(wit_world.WitWorld):
    async def on_elected(self, term):
        print("elected")
        if store.get("do") == "sleep":
            time.sleep(3600)
        elif store.get("do") == "raise":
            self.fail()
        elif store.get("do") == "open":
            open("/data/orders")

    def fail(self):
        raise ValueError("no luck")

    async def on_demoted(self, reason):
        print("demoted")
"#;

#[tokio::test]
async fn a_plugin_in_python_is_cancelled_in_a_sleep_and_its_exceptions_come_as_lines() -> Result<()>
{
    let source = kept("python")?.join("app");
    fs::create_dir_all(&source)?;
    let file = source.join("app.py");
    if fs::read_to_string(&file).ok().as_deref() != Some(APP) {
        fs::write(&file, APP)?;
    }
    let Some(plugin) = plugin("app", &source)? else {
        return Ok(());
    };
    let cluster = Cluster::start().await?;
    let said = through_a_failover(&cluster, &plugin, ("plugin-log", "elected"), |command| {
        granted(command.flag("--config", "do=sleep")).expect("it is kept somewhere")
    })
    .await?;
    ensure!(said.first == ["elected", "demoted"], "{:?}", said.first);

    let start = |what: &str| -> Result<Host> {
        let command = cluster.host_of(what, &plugin)?.flag("--task", what);
        let command = command
            .arg("--allow-state")
            .flag("--config", format!("do={what}"));
        granted(command)?.start(&cluster.history)
    };
    let mut host = start("raise")?;
    let failed = host.event("plugin-failed").await?;
    let failed = failed.event().context("it is an event")?;
    ensure!(failed.line["cause"] == "error", "{failed:?}");
    ensure!(
        failed.message == "the plugin failed: ValueError: no luck",
        "{}",
        failed.message
    );
    let records = host.records();
    let lines: Vec<_> = records
        .iter()
        .filter_map(|record| record.event())
        .filter(|event| event.name == "plugin-log" && event.line["level"] == "warn")
        .map(|event| event.message.clone())
        .collect();
    let begins = place(&lines, "Traceback (most recent call last):")?;
    ensure!(place(&lines, "ValueError: no luck")? > begins, "{lines:#?}");
    ensure!(
        lines
            .iter()
            .any(|line| line.contains("app.py") && line.contains("in fail")),
        "{lines:#?}"
    );
    host.terminate().await?;

    let mut host = start("open")?;
    let told = |event: &Event| {
        let path = "\"/data/orders\" is in no directory that is granted to this task";
        event.message.starts_with(path) && event.message.contains(r#"guest = "/data" }"#)
    };
    host.event_where("plugin-log", told).await?;
    let failed = host.event("plugin-failed").await?;
    let failed = failed.event().context("it is an event")?;
    ensure!(
        failed.message.contains("PermissionError") && failed.message.contains("'/data/orders'"),
        "{}",
        failed.message
    );
    // Of what the plugin has not asked for, nothing is said.
    let records = host.records();
    let mut lines = records.iter().filter_map(|record| record.event());
    ensure!(
        !lines.any(|event| event.message.contains(".py\" is in no directory")),
        "{records:#?}"
    );
    host.terminate().await.map(drop)
}
