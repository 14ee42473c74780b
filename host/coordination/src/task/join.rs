//! Joins the queue of candidates, and watches whom this host stands behind.

use futures::future::try_join;
use zookeeper_client::{CreateMode, CreateOptions, Error, OneshotWatcher};

use super::{TaskError, TaskNodes};
use crate::error::{Doing, NodeError};
use crate::watches::WatchSet;
use soloist_core::records::Candidate;

impl TaskNodes {
    /// Joins the end of the queue.
    pub async fn join(self) -> Result<(), TaskError> {
        let (path, options) = self.new_candidate();
        match self
            .session
            .client()
            .create(&path, &self.candidate_record(), &options)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(NodeError::at(Doing::Join, &self.paths.candidates)(error).into()),
        }
    }

    /// Leaves the queue with all candidates and joins its end, in one step.
    pub async fn step_back(self, candidates: Vec<String>) -> Result<(), TaskError> {
        let (path, options) = self.new_candidate();
        let mut multi = self.session.client().new_multi_writer();
        let commit = async {
            for candidate in &candidates {
                multi.add_delete(&self.candidate_path(candidate), None)?;
            }
            multi.add_create(&path, &self.candidate_record(), &options)?;
            multi.commit().await.map_err(Error::from)
        };
        match commit.await {
            Ok(_) => Ok(()),
            Err(error) => Err(NodeError::at(Doing::Join, &self.paths.candidates)(error).into()),
        }
    }

    pub(super) fn new_candidate(&self) -> (String, CreateOptions<'_>) {
        let path = self.candidate_path(&Candidate::prefix(self.session.id(), self.session.host()));
        (
            path,
            CreateMode::EphemeralSequential.with_acls(self.session.acls()),
        )
    }

    /// Wakes the host that watches its candidate `name`: that is written again as it is.
    pub async fn wake(&self, name: &str) -> Result<(), TaskError> {
        let path = self.candidate_path(name);
        let client = self.session.client();
        let written = async {
            let (data, stat) = client.get_data(&path).await?;
            client.set_data(&path, &data, Some(stat.version)).await
        };
        match written.await {
            // It is gone, or somebody else wakes it.
            Ok(_) | Err(Error::NoNode | Error::BadVersion) => Ok(()),
            Err(error) => Err(NodeError::at(Doing::Join, &path)(error).into()),
        }
    }

    /// Watches the candidate `name` and this host's `own`. Gives no watches if one of the two is gone already.
    pub async fn watch_candidates(
        self,
        name: String,
        own: Option<String>,
    ) -> Result<Option<WatchSet>, TaskError> {
        let watched = try_join(self.watch_candidate(Some(name)), self.watch_candidate(own));
        let watched = watched
            .await
            .map_err(NodeError::at(Doing::Look, &self.paths.candidates))?;
        Ok(match watched {
            (Some(other), Some(own)) => Some(WatchSet::new(vec![other, own])),
            _ => None,
        })
    }

    pub(super) async fn watch_candidate(
        &self,
        name: Option<String>,
    ) -> Result<Option<OneshotWatcher>, Error> {
        let Some(candidate) = name.and_then(Candidate::read) else {
            return Ok(None);
        };
        let path = self.candidate_path(&candidate.name);
        let (stat, watcher) = self.session.client().check_and_watch_stat(&path).await?;
        // A watch on a missing node waits for its creation, and a node that is no candidate may never go: both watches would
        // never fire.
        Ok(stat
            .filter(|stat| candidate.is_held_by(stat.ephemeral_owner))
            .map(|_| watcher))
    }
}
