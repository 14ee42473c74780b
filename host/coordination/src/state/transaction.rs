//! Several nodes that are written together or not at all.
//!
//! Every part is written over the very version that was read before, so an attempt that was cut off and is made again can
//! be done once at the most; whether it has been, the nodes themselves tell.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use zookeeper_client::{CreateMode, Error, MultiWriteResult};

use super::{Attempts, Fence, READS_MAX, Refused, TaskState};
use soloist_core::records;
use soloist_core::state::{Entry, Operation, Refusal, StateError};

/// What a node has to be before, and what becomes of it.
pub(super) struct Part<'a> {
    path: String,
    /// The operation that it comes from, if it does; of two, the one that writes.
    at: Option<usize>,
    expected: Expected<'a>,
    change: Option<Change<'a>>,
}

enum Expected<'a> {
    Anything,
    Version(Option<u64>),
    /// These bytes, or no node.
    Bytes(Option<&'a [u8]>),
}

enum Change<'a> {
    Set(&'a [u8]),
    Delete,
}

/// A transaction has been done; what it set has this version.
#[derive(Debug, PartialEq, Eq)]
struct Done(Option<u64>);

/// A node as it was read: its entry, and the data version that it has.
type Seen = Option<(Entry, i32)>;

/// The parts of a transaction, one for each key.
pub(super) fn parts<'a>(
    operations: &'a [Operation],
    path: impl Fn(&str) -> String,
) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        let path = path(operation.key());
        let known = parts.iter().position(|part| part.path == path);
        let index = known.unwrap_or_else(|| {
            let (expected, change) = (Expected::Anything, None);
            parts.push(Part {
                path,
                at: Some(at),
                expected,
                change,
            });
            parts.len() - 1
        });
        let part = &mut parts[index];
        match operation {
            Operation::Check { expected, .. } => part.expected = Expected::Version(*expected),
            Operation::Set { value, .. } => part.change_to(Change::Set(value), at),
            Operation::Delete { .. } => part.change_to(Change::Delete, at),
        }
    }
    parts
}

/// A record that is written over these bytes, or created; it differs from them.
pub(super) fn record<'a>(path: String, over: Option<&'a [u8]>, record: &'a [u8]) -> Part<'a> {
    Part {
        path,
        at: None,
        expected: Expected::Bytes(over),
        change: Some(Change::Set(record)),
    }
}

impl<'a> Part<'a> {
    fn change_to(&mut self, change: Change<'a>, at: usize) {
        self.change = Some(change);
        self.at = Some(at);
    }

    fn refused(&self, error: StateError) -> Refusal {
        Refusal { at: self.at, error }
    }

    /// Whether the node is as it has to be.
    fn check(&self, seen: &Seen) -> Result<(), Refusal> {
        let version = version(seen);
        let is_expected = match self.expected {
            Expected::Anything => true,
            Expected::Version(expected) => expected == version,
            Expected::Bytes(expected) => {
                expected == seen.as_ref().map(|(entry, _)| entry.value.as_slice())
            }
        };
        if is_expected {
            Ok(())
        } else {
            Err(self.refused(StateError::Changed(version)))
        }
    }

    /// How many bytes it writes.
    fn bytes(&self) -> usize {
        match self.change {
            Some(Change::Set(value)) => value.len(),
            _ => 0,
        }
    }

    /// How many nodes more there will be.
    fn grows(&self, seen: &Seen) -> i64 {
        match (&self.change, seen) {
            (Some(Change::Set(_)), None) => 1,
            (Some(Change::Delete), Some(_)) => -1,
            _ => 0,
        }
    }

    /// Whether the node is created, if only for the time of the transaction: a node that is not there cannot be checked,
    /// but cannot be created either if it is there.
    fn creates(&self, seen: &Seen) -> bool {
        seen.is_none()
            && (matches!(self.change, Some(Change::Set(_)))
                || matches!(self.expected, Expected::Version(None)))
    }
}

