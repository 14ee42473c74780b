//! The import `state`: what the task keeps from term to term.

mod wire;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use wasmtime::component::{Accessor, HasData, Linker};

use crate::contract::bindings::state::{self, Entry, Error, Operation, Refusal};
use crate::imports::writes::Writes;
use soloist_core::limits::{Limits, count};
use soloist_core::meter::{Effect, Outcome};
use soloist_core::permit::{LeaseLost, Permit};
use soloist_core::state::{self as kept, State, StateError};

/// The task's state as one attempt has it. Clones share it.
#[derive(Clone)]
pub(crate) struct StateAccess {
    state: Arc<dyn State>,
    permit: Permit,
    writes: Writes,
    calls: Arc<Semaphore>,
    calls_max: u32,
    value_max_bytes: u64,
}

impl StateAccess {
    pub(crate) fn new(
        state: Arc<dyn State>,
        permit: Permit,
        writes: Writes,
        limits: &Limits,
    ) -> Self {
        Self {
            state,
            permit,
            writes,
            calls: Arc::new(Semaphore::new(count(limits.calls.into()))),
            calls_max: limits.calls,
            value_max_bytes: limits.state_value,
        }
    }

    fn is_too_large(&self, value: &[u8]) -> bool {
        value.len() as u64 > self.value_max_bytes
    }

    /// Makes a request. One that writes `written` bytes waits until these may be written.
    pub(crate) async fn call<R, E, F>(
        &self,
        written: Option<usize>,
        request: impl for<'a> FnOnce(&'a dyn State) -> BoxFuture<'a, Result<R, F>>,
    ) -> wasmtime::Result<Result<R, E>>
    where
        F: From<StateError> + PartialEq,
        E: From<F>,
    {
        let begun = self.permit.begin();
        let counted = |outcome| self.permit.finish(begun, Effect::State, outcome);
        let Ok(_call) = self.calls.try_acquire() else {
            counted(Outcome::Grant);
            let reason = format!(
                "{} calls are under way already, which is what `limits.calls` allows",
                self.calls_max
            );
            return Ok(Err(F::from(StateError::Unavailable(reason)).into()));
        };
        if let Some(bytes) = written
            && let Err(refused) = self.writes.admit(bytes, &self.permit).await
        {
            counted(Outcome::Grant);
            let reason = refused.to_string();
            return Ok(Err(F::from(StateError::Unavailable(reason)).into()));
        }
        match request(&*self.state).await {
            Err(refused) if refused == F::from(StateError::Fenced) => {
                // Another host may act by now, whatever the lease of this one says.
                self.permit.revoke();
                counted(Outcome::Lease);
                Err(LeaseLost.into())
            }
            Ok(done) => {
                counted(Outcome::Done);
                if let (Some(bytes), Some(meter)) = (written, self.permit.meter()) {
                    meter.wrote_state(bytes as u64);
                }
                Ok(Ok(done))
            }
            Err(error) => {
                counted(Outcome::Error);
                Ok(Err(error.into()))
            }
        }
    }

    /// The permit of the term.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Says whether the task allows values as large as these.
    ///
    /// # Errors
    /// The first operation whose value is too large.
    pub(crate) fn check_sizes(&self, operations: &[kept::Operation]) -> Result<(), kept::Refusal> {
        let too_large = |operation: &kept::Operation| self.is_too_large(operation.value());
        match operations.iter().position(too_large) {
            Some(at) => {
                let bytes = operations[at].value().len();
                let error = StateError::TooLarge { bytes };
                Err(kept::Refusal {
                    at: Some(at),
                    error,
                })
            }
            None => Ok(()),
        }
    }

    /// Reads an entry.
    pub(crate) async fn get<N: From<kept::Entry>, E: From<StateError>>(
        &self,
        key: String,
    ) -> wasmtime::Result<Result<Option<N>, E>> {
        let read = self.call(None, |state| state.get(key)).await?;
        Ok(read.map(|entry| entry.map(N::from)))
    }

    /// Writes an entry, whether it is there or not.
    pub(crate) async fn set<E: From<StateError>>(
        &self,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, E>> {
        let bytes = value.len();
        if self.is_too_large(&value) {
            return Ok(Err(StateError::TooLarge { bytes }.into()));
        }
        self.call(Some(key.len() + bytes), |state| state.set(key, value))
            .await
    }

    /// Deletes an entry, if it is there.
    pub(crate) async fn delete<E: From<StateError>>(
        &self,
        key: String,
    ) -> wasmtime::Result<Result<(), E>> {
        self.call(Some(key.len()), |state| state.delete(key)).await
    }

    /// The keys that begin with `prefix`.
    pub(crate) async fn list<E: From<StateError>>(
        &self,
        prefix: String,
    ) -> wasmtime::Result<Result<Vec<String>, E>> {
        self.call(None, |state| state.list(prefix)).await
    }

    /// Writes an entry if it has the version expected.
    pub(crate) async fn compare_and_set<E: From<StateError>>(
        &self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, E>> {
        let bytes = value.len();
        if self.is_too_large(&value) {
            return Ok(Err(StateError::TooLarge { bytes }.into()));
        }
        self.call(Some(key.len() + bytes), |state| {
            state.compare_and_set(key, expected, value)
        })
        .await
    }

    /// Does all of these or none.
    pub(crate) async fn transact<E: From<kept::Refusal>>(
        &self,
        operations: Vec<kept::Operation>,
    ) -> wasmtime::Result<Result<Option<u64>, E>> {
        if let Err(refusal) = self.check_sizes(&operations) {
            return Ok(Err(refusal.into()));
        }
        let bytes = written(&operations);
        self.call(Some(bytes), |state| state.transact(operations))
            .await
    }
}

/// What the import works on.
pub(crate) struct StateView<'a>(pub(crate) &'a StateAccess);

struct Import;

impl HasData for Import {
    type Data<'a> = StateView<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> StateView<'_>,
) -> wasmtime::Result<()> {
    state::add_to_linker::<_, Import>(linker, view)
}

impl state::Host for StateView<'_> {}

impl<T> state::HostWithStore<T> for Import {
    async fn get(
        accessor: &Accessor<T, Self>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        access(accessor).get(key).await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        access(accessor).set(key, value).await
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        access(accessor).delete(key).await
    }

    async fn list(
        accessor: &Accessor<T, Self>,
        prefix: String,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        access(accessor).list(prefix).await
    }

    async fn compare_and_set(
        accessor: &Accessor<T, Self>,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        access(accessor).compare_and_set(key, expected, value).await
    }

    async fn transact(
        accessor: &Accessor<T, Self>,
        operations: Vec<Operation>,
    ) -> wasmtime::Result<Result<Option<u64>, Refusal>> {
        let operations = operations.into_iter().map(Into::into).collect();
        access(accessor).transact(operations).await
    }
}

/// The state, without holding the store for longer than it takes to begin a call.
fn access<T>(accessor: &Accessor<T, Import>) -> StateAccess {
    accessor.with(|mut store| store.get().0.clone())
}

/// What operations count for among what is written, in bytes.
pub(crate) fn written(operations: &[kept::Operation]) -> usize {
    let bytes = |operation: &kept::Operation| operation.key().len() + operation.value().len();
    operations.iter().map(bytes).sum()
}
