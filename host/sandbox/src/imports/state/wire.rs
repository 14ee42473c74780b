//! The types of the contract and those of the state. Both interfaces of the state have types of their own, which are alike.

use crate::contract::bindings;
use soloist_core::state::{self as kept, StateError};

macro_rules! convert {
    ($interface:ident) => {
        impl From<kept::Entry> for bindings::$interface::Entry {
            fn from(entry: kept::Entry) -> Self {
                Self {
                    value: entry.value,
                    version: entry.version,
                }
            }
        }

        impl From<bindings::$interface::Operation> for kept::Operation {
            fn from(operation: bindings::$interface::Operation) -> Self {
                use bindings::$interface::{Assignment, Expectation, Operation};
                match operation {
                    Operation::Check(Expectation { key, expected }) => {
                        Self::Check { key, expected }
                    }
                    Operation::Set(Assignment { key, value }) => Self::Set { key, value },
                    Operation::Delete(key) => Self::Delete { key },
                }
            }
        }

        impl From<kept::Refusal> for bindings::$interface::Refusal {
            fn from(refusal: kept::Refusal) -> Self {
                Self {
                    at: refusal.at.and_then(|at| u32::try_from(at).ok()),
                    reason: refusal.error.into(),
                }
            }
        }

        impl From<StateError> for bindings::$interface::Error {
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
    };
}

convert!(state);
convert!(blocking_state);
