//! Hosts with a plugin that fails or completes, and what is heard of them.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::host::{Command, Host};

/// The configuration of a host whose plugin does `what`, is restarted once, and stays out of the queue for a moment.
pub(super) fn config(cluster: &Cluster, what: &str) -> Result<PathBuf> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let restart =
        r#"{ initial = "10ms", max = "200ms", healthy_after = "800ms", max_restarts = 1 }"#;
    let task = format!("[[task]]\nname = \"{TASK}\"\nplugin = {plugin:?}\nrestart = {restart}\n");
    cluster.file(
        &format!("{what}.toml"),
        format!("{task}config = {{ do = \"{what}\" }}\nallow = {{ state = true, tcp = [] }}\n"),
    )
}

/// A host whose plugin does `what`, as [`config`] has it.
pub(super) fn host(cluster: &Cluster, id: &str, what: &str) -> Result<Command> {
    cluster.host_of(id, &config(cluster, what)?)
}

/// A host that runs the plugin until it has completed, on whichever host.
pub(super) fn once(cluster: &Cluster, id: &str, what: &str) -> Result<Command> {
    Ok(host(cluster, id, what)?.arg("--once"))
}

/// Waits until the host has ended with code 0.
pub(super) async fn done(host: &mut Host) -> Result<()> {
    let ended = host.ended().await?;
    ensure!(
        ended.code() == Some(0),
        "{}: {ended}: {}",
        host.id(),
        host.errors()
    );
    Ok(())
}

/// The host that had completed the task already, if this host says so.
pub(super) fn done_by(host: &Host) -> Option<String> {
    let records = host.records();
    let event = records
        .iter()
        .find(|record| record.is("completed-before"))?
        .event()?;
    Some(event.text("by")?.to_owned())
}

/// How many plugins were entered in all.
pub(super) fn activations(cluster: &Cluster) -> usize {
    cluster.verdict().activities.len()
}

/// A host whose plugin completes at once, and that does `on_complete` then.
pub(super) fn completing(cluster: &Cluster, id: &str, on_complete: &str) -> Result<Command> {
    let command = cluster
        .host_of(id, &build::artifacts()?.guest("misbehave"))?
        .flag("--task", TASK)
        .flag("--config", "do=complete");
    Ok(command
        .arg("--allow-state")
        .arg("--allow-tcp=")
        .flag("--on-complete", on_complete))
}
