//! What the leases of many hosts cost the ensemble while nothing happens.

use std::time::Duration;

use anyhow::{Context, Result};
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;
use soloist_tests::zookeeper::Settings;

use crate::host;
use crate::table::Table;

const HOSTS: usize = 100;
/// What a host asks for unless told otherwise, and the tick that it assumes then.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(30);

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let settings = Settings::standalone()
        .tick(TICK)
        .system_property("zookeeper.forceSync", "yes");
    let cluster = Cluster::with(settings, SESSION_TIMEOUT).await?;
    let mut hosts = vec![host(&cluster, "h0")?.start(&cluster.history)?];
    hosts[0].event("activated").await?;
    let one = writes(&cluster).await?;
    for number in 1..HOSTS {
        let mut host: Host = host(&cluster, &format!("h{number}"))?.start(&cluster.history)?;
        host.event("standby").await?;
        hosts.push(host);
    }
    let all = writes(&cluster).await?;
    let row = |writes: f64, processor: f64| {
        format!("{writes:.2}/s, {:.1} % of a processor", processor * 100.0)
    };
    table.row(
        "committed writes for the lease of one host, and the server's processor time",
        &row(one.0, one.1),
        "",
        "",
    );
    table.row(
        &format!("the same for {HOSTS} hosts"),
        &row(all.0, all.1),
        "",
        "",
    );
    Ok(())
}

/// How many writes a second the server commits, and how much of a processor it uses, by its own account.
async fn writes(cluster: &Cluster) -> Result<(f64, f64)> {
    let before = (zxid(cluster).await?, processor_seconds(cluster)?);
    tokio::time::sleep(WATCHED).await;
    let after = (zxid(cluster).await?, processor_seconds(cluster)?);
    let writes = u32::try_from(after.0 - before.0)?;
    Ok((
        f64::from(writes) / WATCHED.as_secs_f64(),
        (after.1 - before.1) / WATCHED.as_secs_f64(),
    ))
}

async fn zxid(cluster: &Cluster) -> Result<u64> {
    let answer = cluster.zookeeper.ask(0, "srvr").await?;
    let zxid = answer
        .lines()
        .find_map(|line| line.strip_prefix("Zxid: 0x"))
        .context("srvr names no zxid")?;
    Ok(u64::from_str_radix(zxid, 16)?)
}

fn processor_seconds(cluster: &Cluster) -> Result<f64> {
    let pid = cluster
        .zookeeper
        .pids()
        .first()
        .copied()
        .context("no server runs")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may hold any character, the fields count from the third; user and system time are the 14th
    // and the 15th, in hundredths of a second.
    let fields = stat
        .rsplit_once(") ")
        .context("a line of another form")?
        .1
        .split(' ');
    let ticks: Vec<u32> = fields
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(f64::from(ticks.iter().sum::<u32>()) / 100.0)
}
