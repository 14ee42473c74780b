//! The import `state`: what the task keeps from term to term.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use wasmtime::component::{Accessor, HasData, Linker};

use crate::contract::bindings::state::{self, Entry, Error};
use crate::imports::writes::Writes;
use soloist_core::limits::{Limits, count};
use soloist_core::permit::{LeaseLost, Permit};
use soloist_core::state::{State, StateError};

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

    async fn list(accessor: &Accessor<T, Self>) -> wasmtime::Result<Result<Vec<String>, Error>> {
        call(accessor, None, |state| state.list()).await
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
}

fn is_too_large<T>(accessor: &Accessor<T, Import>, value: &[u8]) -> bool {
    value.len() as u64 > accessor.with(|mut store| store.get().0.value_max_bytes)
}

/// Makes a request, and holds the store no longer than it takes to begin it. A request that writes `written` bytes waits
/// until these may be written.
async fn call<T, R>(
    accessor: &Accessor<T, Import>,
    written: Option<usize>,
    request: impl for<'a> FnOnce(&'a dyn State) -> BoxFuture<'a, Result<R, StateError>>,
) -> wasmtime::Result<Result<R, Error>> {
    let access = accessor.with(|mut store| store.get().0.clone());
    let Ok(_call) = access.calls.try_acquire() else {
        let reason = format!(
            "{} calls are under way already, which is what `limits.calls` allows",
            access.calls_max
        );
        return Ok(Err(Error::Unavailable(reason)));
    };
    if let Some(bytes) = written
        && let Err(refused) = access.writes.admit(bytes, &access.permit).await
    {
        return Ok(Err(Error::Unavailable(refused.to_string())));
    }
    match request(&*access.state).await {
        Err(StateError::Fenced) => {
            // Another host may act by now, whatever the lease of this one says.
            access.permit.revoke();
            Err(LeaseLost.into())
        }
        outcome => Ok(outcome.map_err(Error::from)),
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
