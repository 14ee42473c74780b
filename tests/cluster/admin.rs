//! What a host tells over HTTP while things happen to it.

use anyhow::Result;
use serde_json::Value;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;
use soloist_tests::pages::Pages;
use soloist_tests::{build, client};
use zookeeper_client::{Acls, Client, CreateMode};

mod browser;
mod crowd;
mod guardian;
mod health;
mod logs;
mod metrics;
mod page;
mod tls;

/// A host that listens, once it stands: the first one leads.
async fn listening(cluster: &Cluster, id: &str, stands: &str) -> Result<(Host, Pages)> {
    let command = cluster.host(id)?.flag("--listen", "127.0.0.1:0");
    let mut host = command.start(&cluster.history)?;
    let pages = Pages::of(&mut host).await?;
    host.event(stands).await?;
    Ok((host, pages))
}

/// The configuration of a task whose plugin fails in every run, and is restarted so often in a term.
fn failing(task: &str, max_restarts: u32) -> Result<String> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    Ok(format!(
        "[[task]]\nname = \"{task}\"\nplugin = {plugin:?}\nconfig = {{ do = \"error\" }}\nallow = {{ state = true, tcp = [] }}\n\
         restart = {{ initial = \"10ms\", max = \"20ms\", healthy_after = \"1m\", max_restarts = {max_restarts} }}\n"
    ))
}

/// Writes nodes of a task into the ensemble, as anybody can who reaches it: `name` below the task, and what it holds.
async fn write_task(client: &Client, task: &str, nodes: &[(String, Value)]) -> Result<()> {
    let task = format!("/soloist/tasks/{task}");
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client::make_path(client, &task).await?;
    for (name, data) in nodes {
        let path = format!("{task}/{name}");
        client
            .create(&path, data.to_string().as_bytes(), &options)
            .await?;
    }
    Ok(())
}
