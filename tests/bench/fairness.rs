//! What plugins that compute without a pause cost their neighbours: how late another plugin's timer is, how late the
//! host's heartbeats reach the ensemble, how long a handover takes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;
use soloist_tests::{PATIENCE, build};

use super::SESSION_TIMEOUT;
use super::table::{Samples, Table};

const HANDOVERS: usize = 20;
const HEARTBEATS: usize = 100;
const TIMER: &str = "timer";

/// Measures without neighbours, and with as many as there are processors.
pub(super) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let processors = std::thread::available_parallelism()?.get();
    for burners in [0, processors, 4 * processors] {
        let with = format!("beside {burners} plugins that compute");
        let (timer, heartbeats) = lateness(cluster, burners).await?;
        table.row(
            &format!("lateness of a plugin's 10 ms timer, {with}"),
            &timer[0],
            &timer[1],
            &timer[2],
        );
        table.times(
            &format!("lateness of the host's heartbeats, {with}"),
            &heartbeats,
        );
        table.times(
            &format!("handover, {with}"),
            &handovers(cluster, burners).await?,
        );
    }
    Ok(())
}

fn tasks(burners: usize) -> impl Iterator<Item = String> {
    (0..burners)
        .map(|number| format!("burner-{number}"))
        .chain([TIMER.to_owned()])
}

/// A configuration of one plugin that `does` something, and of others that compute.
fn config(cluster: &Cluster, does: &str, burners: usize) -> Result<std::path::PathBuf> {
    let plugin = build::artifacts()?.guest("misbehave").display().to_string();
    let task = |name: &str, does: &str| {
        format!(
            "[[task]]\nname = {name:?}\nplugin = {plugin:?}\nconfig = {{ do = {does:?} }}\nallow = {{ state = true, tcp = [] }}\n"
        )
    };
    let burning = (0..burners).map(|number| task(&format!("burner-{number}"), "loop"));
    let tasks: Vec<_> = burning.chain([task(TIMER, does)]).collect();
    cluster.file(&format!("{does}-{burners}.toml"), tasks.concat())
}

/// A host that leads all tasks of a configuration.
async fn leading(
    cluster: &Cluster,
    id: &str,
    config: &std::path::Path,
    burners: usize,
) -> Result<Host> {
    let mut host = cluster.host_of(id, config)?.start(&cluster.history)?;
    for task in tasks(burners) {
        host.event_where("plugin-log", |event| event.task.as_ref() == Some(&task))
            .await?;
    }
    Ok(host)
}

/// What the timer says of itself (median, p99, number), and how much later than due each heartbeat came.
async fn lateness(cluster: &Cluster, burners: usize) -> Result<([String; 3], Samples)> {
    let id = format!("fair-{burners}");
    let mut host = leading(cluster, &id, &config(cluster, "timer", burners)?, burners).await?;
    let observer = cluster.client().await?;
    let node = format!("/soloist/hosts/{id}");
    let mut heartbeats = Samples::default();
    let mut last = None;
    while heartbeats.len() < HEARTBEATS {
        let (_, stat, watcher) = observer.get_and_watch_data(&node).await?;
        // By the clock of the server, which a late observer does not disturb; one that missed a heartbeat says nothing.
        match last.replace(stat) {
            Some(before) if stat.version == before.version + 1 => {
                let interval = Duration::from_millis(u64::try_from(stat.mtime - before.mtime)?);
                heartbeats.add(interval.saturating_sub(SESSION_TIMEOUT / 10));
            }
            _ => {}
        }
        tokio::time::timeout(PATIENCE, watcher.changed())
            .await
            .context("no heartbeat")?;
    }
    let said = host
        .event_where("plugin-log", |event| event.message == "lateness")
        .await?;
    let fields = &said.event().context("no event")?.line["fields"];
    let field = |name: &str| {
        fields[name]
            .as_str()
            .map(str::to_owned)
            .context("the timer does not say it")
    };
    let millis = |name: &str| {
        Ok::<_, anyhow::Error>(format!("{:.2} ms", field(name)?.parse::<f64>()? / 1e3))
    };
    let timer = [millis("median_us")?, millis("p99_us")?, field("rounds")?];
    soloist_tests::client::close(observer).await;
    ensure!(host.terminate().await?.success(), "{}", host.errors());
    Ok((timer, heartbeats))
}

/// From SIGTERM of the leader of all tasks to the first statement of the well-behaved plugin on the next host.
async fn handovers(cluster: &Cluster, burners: usize) -> Result<Samples> {
    let config = config(cluster, "wait", burners)?;
    let mut samples = Samples::default();
    let speaks = |event: &soloist_tests::history::Event| event.task.as_deref() == Some(TIMER);
    let mut leader = leading(cluster, &format!("from-{burners}"), &config, burners).await?;
    for round in 0..HANDOVERS {
        let mut next = cluster
            .host_of(&format!("to-{burners}-{round}"), &config)?
            .start(&cluster.history)?;
        for task in tasks(burners) {
            next.event_where("standby", |event| event.task.as_ref() == Some(&task))
                .await?;
        }
        let asked = std::time::SystemTime::now();
        leader.signal(Signal::TERM)?;
        samples.add(
            next.event_where("plugin-log", speaks)
                .await?
                .at
                .duration_since(asked)?,
        );
        ensure!(leader.ended().await?.success(), "{}", leader.errors());
        leader = next;
    }
    ensure!(leader.terminate().await?.success(), "{}", leader.errors());
    Ok(samples)
}
