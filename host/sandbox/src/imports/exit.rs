//! The import `wasi:cli/exit`: a plugin ends itself. wasmtime's own makes a 1 of whatever was no success.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

/// What the interface is called in both versions of WASI.
pub(crate) const INTERFACES: [&str; 2] = ["wasi:cli/exit@0.2.12", "wasi:cli/exit@0.3.0"];

/// What is exported there besides `exit`. WASI 0.2 has it on trial.
pub(crate) const WITH_CODE: &str = "exit-with-code";

/// The plugin has ended itself: with this code, or with one that it did not tell and that is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plugin has ended itself")]
pub(crate) struct Exit(pub(crate) Option<u8>);

/// Puts these functions in place of wasmtime's.
pub(crate) fn add_to_linker<T: 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    for interface in INTERFACES {
        let mut exit = linker.instance(interface)?;
        exit.func_wrap(
            "exit",
            |_: StoreContextMut<'_, T>, (status,): (Result<(), ()>,)| {
                Err::<(), _>(Exit(status.ok().map(|()| 0)).into())
            },
        )?;
        exit.func_wrap(WITH_CODE, |_: StoreContextMut<'_, T>, (code,): (u8,)| {
            Err::<(), _>(Exit(Some(code)).into())
        })?;
    }
    Ok(())
}
