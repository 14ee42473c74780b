//! A task's state that no other host shares.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

use futures::future::BoxFuture;
use soloist_core::schedule::SCHEDULES_MAX;
use soloist_core::state::{
    Entry, KEYS_MAX, Operation, RecordWrite, Refusal, State, StateError, check_key,
    check_transaction, check_value,
};
use tokio::sync::watch;

/// A task's state in memory. It keeps the rules of the real one: the same keys, sizes and versions are refused.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<Kept>,
    /// While it is `true`, calls wait; when it becomes `false`, they go on.
    pub held: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<String, Entry>,
    schedules: BTreeMap<String, Vec<u8>>,
    writes: u64,
    written_bytes: u64,
    refusal: Option<StateError>,
}

impl Memory {
    /// The value of a key, as a test sees it: it is read even while calls are held back or refused.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.kept()
            .entries
            .get(key)
            .map(|entry| entry.value.clone())
    }

    /// The record of a schedule, as a test sees it.
    pub fn schedule(&self, name: &str) -> Option<Vec<u8>> {
        self.kept().schedules.get(name).cloned()
    }

    /// Writes the record of a schedule, as somebody else might.
    pub fn set_schedule(&self, name: &str, record: &[u8]) {
        self.kept()
            .schedules
            .insert(name.to_owned(), record.to_vec());
    }

    /// The bytes of all values that are kept.
    pub fn bytes(&self) -> usize {
        self.kept()
            .entries
            .values()
            .map(|entry| entry.value.len())
            .sum()
    }

    /// Tells this state from any other, without its versions; and the bytes of all values.
    pub fn fingerprint(&self) -> (u64, usize) {
        let kept = self.kept();
        let mut hasher = DefaultHasher::new();
        let mut bytes = 0;
        for (key, entry) in &kept.entries {
            (key, &entry.value).hash(&mut hasher);
            bytes += entry.value.len();
        }
        (hasher.finish(), bytes)
    }

    /// The number of writes so far; a refused one does not count.
    pub fn writes(&self) -> u64 {
        self.kept().writes
    }

    /// The bytes of all writes so far, values that were replaced included.
    pub fn written_bytes(&self) -> u64 {
        self.kept().written_bytes
    }

    /// Makes every further call of the plugin fail with this error.
    pub fn refuse(&self, error: StateError) {
        self.kept().refusal = Some(error);
    }

    /// Answers the plugin's calls again: none fails, and none is held back.
    pub fn answer(&self) {
        self.kept().refusal = None;
        self.held.send_replace(false);
    }

    /// Writes an entry, as an earlier term might have, even while calls are held back or refused.
    ///
    /// # Errors
    /// [`StateError`], where the plugin's own write would be refused for good.
    pub fn put(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        self.kept()
            .write(key.to_owned(), value.to_owned())
            .map(drop)
    }

    /// All entries, by their keys.
    pub fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        let kept = self.kept();
        let entries = kept.entries.iter();
        entries
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .expect("nobody panics while it holds the lock")
    }

    fn call<'a, T: Send, E: From<StateError> + Send>(
        &'a self,
        call: impl FnOnce(&mut Kept) -> Result<T, E> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, E>> {
        Box::pin(async {
            let _ = self.held.subscribe().wait_for(|held| !held).await;
            let mut kept = self.kept();
            match &kept.refusal {
                Some(error) => Err(error.clone().into()),
                None => call(&mut kept),
            }
        })
    }
}

impl Kept {
    fn write(&mut self, key: String, value: Vec<u8>) -> Result<u64, StateError> {
        check_key(&key)?;
        check_value(&value)?;
        if !self.entries.contains_key(&key) && self.entries.len() >= KEYS_MAX {
            return Err(StateError::TooMany);
        }
        self.writes += 1;
        self.written_bytes += value.len() as u64;
        self.entries.insert(
            key,
            Entry {
                value,
                version: self.writes,
            },
        );
        Ok(self.writes)
    }

    /// Every entry that is set has the version of one write.
    fn transact(&mut self, operations: Vec<Operation>) -> Result<Option<u64>, Refusal> {
        check_transaction(&operations)?;
        for (index, operation) in operations.iter().enumerate() {
            let Operation::Check { key, expected } = operation else {
                continue;
            };
            let version = self.entries.get(key).map(|entry| entry.version);
            if version != *expected {
                return Err(Refusal {
                    at: Some(index),
                    error: StateError::Changed(version),
                });
            }
        }
        let is_new = |key: &str| !self.entries.contains_key(key);
        let (mut more, mut fewer) = (0, 0);
        for operation in &operations {
            match operation {
                Operation::Set { key, .. } if is_new(key) => more += 1,
                Operation::Delete { key } if !is_new(key) => fewer += 1,
                _ => {}
            }
        }
        if more > 0 && self.entries.len() + more > KEYS_MAX + fewer {
            return Err(StateError::TooMany.into());
        }
        let has_set = operations
            .iter()
            .any(|operation| matches!(operation, Operation::Set { .. }));
        self.writes += u64::from(has_set);
        let version = self.writes;
        for operation in operations {
            match operation {
                Operation::Check { .. } => {}
                Operation::Set { key, value } => {
                    self.written_bytes += value.len() as u64;
                    self.entries.insert(key, Entry { value, version });
                }
                Operation::Delete { key } => drop(self.entries.remove(&key)),
            }
        }
        Ok(has_set.then_some(version))
    }
}

impl State for Memory {
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Entry>, StateError>> {
        self.call(move |kept| check_key(&key).map(|()| kept.entries.get(&key).cloned()))
    }

    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<u64, StateError>> {
        self.call(|kept| kept.write(key, value))
    }

    fn delete(&self, key: String) -> BoxFuture<'_, Result<(), StateError>> {
        self.call(move |kept| check_key(&key).map(|()| drop(kept.entries.remove(&key))))
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        self.call(move |kept| {
            let keys = kept.entries.keys().filter(|key| key.starts_with(&prefix));
            Ok(keys.cloned().collect())
        })
    }

    fn compare_and_set(
        &self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> BoxFuture<'_, Result<u64, StateError>> {
        self.call(move |kept| {
            check_key(&key)?;
            check_value(&value)?;
            match kept.entries.get(&key).map(|entry| entry.version) {
                version if version == expected => kept.write(key, value),
                version => Err(StateError::Changed(version)),
            }
        })
    }

    fn transact(&self, operations: Vec<Operation>) -> BoxFuture<'_, Result<Option<u64>, Refusal>> {
        self.call(|kept| kept.transact(operations))
    }

    fn read_schedule(&self, name: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StateError>> {
        self.call(move |kept| Ok(kept.schedules.get(&name).cloned()))
    }

    fn write_schedule(
        &self,
        write: RecordWrite,
        operations: Vec<Operation>,
    ) -> BoxFuture<'_, Result<(), Refusal>> {
        self.call(move |kept| {
            let RecordWrite {
                schedule,
                over,
                record,
            } = write;
            if kept.schedules.get(&schedule) != over.as_ref() {
                return Err(StateError::Changed(None).into());
            }
            if over.is_none() && kept.schedules.len() >= SCHEDULES_MAX {
                return Err(StateError::TooMany.into());
            }
            kept.transact(operations)?;
            kept.schedules.insert(schedule, record);
            Ok(())
        })
    }
}
