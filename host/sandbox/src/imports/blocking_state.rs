//! The import `blocking-state`: what the task keeps from term to term, for plugins that cannot wait for `async` imports. The
//! guest is held until the answer is there, and nothing else is.

use wasmtime::component::{HasData, Linker};

use crate::contract::bindings::blocking_state::{
    self, Assignment, Entry, Error, Expectation, Operation, Refusal,
};
use crate::imports::state::StateAccess;
use soloist_core::state::{self as kept, StateError};

/// What the import works on.
pub(crate) struct BlockingStateView<'a>(pub(crate) &'a StateAccess);

struct Import;

impl HasData for Import {
    type Data<'a> = BlockingStateView<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> BlockingStateView<'_>,
) -> wasmtime::Result<()> {
    blocking_state::add_to_linker::<_, Import>(linker, view)
}

impl blocking_state::Host for BlockingStateView<'_> {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        let read: Result<_, Error> = self.0.call(None, |state| state.get(key)).await?;
        Ok(read.map(|entry| {
            entry.map(|entry| Entry {
                value: entry.value,
                version: entry.version,
            })
        }))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<u64, Error>> {
        if self.0.is_too_large(&value) {
            return Ok(Err(Error::TooLarge));
        }
        let bytes = key.len() + value.len();
        self.0
            .call(Some(bytes), |state| state.set(key, value))
            .await
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        self.0
            .call(Some(key.len()), |state| state.delete(key))
            .await
    }

    async fn list(&mut self, prefix: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        self.0.call(None, |state| state.list(prefix)).await
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        if self.0.is_too_large(&value) {
            return Ok(Err(Error::TooLarge));
        }
        let bytes = key.len() + value.len();
        self.0
            .call(Some(bytes), |state| {
                state.compare_and_set(key, expected, value)
            })
            .await
    }

    async fn transact(
        &mut self,
        operations: Vec<Operation>,
    ) -> wasmtime::Result<Result<Option<u64>, Refusal>> {
        let operations = operations.into_iter().map(Into::into).collect();
        self.0.transact(operations).await
    }
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
