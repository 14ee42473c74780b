//! The task's state, whose every write and every slot is noted.

use std::sync::Arc;

use futures::future::BoxFuture;
use soloist_core::schedule::{Claim, Record};
use soloist_core::state::{Entry, Operation, RecordWrite, Refusal, State, StateError};

use super::recorder::{Recorder, SlotId, What, Written, fingerprint};
use crate::testbed::Memory;

/// A state in memory; the recorder hears of what is done to it.
#[derive(Clone, Debug)]
pub(super) struct WatchedState {
    memory: Arc<Memory>,
    recorder: Arc<Recorder>,
}

impl WatchedState {
    pub(super) fn new(memory: Arc<Memory>, recorder: Arc<Recorder>) -> Self {
        Self { memory, recorder }
    }

    fn wrote(&self, key: String, value: Option<&[u8]>, with_slot: bool) {
        let value = value.map(fingerprint);
        self.recorder.note(What::Wrote(Written {
            key,
            value,
            with_slot,
        }));
    }

    fn did(&self, operations: Vec<Operation>, with_slot: bool) {
        for operation in operations {
            match operation {
                Operation::Check { .. } => {}
                Operation::Set { key, value } => self.wrote(key, Some(&value), with_slot),
                Operation::Delete { key } => self.wrote(key, None, with_slot),
            }
        }
    }
}

/// The slot that is worked at, by a record.
fn claim(record: &[u8]) -> Option<Claim> {
    Record::decode(record).ok()?.uncompleted()
}

impl State for WatchedState {
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Entry>, StateError>> {
        State::get(&*self.memory, key)
    }

    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<u64, StateError>> {
        Box::pin(async move {
            let version = self.memory.set(key.clone(), value.clone()).await?;
            self.wrote(key, Some(&value), false);
            Ok(version)
        })
    }

    fn delete(&self, key: String) -> BoxFuture<'_, Result<(), StateError>> {
        Box::pin(async move {
            self.memory.delete(key.clone()).await?;
            self.wrote(key, None, false);
            Ok(())
        })
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        self.memory.list(prefix)
    }

    fn compare_and_set(
        &self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> BoxFuture<'_, Result<u64, StateError>> {
        Box::pin(async move {
            let set = self
                .memory
                .compare_and_set(key.clone(), expected, value.clone());
            let version = set.await?;
            self.wrote(key, Some(&value), false);
            Ok(version)
        })
    }

    fn transact(&self, operations: Vec<Operation>) -> BoxFuture<'_, Result<Option<u64>, Refusal>> {
        Box::pin(async move {
            let version = self.memory.transact(operations.clone()).await?;
            self.did(operations, false);
            Ok(version)
        })
    }

    fn read_schedule(&self, name: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StateError>> {
        Box::pin(async move {
            let record = self.memory.read_schedule(name.clone()).await?;
            self.recorder.note(What::Asked(name));
            Ok(record)
        })
    }

    fn write_schedule(
        &self,
        write: RecordWrite,
        operations: Vec<Operation>,
    ) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let done = self
                .memory
                .write_schedule(write.clone(), operations.clone());
            done.await?;
            let before = write.over.as_deref().and_then(claim);
            let after = claim(&write.record);
            self.did(operations, true);
            let slot = |claim: Claim| SlotId {
                schedule: write.schedule.clone(),
                at: claim.at,
            };
            match (before, after) {
                (before, Some(after)) if before != Some(after) => {
                    self.recorder.note(What::Claimed(slot(after)));
                }
                (Some(before), None) => self.recorder.note(What::Completed(slot(before))),
                _ => {}
            }
            Ok(())
        })
    }
}
