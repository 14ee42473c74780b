//! The import `state`: what the task keeps from term to term.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use wasmtime::component::{Accessor, HasData, Linker};

use crate::contract::bindings::state::{
    self, Assignment, Entry, Error, Expectation, Operation, Refusal,
};
use crate::imports::writes::Writes;
use soloist_core::limits::{Limits, count};
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

    pub(crate) fn is_too_large(&self, value: &[u8]) -> bool {
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
        let Ok(_call) = self.calls.try_acquire() else {
            let reason = format!(
                "{} calls are under way already, which is what `limits.calls` allows",
                self.calls_max
            );
            return Ok(Err(F::from(StateError::Unavailable(reason)).into()));
        };
        if let Some(bytes) = written
            && let Err(refused) = self.writes.admit(bytes, &self.permit).await
        {
            let reason = refused.to_string();
            return Ok(Err(F::from(StateError::Unavailable(reason)).into()));
        }
        match request(&*self.state).await {
            Err(refused) if refused == F::from(StateError::Fenced) => {
                // Another host may act by now, whatever the lease of this one says.
                self.permit.revoke();
                Err(LeaseLost.into())
            }
            outcome => Ok(outcome.map_err(E::from)),
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
        let read = call(accessor, None, |state| state.get(key)).await?;
        Ok(read.map(|entry| {
            entry.map(|entry| Entry {
                value: entry.value,
                version: entry.version,
            })
        }))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        if is_too_large(accessor, &value) {
            return Ok(Err(Error::TooLarge));
        }
        call(accessor, Some(key.len() + value.len()), |state| {
            state.set(key, value)
        })
        .await
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        call(accessor, Some(key.len()), |state| state.delete(key)).await
    }

    async fn list(
        accessor: &Accessor<T, Self>,
        prefix: String,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        call(accessor, None, |state| state.list(prefix)).await
    }

    async fn compare_and_set(
        accessor: &Accessor<T, Self>,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        if is_too_large(accessor, &value) {
            return Ok(Err(Error::TooLarge));
        }
        let bytes = key.len() + value.len();
        call(accessor, Some(bytes), |state| {
            state.compare_and_set(key, expected, value)
        })
        .await
    }

    async fn transact(
        accessor: &Accessor<T, Self>,
        operations: Vec<Operation>,
    ) -> wasmtime::Result<Result<Option<u64>, Refusal>> {
        let access = accessor.with(|mut store| store.get().0.clone());
        let operations = operations.into_iter().map(Into::into).collect();
        access.transact(operations).await
    }
}

/// What operations count for among what is written, in bytes.
pub(crate) fn written(operations: &[kept::Operation]) -> usize {
    let bytes = |operation: &kept::Operation| operation.key().len() + operation.value().len();
    operations.iter().map(bytes).sum()
}

fn is_too_large<T>(accessor: &Accessor<T, Import>, value: &[u8]) -> bool {
    accessor.with(|mut store| store.get().0.is_too_large(value))
}

/// Makes a request, and holds the store no longer than it takes to begin it.
async fn call<T, R, E, F>(
    accessor: &Accessor<T, Import>,
    written: Option<usize>,
    request: impl for<'a> FnOnce(&'a dyn State) -> BoxFuture<'a, Result<R, F>>,
) -> wasmtime::Result<Result<R, E>>
where
    F: From<StateError> + PartialEq,
    E: From<F>,
{
    let access = accessor.with(|mut store| store.get().0.clone());
    access.call(written, request).await
}

impl From<Operation> for kept::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Check(Expectation { key, expected }) => Self::Check { key, expected },
            Operation::Set(Assignment { key, value }) => Self::Set { key, value },
            Operation::Delete(key) => Self::Delete { key },
        }
    }
}

impl From<kept::Refusal> for Refusal {
    fn from(refusal: kept::Refusal) -> Self {
        Self {
            at: refusal.at.and_then(|at| u32::try_from(at).ok()),
            reason: refusal.error.into(),
        }
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::BadKey(reason) => Self::BadKey(reason.into()),
            StateError::TooLarge { .. } => Self::TooLarge,
            StateError::TooMany => Self::TooMany,
            StateError::Changed(version) => Self::Changed(version),
            StateError::Unavailable(reason) => Self::Unavailable(reason),
            StateError::Fenced => Self::Unavailable(error.to_string()),
        }
    }
}
