//! JavaScript: componentize-qjs makes a component of the script and of QuickJS, in the world `minimal`.

use anyhow::{Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::project::Project;

use super::kept::kept;
use super::{place, through_a_failover};

#[tokio::test]
async fn a_plugin_in_javascript_runs_and_is_told() -> Result<()> {
    let example = Project::example("js-hello")?;
    if !example.find_tools("js")? {
        return Ok(());
    }
    example.build()?;
    let cluster = Cluster::start().await?;
    let said = through_a_failover(
        &cluster,
        &example.plugin()?,
        ("plugin-log", "beat 1"),
        |command| {
            command.flag("--config", "interval_ms=3600000").env(
                "XDG_CACHE_HOME",
                kept("javascript")
                    .expect("it is kept somewhere")
                    .join("cache"),
            )
        },
    )
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
