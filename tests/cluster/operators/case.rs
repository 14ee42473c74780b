//! What operators see and hear.

use anyhow::{Result, ensure};
use serde_json::Value;
use soloist_tests::cluster::Cluster;

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
