//! What a standby and a leader occupy.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;

use crate::contender;
use crate::table::Table;

/// How many tasks are added to a host to see what one of them costs.
const MORE_TASKS: u64 = 20;

/// What a standby costs, and a leader, and each further task of both.
pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let plugin = build::artifacts()?.guest("hello");
    let task = |number: u64| {
        format!(
            "[[task]]\nname = \"task-{number}\"\nplugin = {:?}\n",
            plugin.display().to_string()
        )
    };
    let one = cluster.file("one.toml", task(0))?;
    let many = cluster.file(
        "many.toml",
        (0..=MORE_TASKS).map(task).collect::<Vec<_>>().concat(),
    )?;
    let alone = cluster.file("alone.toml", task(MORE_TASKS + 1))?;
    let mut leader = settled(cluster, "leader", &many, "activated", 0..=MORE_TASKS).await?;
    let leads_one = settled(
        cluster,
        "leads-one",
        &alone,
        "activated",
        MORE_TASKS + 1..=MORE_TASKS + 1,
    )
    .await?;
    let with_many = settled(cluster, "many", &many, "standby", 0..=MORE_TASKS).await?;
    let with_one = settled(cluster, "one", &one, "standby", 0..=0).await?;
    let mut bare = contender(cluster, "bare")?.start(&cluster.history)?;
    bare.event("leading").await?;
    for (state, one, many) in [
        ("on standby", &with_one, &with_many),
        ("that is active", &leads_one, &leader),
    ] {
        let (one, many) = (Memory::of(one.pid())?, Memory::of(many.pid())?);
        table.row(
            &format!("memory of a host with one task {state}: resident / proportional"),
            &one.show(),
            "",
            "",
        );
        let each = Memory {
            resident_kib: many.resident_kib.saturating_sub(one.resident_kib) / MORE_TASKS,
            proportional_kib: many.proportional_kib.saturating_sub(one.proportional_kib)
                / MORE_TASKS,
        };
        table.row(
            &format!("memory of one more task {state}"),
            &each.show(),
            "",
            "",
        );
    }
    table.row(
        "memory of a bare contender",
        &Memory::of(bare.pid())?.show(),
        "",
        "",
    );
    ensure!(leader.terminate().await?.success());
    Ok(())
}

/// A host of all tasks of `config` that has reported `name` for each.
async fn settled(
    cluster: &Cluster,
    id: &str,
    config: &Path,
    name: &str,
    tasks: RangeInclusive<u64>,
) -> Result<Host> {
    let mut host = cluster.host_of(id, config)?.start(&cluster.history)?;
    for number in tasks {
        let task = format!("task-{number}");
        host.event_where(name, |event| event.task.as_ref() == Some(&task))
            .await?;
    }
    Ok(host)
}

/// What a process occupies.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    resident_kib: u64,
    /// Pages shared with other processes count in part only.
    proportional_kib: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let kib = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .with_context(|| format!("no {name}"))?;
            Ok::<u64, anyhow::Error>(line.trim().trim_end_matches(" kB").parse()?)
        };
        Ok(Self {
            resident_kib: kib("Rss:")?,
            proportional_kib: kib("Pss:")?,
        })
    }

    /// The same, divided by so many.
    pub(crate) fn of_each(self, number: u64) -> Self {
        Self {
            resident_kib: self.resident_kib / number,
            proportional_kib: self.proportional_kib / number,
        }
    }

    pub(crate) fn show(self) -> String {
        let mib = |kib: u64| format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024);
        format!(
            "{} / {}",
            mib(self.resident_kib),
            mib(self.proportional_kib)
        )
    }
}
