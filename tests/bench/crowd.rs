//! What a handover costs when many stand: how long nobody leads, and how many packets the server receives and sends by it.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use soloist_tests::PATIENCE;
use soloist_tests::client;
use soloist_tests::cluster::Cluster;
use soloist_tests::history::Record;
use soloist_tests::host::{Command, Host};
use soloist_tests::zookeeper::Settings;

use crate::table::{Samples, Table};
use crate::{SESSION_TIMEOUT, contender, host, packets};

const CROWDS: [usize; 3] = [3, 30, 300];
const HANDOVERS: usize = 10;
/// So many start at once, so that those that stand already keep their sessions.
const AT_ONCE: usize = 10;
/// How long packets are counted: before a handover, for what so many send while nothing happens, and from it on.
const COUNTED: Duration = Duration::from_secs(2);

/// Who stands.
struct Kind {
    name: &'static str,
    command: fn(&Cluster, &str) -> Result<Command>,
    /// The events of one that stands and of one that leads.
    stands: &'static str,
    leads: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "hosts",
        command: host,
        stands: "standby",
        leads: "plugin-log",
    },
    Kind {
        name: "bare contenders",
        command: contender,
        stands: "waiting",
        leads: "leading",
    },
];

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    for count in CROWDS {
        for kind in &KINDS {
            // Of their own: all packets are theirs.
            let settings = Settings::standalone().system_property("zookeeper.forceSync", "yes");
            let cluster = Cluster::with(settings, SESSION_TIMEOUT).await?;
            let observer = cluster.client().await?;
            client::make_path(&observer, "/bare").await?;
            client::close(observer).await;
            kind.measure(&cluster, count, table).await?;
        }
    }
    Ok(())
}

impl Kind {
    async fn measure(&self, cluster: &Cluster, count: usize, table: &mut Table) -> Result<()> {
        let mut leader = self.start(cluster, 0)?;
        leader.event(self.leads).await?;
        let mut others = Vec::new();
        while others.len() + 1 < count {
            let from = others.len();
            let upto = count.min(from + 1 + AT_ONCE);
            for number in from + 1..upto {
                others.push(self.start(cluster, number)?);
            }
            for other in &mut others[from..] {
                other.event(self.stands).await?;
            }
        }
        let (mut gaps, mut sent) = (Samples::default(), Vec::new());
        for round in 0..HANDOVERS {
            let idle = counted(cluster).await?;
            let from = cluster.history.len();
            let before = packets(cluster).await?;
            let asked = SystemTime::now();
            leader.signal(Signal::TERM)?;
            let leads = |record: &Record| record.is(self.leads);
            let next = cluster
                .history
                .wait_for(from, "the next to lead", PATIENCE, leads)
                .await?;
            tokio::time::sleep(COUNTED.saturating_sub(asked.elapsed()?)).await;
            sent.push(packets(cluster).await? - before - idle);
            gaps.add(next.at.duration_since(asked)?);
            ensure!(leader.ended().await?.success(), "{}", leader.errors());
            let place = others.iter().position(|other| other.pid() == next.pid);
            leader = others.swap_remove(place.context("a stranger leads")?);
            let mut another = self.start(cluster, count + round)?;
            another.event(self.stands).await?;
            others.push(another);
        }
        sent.sort_by(f64::total_cmp);
        let name = self.name;
        table.times(
            &format!("{count} {name}: SIGTERM of the leader → the next leads"),
            &gaps,
        );
        table.row(
            &format!("{count} {name}: packets of the server by that"),
            &format!("{:.0}", sent[HANDOVERS / 2]),
            "",
            &HANDOVERS.to_string(),
        );
        Ok(())
    }

    fn start(&self, cluster: &Cluster, number: usize) -> Result<Host> {
        (self.command)(cluster, &format!("c{number}"))?.start(&cluster.history)
    }
}

/// How many packets the server has in that time.
async fn counted(cluster: &Cluster) -> Result<f64> {
    let before = packets(cluster).await?;
    tokio::time::sleep(COUNTED).await;
    Ok(packets(cluster).await? - before)
}
