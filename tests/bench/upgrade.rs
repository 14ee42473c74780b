//! How long nobody runs a deployed task when another generation of it takes over, beside a leader that resigns.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use soloist_tests::cluster::Cluster;
use soloist_tests::deployment::{Deployment, Signer};
use soloist_tests::{PATIENCE, build};

use crate::table::{Samples, Table};

const TASK: &str = "upgraded";
const ROUNDS: usize = 50;
/// Rounds that are not counted: the server compiles what it runs often.
const WARM_UP: usize = 10;
/// What a host that has given its term back asks of the ensemble is done after this time.
const SETTLING: Duration = Duration::from_millis(300);

/// Two hosts that take the same task: it is upgraded, and its leader resigns, in turns.
pub(crate) async fn measure(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let deployment = Deployment::new(cluster.client().await?, TASK, vec![Signer::new()?]);
    let mut hosts = Vec::new();
    for id in ["u0", "u1"] {
        let kept = cluster
            .file(&format!("{id}.kept"), "")?
            .with_extension("dir");
        let config = deployment.taken_by(&kept, "state = true")?;
        let file = cluster.file(&format!("{id}.toml"), config)?;
        hosts.push(cluster.host_of(id, &file)?.start(&cluster.history)?);
    }
    upgrade(cluster, &deployment, true).await?;
    let (mut upgrades, mut resignations) = (Samples::default(), Samples::default());
    let mut without_copy = Samples::default();
    for round in 1..=WARM_UP + ROUNDS {
        let counts = round > WARM_UP;
        for (migrates, samples) in [(true, &mut upgrades), (false, &mut without_copy)] {
            tokio::time::sleep(SETTLING).await;
            let from = cluster.history.len();
            upgrade(cluster, &deployment, migrates).await?;
            let gap = gap(cluster, from).await?;
            if counts {
                samples.add(gap);
            }
        }
        tokio::time::sleep(SETTLING).await;
        let from = cluster.history.len();
        let resigned = cluster.operator(&[], &["resign", TASK]).await?;
        ensure!(resigned.code == Some(0), "{resigned:?}");
        let gap = gap(cluster, from).await?;
        if counts {
            resignations.add(gap);
        }
    }
    for mut host in hosts {
        ensure!(host.terminate().await?.success(), "{}", host.errors());
    }
    deployment.close().await;
    table.times(
        "upgrade: the old generation is demoted → first statement of the new one",
        &upgrades,
    );
    table.times(
        "the same with `migrates = false`: no copy of the state is made",
        &without_copy,
    );
    table.times(
        "the same task, resignation: the leader is demoted → first statement of the next",
        &resignations,
    );
    let resignation = resignations.percentile(50).as_secs_f64();
    let ratio = |samples: &Samples| samples.percentile(50).as_secs_f64() / resignation;
    table.row(
        "upgrade, ratio to the resignation; without a copy",
        &format!("{:.2}x; {:.2}x", ratio(&upgrades), ratio(&without_copy)),
        "",
        "",
    );
    Ok(())
}

/// Deploys the next generation, and waits until it is healthy and a host stands by.
async fn upgrade(cluster: &Cluster, deployment: &Deployment, migrates: bool) -> Result<()> {
    let from = cluster.history.len();
    let plugin = build::artifacts()?.guest("hello");
    let quick = json!({ "healthy_after": "100ms", "migrates": migrates });
    let text = deployment.text(&plugin, json!({}), quick).await?;
    deployment.deploy(&text).await?;
    for event in ["generation-healthy", "standby"] {
        let fits = |record: &soloist_tests::history::Record| record.is_of(event, TASK);
        cluster
            .history
            .wait_for(from, event, PATIENCE, fits)
            .await?;
    }
    Ok(())
}

/// From the first demotion after that position of the history to what the plugin says next.
async fn gap(cluster: &Cluster, from: usize) -> Result<Duration> {
    let is = |event: &'static str| {
        move |record: &soloist_tests::history::Record| record.is_of(event, TASK)
    };
    let history = &cluster.history;
    let ended = history
        .wait_for(from, "a demotion", PATIENCE, is("draining"))
        .await?;
    let began = history
        .wait_for(from, "the plugin to speak", PATIENCE, is("plugin-log"))
        .await?;
    Ok(began.at.duration_since(ended.at)?)
}
