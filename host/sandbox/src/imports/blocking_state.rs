//! The import `blocking-state`: what the task keeps from term to term, for plugins that cannot wait for `async` imports. The
//! guest is held until the answer is there, and nothing else is.

use wasmtime::component::{HasData, Linker};

use crate::contract::bindings::blocking_state::{self, Entry, Error, Operation, Refusal};
use crate::imports::state::StateAccess;

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
        self.0.get(key).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<u64, Error>> {
        self.0.set(key, value).await
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), Error>> {
        self.0.delete(key).await
    }

    async fn list(&mut self, prefix: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        self.0.list(prefix).await
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        self.0.compare_and_set(key, expected, value).await
    }

    async fn transact(
        &mut self,
        operations: Vec<Operation>,
    ) -> wasmtime::Result<Result<Option<u64>, Refusal>> {
        let operations = operations.into_iter().map(Into::into).collect();
        self.0.transact(operations).await
    }
}
