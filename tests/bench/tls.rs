//! What TLS costs a handover: hosts of one server, by its plain port and by the one for TLS, in turns.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use soloist_tests::certificates::{Certificates, Wanted};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;
use soloist_tests::zookeeper::Settings;

use crate::table::{Samples, Table};
use crate::{SESSION_TIMEOUT, host};

const HANDOVERS: usize = 100;
/// Handovers that are not counted: the server compiles what it runs often.
const WARM_UP: usize = 30;

/// What a process that has just started asks of the ensemble, and writes there, is done after this time.
const SETTLING: Duration = Duration::from_millis(300);

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let certificates = Certificates::new()?;
    let settings = || {
        Settings::standalone()
            .tls(&certificates)
            .system_property("zookeeper.forceSync", "yes")
    };
    let plain = Cluster::with(settings(), SESSION_TIMEOUT).await?;
    let holder = certificates.holder("host", &Wanted::subject("a host"))?;
    let secure = Cluster::with(settings(), SESSION_TIMEOUT)
        .await?
        .over_tls(holder);
    let (mut plain, mut secure) = (Line::start(&plain).await?, Line::start(&secure).await?);
    for round in 1..=WARM_UP + HANDOVERS {
        plain.hand_over(round).await?;
        secure.hand_over(round).await?;
    }
    table.times("handover, plain, with Netty", &plain.times);
    table.times("the same with TLS", &secure.times);
    let [plain, secure] = [&plain, &secure].map(|line| line.times.percentile(50).as_secs_f64());
    table.row(
        "handover with TLS, ratio to the plain one",
        &format!("{:.2}x", secure / plain),
        "",
        "",
    );
    Ok(())
}

/// Leaders of one cluster, one after the other.
struct Line<'a> {
    cluster: &'a Cluster,
    leader: Host,
    times: Samples,
}

impl<'a> Line<'a> {
    async fn start(cluster: &'a Cluster) -> Result<Self> {
        let mut leader = host(cluster, "h0")?.start(&cluster.history)?;
        leader.event("plugin-log").await?;
        Ok(Self {
            cluster,
            leader,
            times: Samples::default(),
        })
    }

    async fn hand_over(&mut self, round: usize) -> Result<()> {
        let id = format!("h{round}");
        let mut next = host(self.cluster, &id)?.start(&self.cluster.history)?;
        next.event("standby").await?;
        tokio::time::sleep(SETTLING).await;
        let asked = SystemTime::now();
        self.leader.signal(Signal::TERM)?;
        let spoke = next.event("plugin-log").await?.at;
        if round > WARM_UP {
            self.times.add(spoke.duration_since(asked)?);
        }
        ensure!(
            self.leader.ended().await?.success(),
            "{}",
            self.leader.errors()
        );
        self.leader = next;
        Ok(())
    }
}
