//! A host with some hundred tasks: in which order it leads them, and how it ends.

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use soloist_tests::build;
use soloist_tests::cluster::Cluster;
use soloist_tests::host::Host;

/// Far more than may be under way at once.
const TASKS: usize = 400;

fn name(number: usize) -> String {
    format!("task-{number:03}")
}

/// Waits until the host has reported that event for each task.
async fn of_each(host: &mut Host, event: &str) -> Result<()> {
    for number in 0..TASKS {
        let task = name(number);
        host.event_where(event, |event| event.task.as_ref() == Some(&task))
            .await?;
    }
    Ok(())
}

/// Whoever stands first is not led last. When the host ends, all of its plugins are heard: none is stopped by force because others
/// came before it.
#[tokio::test]
async fn the_first_tasks_of_a_host_are_led_while_it_joins_others_and_none_is_forced_at_its_end()
-> Result<()> {
    let cluster = Cluster::embedded().await?;
    let plugin = build::workspace().join("plugins/minimal.wat");
    let plugin = plugin.display().to_string();
    let task = |number| {
        let name = name(number);
        format!("[[task]]\nname = {name:?}\nplugin = {plugin:?}\n")
    };
    let file = cluster.file("tasks.toml", (0..TASKS).map(task).collect::<String>())?;
    let mut leader = cluster.host_of("a", &file)?.start(&cluster.history)?;
    of_each(&mut leader, "activated").await?;
    let client = cluster.client().await?;
    let (mut joined, mut elected) = (Vec::new(), Vec::new());
    for number in 0..TASKS {
        let task = format!("/soloist/tasks/{}", name(number));
        let queue = format!("{task}/candidates");
        let names = client.list_children(&queue).await?;
        let [candidate] = names.as_slice() else {
            anyhow::bail!("{queue}: {names:?}");
        };
        for (path, zxids) in [
            (format!("{queue}/{candidate}"), &mut joined),
            (format!("{task}/master"), &mut elected),
        ] {
            let stat = client.check_stat(&path).await?;
            zxids.push(stat.with_context(|| format!("no {path}"))?.czxid);
        }
    }
    elected.sort_unstable();
    let last = joined.iter().max().context("no task")?;
    let before = elected.iter().filter(|it| *it < last).count();
    ensure!(
        before >= TASKS / 2,
        "{before} of {TASKS} tasks were led before the last queue was joined"
    );
    let mut standby = cluster.host_of("b", &file)?.start(&cluster.history)?;
    of_each(&mut standby, "standby").await?;
    leader.signal(Signal::TERM)?;
    of_each(&mut standby, "activated").await?;
    let ended = leader.ended().await?;
    ensure!(ended.success(), "{ended}: {}", leader.errors());
    let forced = leader.records().into_iter().find(|it| it.is("revoked"));
    ensure!(forced.is_none(), "{forced:?}");
    ensure!(standby.terminate().await?.success());
    cluster.verdict().check()
}
