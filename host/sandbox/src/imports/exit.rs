//! The import `wasi:cli/exit`: a plugin ends itself. wasmtime's own makes every failure a code of 1.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::contract::{EXIT_INTERFACES, EXIT_WITH_CODE};

/// The plugin has ended itself with this code. `None` is a code other than 0 that the plugin did not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plugin has ended itself")]
pub(crate) struct Exit(pub(crate) Option<u8>);

/// Puts these functions in place of wasmtime's.
pub(crate) fn add_to_linker<T: 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    for interface in EXIT_INTERFACES {
        let mut exit = linker.instance(interface)?;
        exit.func_wrap(
            "exit",
            |_: StoreContextMut<'_, T>, (status,): (Result<(), ()>,)| {
                Err::<(), _>(Exit(status.ok().map(|()| 0)).into())
            },
        )?;
        exit.func_wrap(
            EXIT_WITH_CODE,
            |_: StoreContextMut<'_, T>, (code,): (u8,)| Err::<(), _>(Exit(Some(code)).into()),
        )?;
    }
    Ok(())
}
