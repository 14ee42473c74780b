//! How long nobody leads when leadership passes on in good order.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::Cluster;

use crate::table::{Samples, Table};
use crate::{contender, host};

const HANDOVERS: usize = 100;
/// Handovers that are not counted: the server compiles what it runs often.
const WARM_UP: usize = 50;

/// What a process that has just started asks of the ensemble, and writes there, is done after this time.
const SETTLING: Duration = Duration::from_millis(300);

/// Leaderships pass from host to host and from bare contender to bare contender, in turns.
pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let (mut first_words, mut hosts, mut bare) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut leader = host(cluster, "h0")?.start(&cluster.history)?;
    leader.event("plugin-log").await?;
    let mut bare_leader = contender(cluster, "b0")?.start(&cluster.history)?;
    bare_leader.event("leading").await?;
    for round in 1..=WARM_UP + HANDOVERS {
        let counts = round > WARM_UP;
        let mut next = host(cluster, &format!("h{round}"))?.start(&cluster.history)?;
        next.event("standby").await?;
        tokio::time::sleep(SETTLING).await;
        let asked = SystemTime::now();
        leader.signal(Signal::TERM)?;
        let spoke = next.event("plugin-log").await?.at;
        let elected = next.event("elected").await?.at;
        if counts {
            hosts.add(spoke.duration_since(asked)?);
            first_words.add(spoke.duration_since(elected)?);
        }
        ensure!(leader.ended().await?.success(), "{}", leader.errors());
        leader = next;

        let mut next = contender(cluster, &format!("b{round}"))?.start(&cluster.history)?;
        next.event("waiting").await?;
        tokio::time::sleep(SETTLING).await;
        let asked = SystemTime::now();
        bare_leader.signal(Signal::TERM)?;
        let leading = next.event("leading").await?.at;
        if counts {
            bare.add(leading.duration_since(asked)?);
        }
        ensure!(
            bare_leader.ended().await?.success(),
            "{}",
            bare_leader.errors()
        );
        bare_leader = next;
    }
    ensure!(leader.terminate().await?.success() && bare_leader.terminate().await?.success());
    table.times(
        "election committed → first statement of the plugin",
        &first_words,
    );
    table.times(
        "handover: SIGTERM of the leader → first statement of the next",
        &hosts,
    );
    table.times(
        "the same with bare contenders: SIGTERM → the next leads",
        &bare,
    );
    let (host, bare) = (hosts.percentile(50), bare.percentile(50));
    table.row(
        "handover, ratio to the bare one",
        &format!("{:.2}x", host.as_secs_f64() / bare.as_secs_f64()),
        "",
        "",
    );
    Ok(())
}
