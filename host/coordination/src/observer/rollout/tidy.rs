//! Generations and artefacts that nobody needs any more.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use zookeeper_client::Error;

use super::{Observer, ObserverError, READS_MAX};
use crate::artefacts::ArtefactError;
use crate::error::{Doing, NodeError};
use soloist_core::digest::Digest;
use soloist_core::records::{self, RolloutRecord, TaskPaths};
use soloist_core::rollout::expendable;

/// An upload that has not been finished in so many milliseconds never will be.
const UPLOAD_MILLIS_MAX: i64 = 60 * 60 * 1000;
/// How many digits a digest has.
const DIGITS: usize = 64;

impl Observer {
    /// Deletes the generations of a task that nobody needs any more; gives their numbers.
    ///
    /// # Errors
    /// [`ObserverError::Node`].
    ///
    /// # Cancellation safety
    /// Dropped, some of them are left for the next time.
    pub async fn prune(
        &self,
        task: &str,
        record: &RolloutRecord,
    ) -> Result<Vec<u64>, ObserverError> {
        // What the record does not name, no later record will.
        let numbers = expendable(record, self.generations(task).await?);
        let paths = self.paths(task);
        for number in &numbers {
            let path = paths.generation(*number);
            match self.client.delete(&path, None).await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(NodeError::at(Doing::Write, &path)(error).into()),
            }
        }
        Ok(numbers)
    }

    /// Removes the artefacts that no generation of any task names, and what is left of uploads that were cut off long before
    /// the rollout of `task` was changed last; says how many artefacts were removed.
    ///
    /// An artefact that another operator is about to deploy may be removed as well: that operator's transaction fails then, and
    /// puts it there again. One that was deployed since the artefacts were listed has another version, and stays.
    ///
    /// # Errors
    /// [`ObserverError::Node`], [`ObserverError::Artefact`].
    ///
    /// # Cancellation safety
    /// Dropped, some of them are left for the next time.
    pub async fn sweep(&self, task: &str) -> Result<usize, ObserverError> {
        let artefacts = self.artefacts();
        self.catch_up().await?;
        let kept = artefacts.sweep(self.upload_oldest(task).await?).await?;
        if kept.is_empty() {
            return Ok(0);
        }
        let digests = kept.iter().map(|(digest, _)| *digest).collect();
        let named = self.named(&digests).await?;
        let mut removed = 0;
        for (digest, stored) in &kept {
            if !named.contains(digest) {
                artefacts.remove(stored).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Before which time, by the ensemble's clock, an upload has begun that nobody will finish.
    async fn upload_oldest(&self, task: &str) -> Result<i64, NodeError> {
        let changed = self.data(&self.paths(task).manifest).await?;
        Ok(changed.map_or(0, |(_, stat)| stat.mtime) - UPLOAD_MILLIS_MAX)
    }

    /// Which of the digests stand in any generation of any task, in whatever version of the format.
    async fn named(&self, digests: &HashSet<Digest>) -> Result<HashSet<Digest>, NodeError> {
        let tasks = self.children(&records::tasks_path(&self.root)).await?;
        let lists = tasks.into_iter().map(async |task| {
            let parent = TaskPaths::new(&self.root, &task, None).generations;
            let names = self.children(&parent).await?.into_iter();
            Ok::<_, NodeError>(names.map(|name| format!("{parent}/{name}")).collect())
        });
        let lists: Vec<Vec<String>> = stream::iter(lists)
            .buffered(READS_MAX)
            .try_collect()
            .await?;
        let reads = lists.into_iter().flatten();
        let reads = reads.map(async |path| self.data(&path).await);
        let read = stream::iter(reads).buffered(READS_MAX);
        read.try_fold(HashSet::new(), async |mut named, node| {
            if let Some((data, _)) = node {
                let found = digests_in(&data).filter(|digest| digests.contains(digest));
                named.extend(found);
            }
            Ok(named)
        })
        .await
    }
}

impl From<ArtefactError> for ObserverError {
    fn from(error: ArtefactError) -> Self {
        match error {
            ArtefactError::Node(error) => Self::Node(error),
            error => Self::Artefact(Box::new(error)),
        }
    }
}

/// All that looks like a digest.
fn digests_in(data: &[u8]) -> impl Iterator<Item = Digest> {
    let runs = data.split(|byte| !byte.is_ascii_hexdigit());
    runs.filter(|run| run.len() == DIGITS)
        .filter_map(|run| Digest::parse(str::from_utf8(run).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_wherever_they_stand() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let text =
            format!("{{\\\"sha256\\\": \\\"{one}\\\", \"x\": \"a{other}\", \"y\":\"{other}\"}}");
        let found: Vec<_> = digests_in(text.as_bytes()).collect();
        assert_eq!(found, [one, other]);
    }
}
