//! Why a plugin failed: the cause, read from what wasmtime says, and the backtrace.

use std::error::Error;
use std::fmt::{self, Write};

use wasmtime::component::ResourceTableError;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};

use crate::imports::exit::Exit;
use crate::imports::log::MAX_MESSAGE_BYTES;
use crate::run::store::InstanceData;
use soloist_core::cause::Cause;
use soloist_core::limits::{Limit, LimitReached};
use soloist_core::permit::LeaseLost;

/// What wasmtime calls the error that [`Limit::CallBytes`] makes.
const CALL_TOO_LARGE: &str = "HostcallFuelExhausted";

/// A longer name of a function is reported as it is, not as it was in Rust.
const MANGLED_BYTES_MAX: usize = 4096;

/// How much of a name that a stranger chose is reported, in bytes.
const NAME_BYTES: usize = 256;

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
        let backtrace = error
            .downcast_ref::<WasmBacktrace>()
            .map(frames)
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

/// One line for each frame. Written here, because wasmtime would write the names out as they were in Rust or C++, and a
/// stranger chose them: of some that are short there is no end.
fn frames(backtrace: &WasmBacktrace) -> String {
    let line = |(number, frame): (usize, &FrameInfo)| {
        let offset = frame
            .module_offset()
            .map(|offset| format!("{offset:#x} - "))
            .unwrap_or_default();
        let module = name(frame.module().name()).unwrap_or_else(|| "<unknown>".into());
        let function = name(frame.func_name())
            .unwrap_or_else(|| format!("<wasm function {}>", frame.func_index()));
        format!("{number}: {offset}{module}!{function}")
    };
    backtrace
        .frames()
        .iter()
        .enumerate()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

fn name(name: Option<&str>) -> Option<String> {
    let mut bounded = Bounded::of(NAME_BYTES);
    let name = name?;
    // It ends where there is no more room.
    let _ = match name.len() {
        ..=MANGLED_BYTES_MAX => write!(bounded, "{:#}", rustc_demangle::demangle(name)),
        _ => bounded.write_str(name),
    };
    Some(bounded.text.replace('\n', " "))
}

/// A text that a stranger chose, as far as it is of a reasonable length.
pub(crate) fn shortened(text: &impl fmt::Display) -> String {
    let mut bounded = Bounded::of(NAME_BYTES);
    // It ends where there is no more room.
    let _ = write!(bounded, "{text}");
    bounded.text
}

/// The error with all its sources, on one line, as far as it is of a reasonable length.
pub(crate) fn describe(error: &dyn Error) -> String {
    let mut bounded = Bounded::of(MAX_MESSAGE_BYTES);
    // It ends where there is no more room.
    let _ = describe_to(&mut bounded, error);
    bounded.text
}

fn describe_to(text: &mut Bounded, error: &dyn Error) -> fmt::Result {
    write!(text, "{error}")?;
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}")?;
        source = error.source();
    }
    Ok(())
}

/// Takes so many bytes of text, and then fails: whoever writes stops there.
struct Bounded {
    text: String,
    room: usize,
}

impl Bounded {
    fn of(room: usize) -> Self {
        Self {
            text: String::new(),
            room,
        }
    }
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = &text[..text.floor_char_boundary(self.room)];
        self.text.push_str(taken);
        self.room -= taken.len();
        if taken.len() == text.len() {
            return Ok(());
        }
        self.text.push('…');
        self.room = 0;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_end_ends() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("and so on ")?;
                }
            }
        }
        let mut bounded = Bounded::of(25);
        assert!(write!(bounded, "{Endless}").is_err());
        assert_eq!(bounded.text, "and so on and so on and s…");
        assert_eq!(
            name(Some(&"é".repeat(1000))).unwrap().len(),
            NAME_BYTES + '…'.len_utf8()
        );
        assert_eq!(name(Some("short")).unwrap(), "short");
        assert_eq!(
            name(Some("_ZN9misbehave7recurse17hc1ed8e15f0e588d0E")).unwrap(),
            "misbehave::recurse"
        );
        // A pair of pairs of pairs, 40 deep: all of them but the first by reference.
        let references = "lBL_EBK_EBJ_EBI_EBH_EBG_EBF_EBE_EBD_EBC_EBB_EBA_EBz_EBy_EBx_EBw_EBv_EBu_EBt_EBs_EBr_EBq_EBp_EBo_EBn_EBm_\
                          EBl_EBk_EBj_EBi_EBh_EBg_EBf_EBe_EBd_EBc_EBb_EBa_EB9_EB8_E";
        let spelt = name(Some(&format!("_RINvC1a1f{}{references}E", "T".repeat(40)))).unwrap();
        assert!(
            spelt.starts_with("a::f::<((((") && spelt.len() <= NAME_BYTES + '…'.len_utf8(),
            "{spelt}"
        );
    }
}
