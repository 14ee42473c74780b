//! What a plugin does, and how it ends.

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::{Cluster, DEAF, stuck};

use super::PRINTS;

pub(super) async fn story(cluster: &Cluster) -> Result<()> {
    tokio::try_join!(
        plugins_that_log_complete_and_fail(cluster),
        a_plugin_that_cannot_be_stopped(cluster),
        a_plugin_that_cannot_hear(cluster),
        a_task_that_has_been_done(cluster),
        a_task_that_is_tried_again(cluster),
    )
    .map(drop)
}

/// A task with the plugin `misbehave`, which does what its name says.
fn misbehaving(what: &str, more: &str) -> Result<String> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let allow = "allow = { state = true, tcp = [] }";
    Ok(format!(
        "[[task]]\nname = \"{what}\"\nplugin = {plugin:?}\nconfig = {{ do = \"{what}\" }}\n{allow}\n{more}\n"
    ))
}

async fn plugins_that_log_complete_and_fail(cluster: &Cluster) -> Result<()> {
    let restart = r#"restart = { initial = "10ms", max = "200ms", max_restarts = 1 }"#;
    let tasks = [
        misbehaving("many-fields", "")?,
        misbehaving("print", "")?,
        misbehaving("sandbox", "")?,
        // How many lines were dropped is said with the next one that is not: it comes while the plugin still writes.
        misbehaving("flood", "limits = { log_rate = 2000, log_burst = 10 }")?,
        misbehaving("complete", "on_complete = \"restart\"")?,
        misbehaving("panic", restart)?,
        misbehaving("resign", "")?,
        misbehaving("schedule-slow", "")?,
    ];
    let config = cluster.file("plugins.toml", tasks.concat())?;
    let command = cluster.host_of("logs", &config)?;
    let command = command.flag("--listen", "127.0.0.1:0");
    let mut leader = command.start(&cluster.history)?;
    let omitted = leader
        .event_where("plugin-log", |event| event.line["omitted_fields"] == 8)
        .await?;
    let kept = omitted
        .event()
        .and_then(|event| event.line["fields"].as_object())
        .map(serde_json::Map::len);
    ensure!(kept == Some(32), "{omitted}");
    for field in ["stream", "import", "dropped"] {
        leader
            .event_where("plugin-log", |event| event.line.get(field).is_some())
            .await?;
    }
    leader
        .event_where("plugin-completed", |event| {
            event.duration("restart_in").is_some()
        })
        .await?;
    leader
        .event_where("plugin-failed", |event| event.text("backtrace").is_some())
        .await?;
    leader
        .event_where("slots-missed", |event| {
            event.text("cause") == Some("overlap") && event.line.get("slots").is_some()
        })
        .await?;
    leader
        .event_where("failed", |event| event.duration("retry_in").is_some())
        .await?;
    leader
        .event_where("released", |event| {
            event.duration("stands_again_in").is_some()
        })
        .await?;
    let mut standby = cluster
        .host_of("stands", &config)?
        .start(&cluster.history)?;
    standby.event("standby").await?;
    ensure!(
        standby.terminate().await?.success() && leader.terminate().await?.success(),
        "{}",
        leader.errors()
    );
    leader.event("released").await?;
    leader.event("session-closed").await?;
    Ok(())
}

/// It rests for an hour, and an operator does not wait for that.
async fn a_task_that_is_tried_again(cluster: &Cluster) -> Result<()> {
    let restart = r#"restart = { max = "1h", max_restarts = 0 }"#;
    let config = cluster.file("exit.toml", misbehaving("exit", restart)?)?;
    let mut host = cluster.host_of("rests", &config)?.start(&cluster.history)?;
    host.event("released").await?;
    let args = ["retry", "exit", "--reason", "mended", "--no-wait"];
    let answer = cluster.operator(&[], &args).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    host.event("retried").await.map(drop)
}

async fn a_plugin_that_cannot_be_stopped(cluster: &Cluster) -> Result<()> {
    let granted = tempfile::tempdir()?;
    let mut host = stuck(cluster, "stuck", granted.path())?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    host.terminate().await?;
    host.event("plugin-stuck").await.map(drop)
}

/// It computes, cannot be called meanwhile, and does not import `should_stop`.
async fn a_plugin_that_cannot_hear(cluster: &Cluster) -> Result<()> {
    let cannot_ask: String = DEAF
        .lines()
        .filter(|line| !line.contains("should_stop"))
        .collect();
    let plugin = cluster.file("unheard.wat", &cannot_ask)?;
    let mut host = cluster
        .host_of("unheard", &plugin)?
        .start(&cluster.history)?;
    host.event("plugin-log").await?;
    host.terminate().await?;
    host.event("plugin-unreachable").await?;
    host.event("revoked").await.map(drop)
}

async fn a_task_that_has_been_done(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("done.wat", PRINTS)?;
    let start = |id| {
        cluster
            .host_of(id, &plugin)?
            .flag("--once-for", "today")
            .start(&cluster.history)
    };
    ensure!(start("does")?.ended().await?.success());
    let mut later = start("need-not")?;
    later
        .event_where("completed-before", |event| {
            event.text("what") == Some("today")
        })
        .await?;
    ensure!(later.ended().await?.success(), "{}", later.errors());
    Ok(())
}
