//! How long a host takes from its start to its election.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Command;

use crate::table::{Samples, Table};
use crate::{contender, host};

const STARTS: usize = 30;
const COLD_STARTS: usize = 10;

/// From the start of the process to its election, nobody else standing.
pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let (mut cached, mut cold, mut bare) =
        (Samples::default(), Samples::default(), Samples::default());
    for round in 0..STARTS {
        cached.add(start(cluster, &host(cluster, &format!("s{round}"))?, "elected").await?);
        bare.add(
            start(
                cluster,
                &contender(cluster, &format!("b{round}"))?,
                "leading",
            )
            .await?,
        );
    }
    for round in 0..COLD_STARTS {
        let empty = tempfile::tempdir()?;
        let command = host(cluster, &format!("c{round}"))?.env("XDG_CACHE_HOME", empty.path());
        cold.add(start(cluster, &command, "elected").await?);
    }
    table.times("process start → elected, plugin compiled before", &cached);
    table.times("process start → elected, plugin compiled then", &cold);
    table.times("process start → elected, bare contender", &bare);
    Ok(())
}

/// From the start of the process to the event of that name; the process is ended again.
async fn start(cluster: &Cluster, command: &Command, name: &str) -> Result<Duration> {
    let mut host = command.clone().unbound().start(&cluster.history)?;
    let reached = host.event(name).await?.at;
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok(reached.duration_since(host.started())?)
}
