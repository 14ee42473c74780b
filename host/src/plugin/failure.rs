//! Why a plugin failed: a name for every cause, and the backtrace.

use std::error::Error;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::limits::{Limit, LimitReached};
use super::store::Host;
use crate::permit::LeaseLost;

/// What wasmtime calls the error that [`Limit::CallBytes`] makes.
const CALL_TOO_LARGE: &str = "HostcallFuelExhausted";

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The permit ended while the plugin ran.
    #[error(transparent)]
    LeaseLost(LeaseLost),
    /// `on_elected` returned an error.
    #[error("{0}")]
    Returned(String),
    /// The plugin panicked, and said why.
    #[error("{0}")]
    Panicked(String),
    /// The plugin aborted itself; what it last wrote to stderr may say why.
    #[error("it aborted; the last it wrote to stderr: {stderr:?}")]
    Aborted {
        /// The last lines of stderr.
        stderr: String,
    },
    /// The plugin ended its process.
    #[error("it called exit({0})")]
    Exited(i32),
    /// The plugin reached one of its limits.
    #[error(transparent)]
    Limit(LimitReached),
    /// The plugin did something that WebAssembly forbids.
    #[error("{0}")]
    Trapped(Trap),
    /// The host could not run the plugin.
    #[error("{}", describe(&**.0))]
    Host(wasmtime::Error),
    /// The host itself panicked while it ran the plugin: a bug.
    #[error("the host panicked while it ran the plugin")]
    HostPanicked,
}

impl Cause {
    /// The name in the `cause` field of events, in the history and in the status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeaseLost(_) => "lease-lost",
            Self::Returned(_) => "error",
            Self::Panicked(_) => "panic",
            Self::Aborted { .. } => "abort",
            Self::Exited(_) => "exit",
            Self::Limit(reached) => reached.limit.cause(),
            Self::Trapped(_) => "trap",
            Self::Host(_) => "host",
            Self::HostPanicked => "host-panic",
        }
    }
}

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
    pub(super) fn new(cause: Cause) -> Self {
        Self { cause, backtrace: None }
    }

    /// The permit ended before the plugin was entered.
    pub fn lease_lost(lost: LeaseLost) -> Self {
        Self::new(Cause::LeaseLost(lost))
    }

    /// The task that ran the plugin panicked.
    pub fn host_panicked() -> Self {
        Self::new(Cause::HostPanicked)
    }

    /// Reads the cause from what wasmtime says and what the plugin said before.
    pub(super) fn of_guest(error: wasmtime::Error, host: &mut Host) -> Self {
        let backtrace = error.downcast_ref::<WasmBacktrace>().map(frames).filter(|frames| !frames.is_empty());
        let cause = if let Some(lost) = error.downcast_ref::<LeaseLost>() {
            Cause::LeaseLost(*lost)
        } else if let Some(reached) = error.downcast_ref::<LimitReached>() {
            Cause::Limit(*reached)
        } else if error.chain().any(is_call_too_large) {
            Cause::Limit(host.settings.limits.reached(Limit::CallBytes))
        } else if let Some(I32Exit(code)) = error.downcast_ref() {
            Cause::Exited(*code)
        } else {
            match error.downcast_ref::<Trap>() {
                Some(Trap::StackOverflow) => Cause::Limit(host.settings.limits.reached(Limit::Stack)),
                Some(Trap::UnreachableCodeReached) => match host.panic.take() {
                    Some(message) => Cause::Panicked(message),
                    None => Cause::Aborted { stderr: host.stderr.tail() },
                },
                Some(trap) => Cause::Trapped(*trap),
                None => Cause::Host(error),
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

fn frames(backtrace: &WasmBacktrace) -> String {
    // The first line of the text is a heading.
    let text = backtrace.to_string();
    text.lines().skip(1).map(str::trim).collect::<Vec<_>>().join("\n")
}

/// The error with all its sources, on one line.
pub(super) fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
