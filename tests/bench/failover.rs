//! How long nobody leads when the process of the leader is killed, with a guardian.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rustix::process::Signal;
use soloist_tests::cluster::Cluster;

use crate::host;
use crate::table::{Samples, Table};

const FAILOVERS: usize = 40;
/// Those that are not counted: the server compiles what it runs often.
const WARM_UP: usize = 10;

/// What a process that has just started asks of the ensemble, and writes there, is done after this time.
const SETTLING: Duration = Duration::from_millis(300);

/// The leader's process is killed again and again; each time another host stands by. A host that is killed often comes back ever
/// later, so each is killed once.
pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let (mut all, mut dying, mut giving) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut leader = host(cluster, "g0")?.guarded().start(&cluster.history)?;
    leader.event("plugin-log").await?;
    for round in 1..=WARM_UP + FAILOVERS {
        let mut next = host(cluster, &format!("g{round}"))?
            .guarded()
            .start(&cluster.history)?;
        next.event("standby").await?;
        tokio::time::sleep(SETTLING).await;
        let from = cluster.history.len();
        let killed = SystemTime::now();
        leader.signal_guarded(Signal::KILL).await?;
        let spoke = next.event_after(from, "plugin-log", |_| true).await?.at;
        let died = leader.event_after(from, "host-died", |_| true).await?.at;
        let freed = leader.event_after(from, "given-back", |_| true).await?;
        let took = freed.event().and_then(|event| event.duration("took"));
        if round > WARM_UP {
            all.add(spoke.duration_since(killed)?);
            dying.add(died.duration_since(killed)?);
            giving.add(took.context("how long it took")?);
        }
        leader = next;
    }
    table.times(
        "failover: SIGKILL of the leader's process → first statement of the next",
        &all,
    );
    table.times(
        "SIGKILL → all threads are gone, and the guardian knows",
        &dying,
    );
    table.times("dead → everything is given back", &giving);
    Ok(())
}
