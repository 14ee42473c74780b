//! The copy of a task's state, and of the records of its schedules: what a generation that is taken back has changed is changed
//! back.
//!
//! A copy is many transactions. Each one checks the term and the record of the rollout, and the record says that all are done
//! only afterwards. Whoever is interrupted is followed by another leader, who begins anew: what is equal already is not written
//! again.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream, try_join};
use zookeeper_client::{CreateMode, CreateOptions, Error, MultiWriter};

use super::{RolloutError, RolloutNodes, Stopped, Written};
use crate::error::{Doing, NodeError};
use crate::fence::Fence;
use soloist_core::records::RolloutRecord;
use soloist_core::schedule::{self, SCHEDULES_MAX};
use soloist_core::state::{KEYS_MAX, VALUE_MAX_BYTES};

/// Reads under way at once. Heartbeats share the connection, and must not queue behind a flood.
const READS_MAX: usize = 8;
/// A transaction has no more bytes than that, or a single value; a server refuses a megabyte.
const BATCH_MAX_BYTES: usize = 256 * 1024;
/// What an operation has in bytes besides its path and its value, at the most.
const OPERATION_BYTES: usize = 256;
/// A transaction has no more operations.
const BATCH_MAX: usize = 128;

/// Nodes of one kind, what is copied of them and where to.
struct Kind<'a> {
    own: &'a str,
    saved: String,
    keys_max: usize,
    bytes_max: usize,
}

/// What is done to a node.
enum Change {
    Create(String, Vec<u8>),
    Set(String, Vec<u8>),
    Delete(String),
}

impl RolloutNodes {
    /// Copies the state and the records of the schedules, then writes `then` over the record with the data version `over`.
    ///
    /// # Errors
    /// If a node cannot be read or written, or cannot be part of the state.
    ///
    /// # Cancellation safety
    /// Dropped, a part is done. The record tells whether all is.
    pub async fn copy(&self, then: &RolloutRecord, over: i32) -> Result<Written, RolloutError> {
        if let Some(written) = self.copy_at_once(then, over).await? {
            return Ok(written);
        }
        let copied = async {
            for kind in self.kinds() {
                self.make_parents(&[&self.paths.saved, &kind.saved], over)
                    .await?;
                self.make_equal((kind.own, &kind.saved), &kind, over)
                    .await?;
            }
            Ok(())
        };
        self.then_write(copied.await, then, over).await
    }

