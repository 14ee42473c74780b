//! How long after the end of its lease a plugin that ignores its demotion is gone, whatever it is doing.
//!
//! The end of the lease is what the plugin is told; that it is gone is what its host reports once the store is dropped:
//! so the last instruction of the guest comes before that. A guest that computes sees the end at the next epoch tick.

use std::time::Duration;

use anyhow::{Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::effects;
use soloist_tests::load::Load;
use soloist_tests::proxy::{Proxy, Traffic};
use soloist_tests::revocation::revocations;
use soloist_tests::zookeeper::Settings;

use crate::table::{Samples, Table};

const ROUNDS: usize = 25;
/// Short, so that many leases end in little time.
const SESSION_TIMEOUT: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// What takes the lease away.
#[derive(Clone, Copy)]
enum End {
    /// The host hears no more of the ensemble.
    Cut,
    /// SIGSTOP to the host, and SIGCONT when the session is over.
    Stop,
}

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    for busy in [false, true] {
        let load = busy.then(Load::all_processors).transpose()?;
        for (by, end, what) in [
            ("computing", End::Cut, "lease over → plugin gone, computing"),
            (
                "filling",
                End::Cut,
                "lease over → plugin gone, filling 250 MiB in one instruction",
            ),
            (
                "calling",
                End::Cut,
                "lease over → plugin gone, in host calls",
            ),
            (
                "blocking",
                End::Cut,
                "lease over → plugin gone, in a blocking import",
            ),
            (
                "computing",
                End::Stop,
                "SIGCONT after the lease → plugin gone, computing",
            ),
        ] {
            let samples = rounds(by, end).await?;
            let load = if busy { "processors busy" } else { "idle" };
            table.times(&format!("{what}; {load}"), &samples);
        }
        drop(load);
    }
    Ok(())
}

async fn rounds(by: &str, end: End) -> Result<Samples> {
    let cluster = Cluster::with(Settings::standalone().tick(TICK).real(), SESSION_TIMEOUT).await?;
    let proxy = Proxy::start(cluster.zookeeper.address(0)).await?;
    let host = cluster.host_at(
        &proxy.connect_string(),
        "a",
        &build::artifacts()?.guest("effects"),
    )?;
    let host = host
        .flag("--config", format!("by={by}"))
        .flag("--demote-timeout", "100ms");
    let mut host = host.arg("--allow-state").start(&cluster.history)?;
    let mut samples = Samples::default();
    let mut mark = 0;
    for _ in 0..ROUNDS {
        host.event_after(mark, "plugin-log", |_| true).await?;
        mark = cluster.history.len();
        match end {
            End::Cut => proxy.set(Traffic::Lost),
            End::Stop => {
                host.pause().await?;
                tokio::time::sleep(SESSION_TIMEOUT + TICK).await;
                host.resume()?;
            }
        }
        host.event_after(mark, "revoked", |_| true).await?;
        mark = cluster.history.len();
        proxy.set(Traffic::Passes);
    }
    let records = cluster.history.in_order();
    let findings = effects::examine(&records);
    ensure!(findings.violations.is_empty(), "{:?}", findings.violations);
    for revocation in revocations(&records, &findings) {
        ensure!(
            revocation.to_spare_us >= 0,
            "an effect {} us after the end of the lease",
            -revocation.to_spare_us
        );
        samples.add(revocation.gone_after);
    }
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok(samples)
}
