//! What operators see and hear.

use anyhow::{Result, ensure};
use serde_json::Value;
use soloist_coordination::acl::acl;
use soloist_coordination::connect::Ensemble;
use soloist_coordination::observer::Observer;
use soloist_core::records::{Envelope, RolloutRecord};
use soloist_tests::cluster::{Answer, Cluster, TASK};
use soloist_tests::{PATIENCE, build};
use zookeeper_client::Client;

/// Where an order to resign stands.
pub(super) const RESIGN: &str = "/soloist/tasks/beat/resign";

/// The standbys of a task, in the order of the queue.
pub(super) fn standbys(status: &Value) -> Vec<&str> {
    status["standbys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Expects a command to fail at run time, with all of `words` in the message.
pub(super) async fn fails(cluster: &Cluster, args: &[&str], words: &[&str]) -> Result<()> {
    let answer = cluster.operator(&[], args).await?;
    ensure!(
        answer.code == Some(1) && answer.stdout.is_empty(),
        "{answer:?}"
    );
    for word in words {
        ensure!(
            answer.stderr.contains(word),
            "{word:?} is not in the message: {}",
            answer.stderr
        );
    }
    Ok(())
}

/// The plugin that is deployed.
pub(super) fn plugin() -> Result<String> {
    Ok(build::artifacts()?.guest("heartbeat").display().to_string())
}

/// Deploys the plugin as [`TASK`], with these flags, and waits for nothing.
pub(super) async fn deploy(cluster: &Cluster, flags: &[&str]) -> Result<Answer> {
    let plugin = plugin()?;
    let mut args = vec!["deploy", &plugin, "--task", TASK, "--no-wait"];
    args.extend(flags);
    cluster.operator(&[], &args).await
}

/// Expects an order or a question to be answered.
pub(super) async fn succeeds(cluster: &Cluster, args: &[&str]) -> Result<String> {
    let answer = cluster.operator(&[], args).await?;
    ensure!(answer.code == Some(0), "{args:?}: {answer:?}");
    Ok(answer.stdout)
}

/// Expects a command to fail with this code, with all of `words` in the message.
pub(super) fn has_failed(answer: &Answer, code: i32, words: &[&str]) -> Result<()> {
    ensure!(answer.code == Some(code), "not {code}: {answer:?}");
    for word in words {
        ensure!(answer.stderr.contains(word), "no {word:?}: {answer:?}");
    }
    Ok(())
}

/// Where the record of the rollout is.
pub(super) const RECORD: &str = "/soloist/manifests/beat";

/// The record of the rollout of [`TASK`].
pub(super) async fn record(client: &Client) -> Result<RolloutRecord> {
    Ok(RolloutRecord::decode(&client.get_data(RECORD).await?.0)?)
}

/// A generation of [`TASK`].
pub(super) async fn envelope(client: &Client, number: u64) -> Result<Envelope> {
    let path = format!("/soloist/tasks/beat/generations/{number}");
    Ok(Envelope::decode(&client.get_data(&path).await?.0)?)
}

/// What commands look at the ensemble with.
pub(super) async fn observer(cluster: &Cluster) -> Result<Observer> {
    let ensemble = Ensemble {
        tls: None,
        servers: cluster.servers().to_owned(),
        chroot: String::new(),
        root: "/soloist".to_owned(),
        session_timeout: cluster.session_timeout,
        auth: None,
        sasl: None,
        acl: acl(None),
    };
    Ok(Observer::connect(&ensemble, PATIENCE).await?)
}