    /// Copies and writes in one transaction, where nothing is left of a copy before and all fits: nobody runs the task meanwhile.
    /// None if that is not so, or if it is not known whether it was done; then each step finds out what is to be done.
    async fn copy_at_once(
        &self,
        then: &RolloutRecord,
        over: i32,
    ) -> Result<Option<Written>, RolloutError> {
        let kinds = self.kinds();
        let saved = &self.paths.saved;
        let (is_there, names) = try_join!(
            self.is_there(saved),
            try_join_all(kinds.iter().map(|kind| self.children(kind.own)))
        )?;
        let fits = |(kind, names): (&Kind<'_>, &Vec<String>)| names.len() <= kind.keys_max;
        if is_there || !kinds.iter().zip(&names).all(fits) {
            return Ok(None);
        }
        let mut wanted = Vec::new();
        for (kind, names) in kinds.iter().zip(names) {
            let place = |name| {
                (
                    format!("{}/{name}", kind.own),
                    format!("{}/{name}", kind.saved),
                )
            };
            let places = names.into_iter().map(place);
            wanted.extend(places.map(|(own, copy)| (own, copy, kind.bytes_max)));
        }
        let values = wanted.into_iter().map(async |(own, copy, max)| {
            let value = self.value(&own, max).await?;
            Ok::<_, RolloutError>(value.map(|value| Change::Create(copy, value)))
        });
        let mut batch = Batch::default();
        for parent in [saved]
            .into_iter()
            .chain(kinds.iter().map(|kind| &kind.saved))
        {
            batch.add(Change::Create(parent.clone(), Vec::new()));
        }
        let mut changes = stream::iter(values).buffered(READS_MAX);
        while let Some(change) = changes.try_next().await? {
            if change.and_then(|change| batch.add(change)).is_some() {
                return Ok(None);
            }
        }
        let data = self.encode(then)?;
        let options = CreateMode::Persistent.with_acls(self.session.acls());
        let record = NodeError::at(Doing::Write, &self.paths.manifest);
        let mut multi = self.session.client().new_multi_writer();
        self.fence
            .check(&mut multi)
            .and_then(|()| multi.add_set_data(&self.paths.manifest, &data, Some(over)))
            .and_then(|()| add(&mut multi, &batch.changes, &options))
            .map_err(record)?;
        Ok(match multi.commit().await {
            Ok(_) => Some(Written::Done(over.wrapping_add(1))),
            Err(refused) if Fence::has_refused(&refused) => Some(Written::TermOver),
            Err(_) => None,
        })
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
            for kind in self.kinds() {
                let path = kind.saved;
                if !self.is_there(&path).await? {
                    return Err(RolloutError::NoCopy { path }.into());
                }
            }
            for kind in self.kinds() {
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
            for Kind { saved, .. } in self.kinds() {
                let names = self.children(&saved).await?;
                self.change_all(&saved, over, deletions(&saved, names))
                    .await?;
            }
            let parents = self.kinds().map(|kind| kind.saved);
            for path in parents.iter().chain([&self.paths.saved]) {
                if self.is_there(path).await? {
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

    fn kinds(&self) -> [Kind<'_>; 2] {
        let saved = &self.paths.saved;
        [
            Kind {
                own: &self.paths.state,
                saved: format!("{saved}/state"),
                keys_max: KEYS_MAX,
                bytes_max: VALUE_MAX_BYTES,
            },
            Kind {
                own: &self.paths.schedules,
                saved: format!("{saved}/schedules"),
                keys_max: SCHEDULES_MAX,
                bytes_max: schedule::RECORD_MAX_BYTES,
            },
        ]
    }

    async fn is_there(&self, path: &str) -> Result<bool, NodeError> {
        let stat = self.session.client().check_stat(path).await;
        Ok(stat.map_err(NodeError::at(Doing::Read, path))?.is_some())
    }

    async fn make_parents(&self, paths: &[&str], over: i32) -> Result<(), Stopped> {
        for path in paths {
            if !self.is_there(path).await? {
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
        let (names, there) = (self.children(from).await?, self.children(to).await?);
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
            let value = self
                .value(&format!("{from}/{name}"), kind.bytes_max)
                .await?;
            let Some(value) = value else { return Ok(None) };
            if !there.contains(&name) {
                return Ok(Some(Change::Create(path, value)));
            }
            let is_equal = self.value(&path, usize::MAX).await?.as_ref() == Some(&value);
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

    /// The value of a node, if it is there.
    async fn value(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, RolloutError> {
        match self.session.client().get_data(path).await {
            Ok((value, _)) if value.len() > max => Err(RolloutError::TooLarge {
                path: path.to_owned(),
                bytes: value.len(),
                max,
            }),
            Ok((value, _)) => Ok(Some(value)),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error).into()),
        }
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
        self.commit(over, parent, |multi| add(multi, &changes, &options))
            .await
    }
}

/// Adds the changes to a transaction.
fn add(
    multi: &mut MultiWriter<'_>,
    changes: &[Change],
    options: &CreateOptions<'_>,
) -> Result<(), Error> {
    changes.iter().try_for_each(|change| match change {
        Change::Create(path, value) => multi.add_create(path, value, options),
        Change::Set(path, value) => multi.add_set_data(path, value, None),
        Change::Delete(path) => multi.add_delete(path, None),
    })
}

fn deletions(
    parent: &str,
    names: impl IntoIterator<Item = String>,
) -> impl Iterator<Item = Change> {
    names
        .into_iter()
        .map(move |name| Change::Delete(format!("{parent}/{name}")))
}

/// Changes that go into one transaction.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    /// Adds a change. If there is no room for it, it begins the next transaction, and what was there before is given.
    fn add(&mut self, change: Change) -> Option<Vec<Change>> {
        let bytes = OPERATION_BYTES
            + match &change {
                Change::Create(path, value) | Change::Set(path, value) => path.len() + value.len(),
                Change::Delete(path) => path.len(),
            };
        let is_full = self.changes.len() >= BATCH_MAX || self.bytes + bytes > BATCH_MAX_BYTES;
        let full = (is_full && !self.changes.is_empty()).then(|| {
            self.bytes = 0;
            std::mem::take(&mut self.changes)
        });
        self.changes.push(change);
        self.bytes += bytes;
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of the values of each transaction.
    fn batches(values: &[usize]) -> Vec<Vec<usize>> {
        let mut batch = Batch::default();
        let create = |bytes: &usize| Change::Create("/a".into(), vec![0; *bytes]);
        let mut all: Vec<_> = values
            .iter()
            .filter_map(|it| batch.add(create(it)))
            .collect();
        all.push(batch.changes);
        let bytes = |change: Change| match change {
            Change::Create(_, value) | Change::Set(_, value) => value.len(),
            Change::Delete(_) => 0,
        };
        let lengths = |changes: Vec<Change>| changes.into_iter().map(bytes).collect();
        all.into_iter().map(lengths).collect()
    }

    #[test]
    fn a_transaction_is_small_or_has_a_single_value() {
        let (half, most) = (BATCH_MAX_BYTES / 2, VALUE_MAX_BYTES);
        assert_eq!(batches(&[]), [Vec::<usize>::new()]);
        assert_eq!(
            batches(&[1, most, most, 2, half, half, 3]),
            [
                vec![1],
                vec![most],
                vec![most],
                vec![2, half],
                vec![half, 3]
            ]
        );
        let many = batches(&[0; 2 * BATCH_MAX + 1]);
        let lengths: Vec<_> = many.iter().map(Vec::len).collect();
        assert_eq!(lengths, [BATCH_MAX, BATCH_MAX, 1]);
    }
}
