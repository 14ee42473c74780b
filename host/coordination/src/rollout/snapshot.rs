//! A task's state and the records of its schedules, as they are read in order to be copied, and what is written in one
//! transaction.

use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream, try_join};
use zookeeper_client::{CreateOptions, Error, MultiWriter};

use super::RolloutError;
use crate::error::{Doing, NodeError};
use crate::session::Session;
use soloist_core::records::TaskPaths;
use soloist_core::schedule::{self, SCHEDULES_MAX};
use soloist_core::state::{KEYS_MAX, VALUE_MAX_BYTES};

/// Reads under way at once. Heartbeats share the connection, and must not queue behind a flood.
pub(super) const READS_MAX: usize = 8;
/// A transaction has no more bytes than that, or a single value; a server refuses a megabyte.
const BATCH_MAX_BYTES: usize = 256 * 1024;
/// What an operation has in bytes besides its path and its value, at the most.
const OPERATION_BYTES: usize = 256;
/// A transaction has no more operations.
const BATCH_MAX: usize = 128;

/// Nodes of one kind, what is copied of them and where to.
pub(super) struct Kind<'a> {
    pub(super) own: &'a str,
    pub(super) saved: String,
    pub(super) keys_max: usize,
    pub(super) bytes_max: usize,
}

impl<'a> Kind<'a> {
    pub(super) fn all(paths: &'a TaskPaths) -> [Self; 2] {
        let saved = &paths.saved;
        [
            Kind {
                own: &paths.state,
                saved: format!("{saved}/state"),
                keys_max: KEYS_MAX,
                bytes_max: VALUE_MAX_BYTES,
            },
            Kind {
                own: &paths.schedules,
                saved: format!("{saved}/schedules"),
                keys_max: SCHEDULES_MAX,
                bytes_max: schedule::RECORD_MAX_BYTES,
            },
        ]
    }
}

/// A copy of the state that fits into one transaction beside what that one is for.
#[derive(Debug)]
pub(crate) struct SmallCopy(Vec<Change>);

impl SmallCopy {
    /// Reads what is to be copied. None if a part of a copy is there already, or if not all fits.
    ///
    /// # Errors
    /// If a node cannot be read, or is larger than any of the state.
    pub(crate) async fn read(
        session: &Session,
        paths: &TaskPaths,
    ) -> Result<Option<Self>, RolloutError> {
        let kinds = Kind::all(paths);
        let (is_there, names) = try_join!(
            is_there(session, &paths.saved),
            try_join_all(kinds.iter().map(|kind| children(session, kind.own)))
        )?;
        let fits = |(kind, names): (&Kind<'_>, &Vec<String>)| names.len() <= kind.keys_max;
        if is_there || !kinds.iter().zip(&names).all(fits) {
            return Ok(None);
        }
        let mut batch = Batch::default();
        for parent in [&paths.saved]
            .into_iter()
            .chain(kinds.iter().map(|kind| &kind.saved))
        {
            batch.add(Change::Create(parent.clone(), Vec::new()));
        }
        if batch.changes.len() + names.iter().map(Vec::len).sum::<usize>() > BATCH_MAX {
            return Ok(None);
        }
        let mut wanted = Vec::new();
        for (kind, names) in kinds.iter().zip(names) {
            let (own, saved) = (kind.own, &kind.saved);
            let place = |name| (format!("{own}/{name}"), format!("{saved}/{name}"));
            let places = names.into_iter().map(place);
            wanted.extend(places.map(|(own, copy)| (own, copy, kind.bytes_max)));
        }
        let values = wanted.into_iter().map(async |(own, copy, max)| {
            let value = value(session, &own, max).await?;
            Ok::<_, RolloutError>(value.map(|value| Change::Create(copy, value)))
        });
        let mut changes = stream::iter(values).buffered(READS_MAX);
        while let Some(change) = changes.try_next().await? {
            if change.and_then(|change| batch.add(change)).is_some() {
                return Ok(None);
            }
        }
        Ok(Some(Self(batch.changes)))
    }

    /// Adds the copy to a transaction.
    pub(crate) fn add(
        &self,
        multi: &mut MultiWriter<'_>,
        options: &CreateOptions<'_>,
    ) -> Result<(), Error> {
        add(multi, &self.0, options)
    }
}

/// What is done to a node.
#[derive(Debug)]
pub(super) enum Change {
    Create(String, Vec<u8>),
    Set(String, Vec<u8>),
    Delete(String),
}

/// Adds the changes to a transaction.
pub(super) fn add(
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

/// Changes that go into one transaction.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    /// Adds a change. If there is no room for it, it begins the next transaction, and what was there before is given.
    pub(super) fn add(&mut self, change: Change) -> Option<Vec<Change>> {
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

pub(super) async fn is_there(session: &Session, path: &str) -> Result<bool, NodeError> {
    let stat = session.client().check_stat(path).await;
    Ok(stat.map_err(NodeError::at(Doing::Read, path))?.is_some())
}

/// The names of what is below a node; none if that is not there.
pub(super) async fn children(session: &Session, parent: &str) -> Result<Vec<String>, NodeError> {
    match session.client().list_children(parent).await {
        Err(Error::NoNode) => Ok(Vec::new()),
        listed => listed.map_err(NodeError::at(Doing::Read, parent)),
    }
}

/// The value of a node, if it is there.
pub(super) async fn value(
    session: &Session,
    path: &str,
    max: usize,
) -> Result<Option<Vec<u8>>, RolloutError> {
    match session.client().get_data(path).await {
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
