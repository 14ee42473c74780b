//! The import `state`: what the task keeps from term to term.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::component::{Accessor, HasSelf};

use crate::imports::bindings::state::{self, Entry, Error};
use crate::run::store::InstanceData;
use soloist_core::permit::LeaseLost;
use soloist_core::state::{State, StateError};

impl state::Host for InstanceData {}

impl<T> state::HostWithStore<T> for HasSelf<InstanceData> {
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

fn is_too_large<T>(accessor: &Accessor<T, HasSelf<InstanceData>>, value: &[u8]) -> bool {
    let allowed = accessor.with(|mut access| access.get().settings.limits.state_value);
    value.len() as u64 > allowed
}

/// Makes a request, without holding the store while it is under way. One that writes so many bytes waits for its turn.
async fn call<T, R>(
    accessor: &Accessor<T, HasSelf<InstanceData>>,
    written: Option<usize>,
    request: impl for<'a> FnOnce(&'a dyn State) -> BoxFuture<'a, Result<R, StateError>>,
) -> wasmtime::Result<Result<R, Error>> {
    let (leadership, calls, allowed, writes) = accessor.with(|mut access| {
        let host = access.get();
        (
            host.leadership.clone(),
            Arc::clone(&host.state_calls),
            host.settings.limits.calls,
            host.writes.clone(),
        )
    });
    let Ok(_call) = calls.try_acquire() else {
        let reason =
            format!("{allowed} calls are under way already, which is what `limits.calls` allows");
        return Ok(Err(Error::Unavailable(reason)));
    };
    if let Some(bytes) = written
        && let Err(refused) = writes.admit(bytes, &leadership.permit).await
    {
        return Ok(Err(Error::Unavailable(refused.to_string())));
    }
    match request(&*leadership.state).await {
        Err(StateError::Fenced) => {
            // Whatever the lease says, somebody else may act by now.
            leadership.permit.revoke();
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
