//! What becomes of a host: its configuration, its certificates, its process, and what it takes.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use soloist_tests::certificates::{Certificates, Wanted};
use soloist_tests::cluster::Cluster;
use soloist_tests::deployment::{Deployment, Signer};
use soloist_tests::{PATIENCE, build, client};
use zookeeper_client::{Acls, CreateMode};

use super::PRINTS;

pub(super) async fn story(cluster: &Cluster) -> Result<()> {
    tokio::try_join!(
        a_configuration_that_changes(cluster),
        certificates_that_change(cluster),
        certificates_of_a_listener_that_change(cluster),
        a_process_that_dies(cluster),
        a_host_that_is_drained(cluster),
        a_task_that_is_deployed(cluster),
    )
    .map(drop)
}

async fn a_configuration_that_changes(cluster: &Cluster) -> Result<()> {
    let plugin = build::artifacts()?.guest("heartbeat").display().to_string();
    let good = format!("[[task]]\nname = \"changes\"\nplugin = {plugin:?}\n");
    let file = cluster.file("changes.toml", &good)?;
    let mut host = cluster.host_of("reloads", &file)?.start(&cluster.history)?;
    host.event("plugin-log").await?;
    for (text, event) in [("nothing", "not-reloaded"), (&*good, "reloaded")] {
        cluster.file("changes.toml", text)?;
        host.signal(Signal::HUP)?;
        host.event(event).await?;
    }
    Ok(())
}

/// There is nobody who would speak TLS: certificates are followed without a session as well.
async fn certificates_that_change(cluster: &Cluster) -> Result<()> {
    let certificates = Certificates::new()?;
    let holder = certificates.holder("host", &Wanted::subject("a host"))?;
    let plugin = cluster.file("certified.wat", PRINTS)?;
    let command = holder.variables().into_iter().fold(
        cluster.host_of("certified", &plugin)?,
        |command, (name, path)| command.env(name, path),
    );
    let mut host = command.start(&cluster.history)?;
    host.event("session-connecting").await?;
    std::fs::write(&holder.key, "")?;
    host.event("session-tls-not-reloaded").await?;
    certificates.holder("host", &Wanted::subject("a host"))?;
    host.event("session-tls-reloaded").await.map(drop)
}

async fn certificates_of_a_listener_that_change(cluster: &Cluster) -> Result<()> {
    let certificates = Certificates::new()?;
    let listener = || certificates.holder("listener", &Wanted::names(["127.0.0.1"]));
    let plugin = cluster.file("listens.wat", PRINTS)?;
    let mut host = cluster
        .host_of("listens", &plugin)?
        .flag("--listen", "127.0.0.1:0")
        .flag("--listen-certificate", &listener()?.certificate)
        .flag("--listen-key", &listener()?.key)
        .start(&cluster.history)?;
    host.event("host-listening").await?;
    std::fs::write(listener()?.key, "")?;
    host.event("host-tls-not-reloaded").await?;
    listener()?;
    host.event("host-tls-reloaded").await.map(drop)
}

/// Its process is killed, and then its guardian.
async fn a_process_that_dies(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("dies.wat", PRINTS)?;
    let command = cluster.host_of("dies", &plugin)?.guarded();
    let mut host = command.start(&cluster.history)?;
    host.event("activated").await?;
    let from = cluster.history.len();
    host.signal_guarded(Signal::KILL).await?;
    host.event("given-back").await?;
    host.event_after(from, "activated", |_| true).await?;
    host.signal(Signal::KILL)?;
    let lost = |record: &soloist_tests::history::Record| record.is("guardian-lost");
    let what = "the loss of a guardian";
    let history = &cluster.history;
    history.wait_for(from, what, PATIENCE, lost).await.map(drop)
}

async fn a_host_that_is_drained(cluster: &Cluster) -> Result<()> {
    let plugin = cluster.file("drained.wat", PRINTS)?;
    let mut host = cluster
        .host_of("drained", &plugin)?
        .start(&cluster.history)?;
    host.event("activated").await?;
    for args in [
        &["drain", "drained", "--reason", "why"][..],
        &["undrain", "drained"],
    ] {
        let answer = cluster.operator(&[], args).await?;
        ensure!(answer.code == Some(0), "{answer:?}");
    }
    host.event("host-undrained").await.map(drop)
}

/// Its first generation is signed by nobody, and somebody else owns the node below which hosts say how far they are.
async fn a_task_that_is_deployed(cluster: &Cluster) -> Result<()> {
    let stranger = cluster.client_as("somebody:else").await?;
    client::make_path(&stranger, "/soloist/tasks/deployed").await?;
    let theirs = CreateMode::Persistent.with_acls(Acls::creator_all());
    stranger
        .create("/soloist/tasks/deployed/ready", b"", &theirs)
        .await?;
    let operator = cluster.client().await?;
    let deployment = Deployment::new(operator, "deployed", vec![Signer::new()?]);
    let kept = cluster.file("takes.kept", "")?.with_extension("dir");
    let config = cluster.file("takes.toml", deployment.taken_by(&kept, "state = true")?)?;
    let mut host = cluster.host_of("takes", &config)?.start(&cluster.history)?;
    let plugin = build::artifacts()?.guest("heartbeat");
    let (task, manifest) = (serde_json::json!({}), serde_json::json!({}));
    let text = deployment
        .text(&plugin, task.clone(), manifest.clone())
        .await?;
    deployment.deploy_signed(&text, Vec::new()).await?;
    for name in ["generation-unready", "not-standing"] {
        host.event(name).await?;
    }
    host.event_where("deploy-error", |event| event.line.get("retry_in").is_some())
        .await?;
    let text = deployment.text(&plugin, task, manifest).await?;
    deployment.deploy(&text).await?;
    host.event("generation-ready").await?;
    deployment.close().await;
    client::close(stranger).await;
    Ok(())
}
