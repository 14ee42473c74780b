//! JavaScript: componentize-qjs makes a component of the script and of QuickJS, in the world `minimal`.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::tools::{node_modules, run};

use super::kept::{contract, is_fresh, kept};
use super::{place, through_a_failover};

#[tokio::test]
async fn a_plugin_in_javascript_runs_and_is_told() -> Result<()> {
    let source = build::workspace().join("plugins/js-hello");
    let kept = kept("javascript")?;
    let lock = File::create(kept.join("lock"))?;
    lock.lock()?;
    let Some(modules) = node_modules(&source)? else {
        return Ok(());
    };
    let tool = modules.join(".bin/componentize-qjs");
    let (script, built) = (source.join("plugin.js"), kept.join("hello.wasm"));
    let wit = build::workspace().join("guest-sdk/wit");
    let mut made_of = contract()?;
    made_of.extend([script.clone(), tool.clone()]);
    if !is_fresh(&built, &made_of)? {
        let new = kept.join("hello.new");
        let args = ["--wit".into(), wit, "--world".into(), "minimal".into()];
        let more = ["--js".into(), script, "--output".into(), new.clone()];
        run(
            &tool,
            &source,
            &args.into_iter().chain(more).collect::<Vec<PathBuf>>(),
        )?;
        fs::rename(new, &built)?;
    }
    lock.unlock()?;
    let cluster = Cluster::start().await?;
    let said = through_a_failover(&cluster, &built, ("plugin-log", "beat 1"), |command| {
        command
            .flag("--config", "interval_ms=3600000")
            .env("XDG_CACHE_HOME", kept.join("cache"))
    })
    .await?;
    let lines = [
        "hello from a, leader of example in term 1",
        "beat 1",
        "demoted: shutdown",
    ];
    ensure!(said.first == lines, "{:?}", said.first);
    place(&said.second, "hello from b, leader of example in term 2")?;
    Ok(())
}
