//! The operations of a transaction.

use soloist_core::state::Operation;

pub(super) fn set(key: &str, value: &str) -> Operation {
    Operation::Set {
        key: key.into(),
        value: value.into(),
    }
}

pub(super) fn check(key: &str, expected: Option<u64>) -> Operation {
    Operation::Check {
        key: key.into(),
        expected,
    }
}

pub(super) fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.into() }
}
