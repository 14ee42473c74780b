//! The copy of a task's state, and of the records of its schedules: what a generation that is taken back has changed is changed
//! back.
//!
//! A small copy is part of the transaction of an election: see [`SmallCopy`](snapshot::SmallCopy). Any other one is made by the
//! leader, in many transactions. Each one checks the term and the record of the rollout, and the record says that all are done
//! only afterwards. Whoever is interrupted is followed by another leader, who begins anew: what is equal already is not written
//! again.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use zookeeper_client::CreateMode;

use super::snapshot::{self, Batch, Change, Kind, READS_MAX};
use super::{RolloutError, RolloutNodes, Stopped, Written};
use soloist_core::records::RolloutRecord;

impl RolloutNodes {
    /// Copies the state and the records of the schedules, then writes `then` over the record with the data version `over`.
    ///
    /// # Errors
    /// If a node cannot be read or written, or cannot be part of the state.
    ///
    /// # Cancellation safety
    /// Dropped, a part is done. The record tells whether all is.
    pub async fn copy(&self, then: &RolloutRecord, over: i32) -> Result<Written, RolloutError> {
        let copied = async {
            for kind in Kind::all(&self.paths) {
                self.make_parents(&[&self.paths.saved, &kind.saved], over)
                    .await?;
                self.make_equal((kind.own, &kind.saved), &kind, over)
                    .await?;
            }
            Ok(())
        };
        self.then_write(copied.await, then, over).await
    }

    /// Makes the state and the records of the schedules what the copy says, then writes `then` over the record with the data
    /// version `over`.
    ///
    /// # Errors
    /// If a node cannot be read or written, or the copy is gone.
    ///
    /// # Cancellation safety
    /// Dropped, a part is done. The record tells whether all is.
    pub async fn restore(&self, then: &RolloutRecord, over: i32) -> Result<Written, RolloutError> {
        let restored = async {
            // An empty state is restored as one; a copy that somebody has deleted is not taken for an empty state.
            for kind in Kind::all(&self.paths) {
                let path = kind.saved;
                if !snapshot::is_there(&self.session, &path).await? {
                    return Err(RolloutError::NoCopy { path }.into());
                }
            }
            for kind in Kind::all(&self.paths) {
                self.make_parents(&[kind.own], over).await?;
                self.make_equal((&kind.saved, kind.own), &kind, over)
                    .await?;
            }
            Ok(())
        };
        self.then_write(restored.await, then, over).await
    }

    /// Deletes the copy, then writes `then` over the record with the data version `over`.
    ///
    /// # Errors
    /// If a node cannot be deleted.
    ///
    /// # Cancellation safety
    /// Dropped, a part is done. The record tells whether all is.
    pub async fn drop_copy(
        &self,
        then: &RolloutRecord,
        over: i32,
    ) -> Result<Written, RolloutError> {
        let dropped = async {
            for Kind { saved, .. } in Kind::all(&self.paths) {
                let names = snapshot::children(&self.session, &saved).await?;
                self.change_all(&saved, over, deletions(&saved, names))
                    .await?;
            }
            let parents = Kind::all(&self.paths).map(|kind| kind.saved);
            for path in parents.iter().chain([&self.paths.saved]) {
                if snapshot::is_there(&self.session, path).await? {
                    self.commit(over, path, |multi| multi.add_delete(path, None))
                        .await?;
                }
            }
            Ok(())
        };
        self.then_write(dropped.await, then, over).await
    }

    async fn then_write(
        &self,
        done: Result<(), Stopped>,
        then: &RolloutRecord,
        over: i32,
    ) -> Result<Written, RolloutError> {
        match done {
            Ok(()) => self.write(then, over).await,
            Err(Stopped::Overtaken) => Ok(Written::Overtaken),
            Err(Stopped::TermOver) => Ok(Written::TermOver),
            Err(Stopped::Failed(error)) => Err(error),
        }
    }

    async fn make_parents(&self, paths: &[&str], over: i32) -> Result<(), Stopped> {
        for path in paths {
            if !snapshot::is_there(&self.session, path).await? {
                let options = CreateMode::Persistent.with_acls(self.session.acls());
                self.commit(over, path, |multi| multi.add_create(path, b"", &options))
                    .await?;
            }
        }
        Ok(())
    }

    /// Makes what is below `to` equal to what is below `from`.
    async fn make_equal(
        &self,
        (from, to): (&str, &str),
        kind: &Kind<'_>,
        over: i32,
    ) -> Result<(), Stopped> {
        let (names, there) = (
            snapshot::children(&self.session, from).await?,
            snapshot::children(&self.session, to).await?,
        );
        let (keys, max) = (names.len(), kind.keys_max);
        if keys > max {
            let path = from.to_owned();
            return Err(RolloutError::TooMany { path, keys, max }.into());
        }
        let there: BTreeSet<String> = there.into_iter().collect();
        let mut unwanted = there.clone();
        for name in &names {
            unwanted.remove(name);
        }
        self.change_all(to, over, deletions(to, unwanted)).await?;
        let changes = names.into_iter().map(async |name| {
            let path = format!("{to}/{name}");
            let from = format!("{from}/{name}");
            let value = snapshot::value(&self.session, &from, kind.bytes_max).await?;
            let Some(value) = value else { return Ok(None) };
            if !there.contains(&name) {
                return Ok(Some(Change::Create(path, value)));
            }
            let is_equal = snapshot::value(&self.session, &path, usize::MAX)
                .await?
                .as_ref()
                == Some(&value);
            Ok((!is_equal).then_some(Change::Set(path, value)))
        });
        let mut changes = stream::iter(changes).buffered(READS_MAX);
        let mut batch = Batch::default();
        while let Some(change) = changes.try_next().await.map_err(Stopped::Failed)? {
            if let Some(full) = change.and_then(|change| batch.add(change)) {
                self.change(to, over, full).await?;
            }
        }
        self.change(to, over, batch.changes).await
    }

    async fn change_all(
        &self,
        parent: &str,
        over: i32,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), Stopped> {
        let mut batch = Batch::default();
        for change in changes {
            if let Some(full) = batch.add(change) {
                self.change(parent, over, full).await?;
            }
        }
        self.change(parent, over, batch.changes).await
    }

    async fn change(&self, parent: &str, over: i32, changes: Vec<Change>) -> Result<(), Stopped> {
        if changes.is_empty() {
            return Ok(());
        }
        let options = CreateMode::Persistent.with_acls(self.session.acls());
        self.commit(over, parent, |multi| {
            snapshot::add(multi, &changes, &options)
        })
        .await
    }
}

fn deletions(
    parent: &str,
    names: impl IntoIterator<Item = String>,
) -> impl Iterator<Item = Change> {
    names
        .into_iter()
        .map(move |name| Change::Delete(format!("{parent}/{name}")))
}
