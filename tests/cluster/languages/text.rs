//! WebAssembly as text: no toolchain at all.

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;

use super::through_a_failover;

/// It does nothing, and so it holds leadership until it is told.
#[tokio::test]
async fn the_smallest_plugin_is_handed_over() -> Result<()> {
    let plugin = build::workspace().join("plugins/minimal.wat");
    let cluster = Cluster::start().await?;
    let said = through_a_failover(&cluster, &plugin, ("plugin-completed", ""), |command| {
        command
    });
    let said = said.await?;
    ensure!(said.first.is_empty() && said.second.is_empty());
    Ok(())
}
