//! `soloist tasks`: all tasks, whoever has them, and however many there are.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use soloist_core::digest::Digest;
use soloist_core::records::{Changed, Generation};
use soloist_core::rollout;
use soloist_tests::client;
use soloist_tests::cluster::{Cluster, TASK};
use zookeeper_client::{Acls, CreateMode};

use super::case::{deploy, succeeds};

/// A task that was deployed, one of a host's file, and one that is gone are told apart.
#[tokio::test]
async fn tasks_of_files_are_listed_beside_those_that_were_deployed() -> Result<()> {
    let cluster = Cluster::embedded().await?;
    let _host = cluster.queue(&["a"]).await?;
    let plugin = super::case::plugin()?;
    for task in ["report", "sweep"] {
        succeeds(&cluster, &["deploy", &plugin, "--task", task, "--no-wait"]).await?;
    }
    succeeds(&cluster, &["undeploy", "sweep"]).await?;
    let list = succeeds(&cluster, &["tasks", "--json"]).await?;
    let list: serde_json::Value = serde_json::from_str(&list)?;
    let told = |key: &str| -> Vec<_> {
        let tasks = list["tasks"].as_array().cloned().unwrap_or_default();
        tasks.iter().map(|task| task[key].clone()).collect()
    };
    ensure!(
        json!(told("task")) == json!([TASK, "report", "sweep"]),
        "{list}"
    );
    ensure!(
        json!(told("deployed")) == json!([false, true, true]),
        "{list}"
    );
    ensure!(
        json!(told("stage")) == json!([null, "probation", "undeployed"]),
        "{list}"
    );
    ensure!(json!(told("leader")) == json!(["a", null, null]), "{list}");
    let text = succeeds(&cluster, &["tasks"]).await?;
    ensure!(text.lines().count() == 4, "{text}");
    ensure!(
        text.contains(" files ") && text.contains(" undeployed "),
        "{text}"
    );
    Ok(())
}

/// A thousand tasks are listed within seconds, and a stranger's node of almost a megabyte among them takes one row.
#[tokio::test]
async fn many_tasks_are_listed_at_once() -> Result<()> {
    const TASKS: u64 = 1_000;
    let cluster = Cluster::start().await?;
    let client = cluster.client().await?;
    client::make_path(&client, "/soloist/manifests").await?;
    let generation = Generation {
        number: 1,
        sha256: Digest::of(b"one"),
    };
    let changed = Changed::new("ann@ops", "2026-11-26T12:00:00Z");
    let record = rollout::deploy(None, generation, None, changed)?.encode()?;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    for tasks in (0..TASKS).collect::<Vec<_>>().chunks(250) {
        let mut multi = client.new_multi_writer();
        for task in tasks {
            multi.add_create(
                &format!("/soloist/manifests/task-{task:04}"),
                &record,
                &options,
            )?;
        }
        multi.commit().await?;
    }
    let flood = vec![b'\x1b'; 1_000_000];
    client
        .create("/soloist/manifests/task-flood", &flood, &options)
        .await?;
    ensure!(deploy(&cluster, &[]).await?.code == Some(0));
    let began = Instant::now();
    let text = succeeds(&cluster, &["tasks"]).await?;
    println!("{TASKS} tasks are listed in {:?}", began.elapsed());
    ensure!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    ensure!(text.lines().count() == 1_003, "{}", text.lines().count());
    ensure!(
        !text.contains('\u{1b}') && text.len() < 300_000,
        "{}",
        text.len()
    );
    client::close(client).await;
    Ok(())
}
