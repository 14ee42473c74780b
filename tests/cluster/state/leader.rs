//! A leader without a plugin, and the nodes that it writes.

use anyhow::{Result, bail};
use soloist_coordination::fence::Fence;
use soloist_coordination::state::TaskState;
use soloist_coordination::task::ElectOutcome;
use soloist_core::state::{State, StateError};
use soloist_core::term::Term;
use soloist_tests::cluster::{Cluster, TASK};
use soloist_tests::session::OwnSession;
use zookeeper_client::Client;

/// Where the state of [`TASK`] is kept.
pub(super) const STATE: &str = "/soloist/tasks/beat/state";

/// The node of a key.
pub(super) fn node(key: &str) -> String {
    format!("{STATE}/{key}")
}

/// A leader of [`TASK`] without a plugin, that the host's own code has elected.
pub(super) struct Leader {
    pub(super) state: TaskState,
    pub(super) term: Term,
    pub(super) candidate: String,
    pub(super) own: OwnSession,
}

impl Leader {
    pub(super) async fn elected(cluster: &Cluster, id: &str) -> Result<Self> {
        let own = OwnSession::begin(cluster, id).await?;
        loop {
            let seen = own.nodes().look(true).await?;
            let Some(candidate) = seen.candidate.clone() else {
                own.nodes().join().await?;
                continue;
            };
            let over = seen.queue.record.clone();
            match own.nodes().elect(Some(seen), over, None, None).await? {
                ElectOutcome::Won { term, .. } => {
                    let fence = Fence::new(&own.paths, &term, &candidate);
                    let state = TaskState::new(own.session.clone(), own.paths.clone(), fence);
                    return Ok(Self {
                        state,
                        term,
                        candidate,
                        own,
                    });
                }
                ElectOutcome::Outdated => {}
                ElectOutcome::Held | ElectOutcome::OtherManifest => bail!("somebody else leads"),
            }
        }
    }

    pub(super) async fn set(&self, key: &str, value: &str) -> Result<u64, StateError> {
        self.state.set(key.into(), value.into()).await
    }

    pub(super) async fn exchange(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &str,
    ) -> Result<u64, StateError> {
        self.state
            .compare_and_set(key.into(), expected, value.into())
            .await
    }

    /// One more, as a plugin would count.
    pub(super) async fn increment(&self, key: &str) -> Result<(), StateError> {
        loop {
            let entry = self.state.get(key.into()).await?;
            let (count, version) = entry.map_or((0, None), |entry| {
                (number(&entry.value), Some(entry.version))
            });
            match self.exchange(key, version, &(count + 1).to_string()).await {
                Err(StateError::Changed(_)) => {}
                outcome => return outcome.map(drop),
            }
        }
    }
}

/// The number that was written.
pub(super) fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .expect("only numbers are written")
}

/// Deletes what makes a leader the leader, as only somebody with every right can.
pub(super) async fn depose(operator: &Client) -> Result<()> {
    operator.delete(&Cluster::master(TASK), None).await?;
    for candidate in operator
        .list_children("/soloist/tasks/beat/candidates")
        .await?
    {
        operator
            .delete(&format!("/soloist/tasks/beat/candidates/{candidate}"), None)
            .await?;
    }
    Ok(())
}