fn version(seen: &Seen) -> Option<u64> {
    seen.as_ref().map(|(entry, _)| entry.version)
}

/// Whether a transaction has been done since the nodes were as in `before`.
fn done(parts: &[Part<'_>], before: &[Option<u64>], now: &[Seen]) -> Option<Done> {
    let mut written = BTreeSet::new();
    let mut has_deleted = false;
    for ((part, before), now) in parts.iter().zip(before).zip(now) {
        match (&part.change, now) {
            (Some(Change::Set(value)), Some((entry, _)))
                if entry.value == *value && Some(entry.version) > *before =>
            {
                written.insert(entry.version);
            }
            (Some(Change::Set(_)), _) | (Some(Change::Delete), Some(_)) => return None,
            (Some(Change::Delete), None) => has_deleted |= before.is_some(),
            (None, _) => {}
        }
    }
    match (written.len(), written.first()) {
        // All that one transaction sets has the same version.
        (1, version) => Some(Done(version.copied())),
        (0, _) if has_deleted => Some(Done(None)),
        _ => None,
    }
}

impl TaskState {
    /// Does all parts or none, if the term lasts; gives the version that all have that were set.
    pub(super) async fn write_all(&self, parts: &[Part<'_>]) -> Result<Option<u64>, Refusal> {
        let bytes = parts.iter().map(Part::bytes).sum();
        let told = |refused: Refused| match refused {
            Refused::State(error) => Refusal::from(error),
            refused => refused.told_of(&self.paths.state, bytes).into(),
        };
        let mut attempts = Attempts::new();
        let mut first: Option<Vec<Option<u64>>> = None;
        loop {
            let mut seen = Vec::with_capacity(parts.len());
            // Heartbeats share the connection, and must not queue behind all that a transaction reads.
            for parts in parts.chunks(READS_MAX as usize) {
                let reads = parts.iter().map(|part| self.read(&part.path));
                seen.extend(try_join_all(reads).await.map_err(told)?);
            }
            let before = first.get_or_insert_with(|| seen.iter().map(version).collect());
            if attempts.was_cut_off()
                && let Some(Done(version)) = done(parts, before, &seen)
            {
                return Ok(version);
            }
            for (part, seen) in parts.iter().zip(&seen) {
                part.check(seen)?;
            }
            match self.try_write_all(parts, &seen).await {
                Err(refused) if refused.may_pass() => {
                    attempts.again(refused).await.map_err(told)?;
                }
                written => return written.map_err(told),
            }
        }
    }

    async fn try_write_all(
        &self,
        parts: &[Part<'_>],
        seen: &[Seen],
    ) -> Result<Option<u64>, Refused> {
        let missing = self.missing_parents(parts, seen).await?;
        let options = CreateMode::Persistent.with_acls(self.session.acls());
        let mut multi = self.session.client().new_multi_writer();
        self.fence.check(&mut multi)?;
        for parent in &missing {
            multi.add_create(parent, b"", &options)?;
        }
        for (part, seen) in parts.iter().zip(seen) {
            let path = &part.path;
            if part.creates(seen) {
                multi.add_create(path, b"", &options)?;
                match part.change {
                    // A transaction tells the zxid of what it sets, not always that of what it creates.
                    Some(Change::Set(value)) => multi.add_set_data(path, value, None)?,
                    _ => multi.add_delete(path, None)?,
                }
            } else if let Some((_, version)) = seen {
                match part.change {
                    Some(Change::Set(value)) => multi.add_set_data(path, value, Some(*version))?,
                    Some(Change::Delete) => multi.add_delete(path, Some(*version))?,
                    None => multi.add_check_version(path, *version)?,
                }
            }
        }
        match multi.commit().await {
            Ok(results) => Ok(results.iter().rev().find_map(|result| match result {
                MultiWriteResult::SetData { stat } => Some(stat.mzxid.unsigned_abs()),
                _ => None,
            })),
            Err(error) if Fence::has_refused(&error) => Err(Refused::State(StateError::Fenced)),
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// The parents that are not there of nodes that are to be created, if there is room for these.
    async fn missing_parents(
        &self,
        parts: &[Part<'_>],
        seen: &[Seen],
    ) -> Result<Vec<String>, Refused> {
        let both = || parts.iter().zip(seen);
        let created = both().filter(|(part, seen)| part.creates(seen));
        let parents: BTreeSet<&str> = created
            .filter_map(|(part, _)| records::parent(&part.path))
            .collect();
        let mut missing = Vec::new();
        for parent in parents {
            let stat = self.session.client().check_stat(parent).await?;
            let children = stat.as_ref().map_or(0, |stat| stat.num_children);
            let grows: i64 = both()
                .filter(|(part, _)| records::parent(&part.path) == Some(parent))
                .map(|(part, seen)| part.grows(seen))
                .sum();
            let max = i64::try_from(self.children_max(parent)).unwrap_or(i64::MAX);
            if grows > 0 && i64::from(children) + grows > max {
                return Err(Refused::State(StateError::TooMany));
            }
            if stat.is_none() {
                missing.push(parent.to_owned());
            }
        }
        Ok(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &str, version: u64) -> (Entry, i32) {
        let value = value.into();
        (Entry { value, version }, 0)
    }

    fn set(key: &str, value: &str) -> Operation {
        Operation::Set {
            key: key.into(),
            value: value.into(),
        }
    }

    #[test]
    fn nodes_tell_whether_an_attempt_that_was_cut_off_has_been_done() {
        let delete = Operation::Delete { key: "c".into() };
        let operations = [set("a", "1"), set("b", "2"), delete];
        let parts = parts(&operations, |key| format!("/{key}"));
        let before = [Some(5), None, Some(6)];
        let done = |now: [Seen; 3]| done(&parts, &before, &now);
        assert_eq!(
            done([Some(entry("1", 9)), Some(entry("2", 9)), None]),
            Some(Done(Some(9)))
        );
        for undone in [
            [Some(entry("1", 5)), None, Some(entry("3", 6))],
            // Somebody else has written a part of it.
            [Some(entry("1", 9)), Some(entry("2", 8)), None],
            [Some(entry("1", 9)), Some(entry("3", 9)), None],
            [
                Some(entry("1", 9)),
                Some(entry("2", 9)),
                Some(entry("3", 6)),
            ],
            [Some(entry("1", 5)), Some(entry("2", 5)), None],
        ] {
            assert_eq!(done(undone), None);
        }
    }

    #[test]
    fn what_is_only_deleted_or_checked_is_known_as_well() {
        let delete = [Operation::Delete { key: "a".into() }];
        let parts_of = |operations: &'static [Operation]| parts(operations, str::to_owned);
        assert_eq!(
            done(&parts(&delete, str::to_owned), &[Some(1)], &[None]),
            Some(Done(None))
        );
        assert_eq!(done(&parts(&delete, str::to_owned), &[None], &[None]), None);
        assert!(done(&parts_of(&[]), &[], &[]).is_none());
    }

    #[test]
    fn a_key_that_is_checked_and_written_is_one_part() {
        let check = Operation::Check {
            key: "a".into(),
            expected: None,
        };
        for operations in [
            [check.clone(), set("a", "1")],
            [set("a", "1"), check.clone()],
        ] {
            let parts = parts(&operations, |key| format!("/{key}"));
            let [part] = &parts[..] else {
                panic!("{} parts", parts.len())
            };
            assert!(part.creates(&None) && part.check(&None).is_ok());
            let refusal = part.check(&Some(entry("0", 3))).unwrap_err();
            assert_eq!(refusal.error, StateError::Changed(Some(3)));
        }
    }
}
