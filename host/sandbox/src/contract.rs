//! What a plugin and its host agree on: the names and types of the imports, and the two functions that a plugin exports.
//!
//! The contract itself is `guest-sdk/wit/plugin.wit`.

pub(crate) mod bindings;
pub(crate) mod exports;

use soloist_core::term;

/// The interfaces that a plugin ends itself by, one for each version of WASI.
pub(crate) const EXIT_INTERFACES: [&str; 2] = ["wasi:cli/exit@0.2.12", "wasi:cli/exit@0.3.0"];

/// The function of these interfaces that takes a code. `exit` takes none. WASI 0.2 has this function on trial.
pub(crate) const EXIT_WITH_CODE: &str = "exit-with-code";

impl From<&term::Term> for bindings::Term {
    fn from(term: &term::Term) -> Self {
        Self {
            number: term.number,
            fencing_token: term.fencing_token.0,
            task: term.task.to_string(),
            host: term.host.to_string(),
        }
    }
}

impl From<term::Demotion> for bindings::Demotion {
    fn from(reason: term::Demotion) -> Self {
        match reason {
            term::Demotion::Resigned => Self::Resigned,
            term::Demotion::Shutdown => Self::Shutdown,
            term::Demotion::LeaseExpiring => Self::LeaseExpiring,
            term::Demotion::NodeLost => Self::NodeLost,
            term::Demotion::Replaced => Self::Replaced,
        }
    }
}
