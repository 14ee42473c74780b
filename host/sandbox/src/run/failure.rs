//! Why a plugin failed: the cause, read from what wasmtime says, and the backtrace.

use std::error::Error;

use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};

use crate::bounded::describe;
use crate::imports::exit::Exit;
use crate::run::backtrace;
use crate::run::store::InstanceData;
use soloist_core::cause::Cause;
use soloist_core::limits::{Limit, LimitReached};
use soloist_core::permit::LeaseLost;

/// What wasmtime calls the error that [`Limit::CallBytes`] makes.
const CALL_TOO_LARGE: &str = "HostcallFuelExhausted";

/// The end of an attempt that should not have ended.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// What went wrong.
    pub cause: Cause,
    /// Where in the plugin, innermost function first, one line each.
    pub backtrace: Option<String>,
}

impl Failure {
    pub(crate) fn new(cause: Cause) -> Self {
        Self {
            cause,
            backtrace: None,
        }
    }

    /// The host could not run the plugin.
    pub(crate) fn of_host(error: &wasmtime::Error) -> Self {
        Self::new(Cause::Host(describe(&**error)))
    }

    /// The permit ended before the plugin was entered.
    pub fn lease_lost(lost: LeaseLost) -> Self {
        Self::new(Cause::LeaseLost(lost))
    }

    /// Whether the permit ended while the plugin ran.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self.cause, Cause::LeaseLost(_))
    }

    /// The task that ran the plugin panicked.
    pub fn host_panicked() -> Self {
        Self::new(Cause::HostPanicked)
    }

    /// Reads the cause from what wasmtime says and what the plugin said before.
    pub(crate) fn of_guest(error: &wasmtime::Error, host: &mut InstanceData) -> Self {
        let trace = error.downcast_ref::<WasmBacktrace>();
        let backtrace = trace
            .map(backtrace::told)
            .filter(|frames| !frames.is_empty());
        let cause = if let Some(lost) = error.downcast_ref::<LeaseLost>() {
            Cause::LeaseLost(*lost)
        } else if let Some(reached) = error.downcast_ref::<LimitReached>() {
            Cause::Limit(*reached)
        } else if error.chain().any(is_call_too_large) {
            Cause::Limit(host.settings.limits.reached(Limit::CallBytes))
        } else if error.chain().any(is_full_table) {
            Cause::Limit(host.settings.limits.reached(Limit::Resources))
        } else if let Some(Exit(code)) = error.downcast_ref() {
            Cause::Exited(*code)
        } else {
            match error.downcast_ref::<Trap>() {
                Some(Trap::StackOverflow) => {
                    Cause::Limit(host.settings.limits.reached(Limit::Stack))
                }
                Some(Trap::UnreachableCodeReached) => match host.panic.take() {
                    Some(message) => Cause::Panicked(message),
                    None => Cause::Aborted {
                        stderr: host.stderr.tail(),
                    },
                },
                // The stack that Rust and C keep in memory has nothing below it.
                Some(Trap::MemoryOutOfBounds) if trace.is_some_and(backtrace::is_runaway) => {
                    Cause::StackOverflow
                }
                Some(trap) => Cause::Trapped(trap.to_string()),
                None => Cause::Host(describe(&**error)),
            }
        };
        Self { cause, backtrace }
    }
}

/// wasmtime keeps the type of this error to itself, so it is known by the type's name: what a type without any content
/// calls itself. No text of a guest or of another error can be mistaken for it.
fn is_call_too_large(error: &(dyn Error + 'static)) -> bool {
    size_of_val(error) == 0 && format!("{error:?}") == CALL_TOO_LARGE
}

/// The table that keeps a plugin's resources has room for as many as the limit says.
fn is_full_table(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ResourceTableError::Full))
}
