//! What a host tells over HTTP while things happen to it.

use anyhow::Result;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;
use soloist_tests::pages::Pages;

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
